#!/usr/bin/env python3
"""What conntally costs, beside the floor that the kernel leaves nobody below. Root; the release build of the
targets conntally, ct_load, bare_receiver and bench_source_table.

    test/bench/bench.py                       all of it, some 15 minutes
    test/bench/bench.py receive sustained     some of it
    test/bench/bench.py receive --rounds 9 --seconds 10 --rates 20000,150000

  receive       CPU per event of conntally, of a bare gathered recvmmsg receiver (the floor) and of `conntrack -E`
  sustained     150,000 events/s for 60 s on one CPU: lost, CPU
  updates       what subscribing to UPDATE costs per TCP connection: the receiver, and the host that sends
  dump          a start over 1,000,000 entries beside a bare recv of the same dump; memory a connection; scrapes
  idle          share of a core while 60,000 sources hold a connection each and nothing comes or goes, by thread
  source_table  ns per update beside a random fetch_add

Every receiver hears the same live stream: ct_load makes and ends real entries in a namespace of its own. Receivers run
one after another, turn by turn, on CPU 0, with the generator on CPU 1; each figure is the median of the rounds and each
ratio the median of the ratios within a round, so that a machine that grows slower meanwhile spoils none. CPU is user +
system of all threads, from /proc/PID/task/*/schedstat, less what the process uses idle.
"""

import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "netns"))
from harness import BINARY, CT_LOAD, Daemon, Namespace, alone_on_this_machine, ct_load, machine_sysctls  # noqa: E402

BARE = BINARY.parent / "test/bench/bare_receiver"
BENCH_SOURCE_TABLE = BINARY.parent / "test/bench/bench_source_table"
RECEIVER_CPU, SENDER_CPU = 0, 1
UDP = ("--protocol", "udp", "--timeout", 3600)
TCP = ("--protocol", "tcp", "--timeout", 3600, "--lifecycle")


def by_thread(pid):
    """CPU seconds."""
    threads = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        threads[name] = threads.get(name, 0) + int((task / "schedstat").read_text().split()[0]) / 1e9
    return threads


def cpu_seconds(pid):
    return sum(by_thread(pid).values())


def user_share(pid, before=(0, 0)):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ")[1].split()
    user, system = int(fields[11]) - before[0], int(fields[12]) - before[1]
    return user, system


def rss_bytes(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Bare:
    """The floor: gathered recvmmsg."""

    name = "bare receiver"

    def __init__(self, namespace, *arguments):
        self.process = namespace.spawn("taskset", "-c", RECEIVER_CPU, BARE, "events", *arguments,
                                       stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def stop(self):
        self.process.terminate()
        result = json.loads(self.process.communicate(timeout=10)[0].splitlines()[-1])
        return result["received"], result["lost"]


class Conntally:
    name = "conntally"

    def __init__(self, namespace, binary=BINARY):
        self.daemon = Daemon(namespace, config="conntrack: {receive_buffer_bytes: 67108864}\n",
                             prefix=("taskset", "-c", RECEIVER_CPU), binary=binary)
        self.daemon.start()
        self.daemon.wait_ready(60)
        self.process = self.daemon.process
        self.before = self._figures()

    def _figures(self):
        metrics = self.daemon.metrics()
        return metrics.sum("conntally_events_total"), metrics.sum("conntally_netlink_overruns_total")

    def stop(self):
        after = self._figures()
        self.daemon.close()
        return tuple(int(now - then) for now, then in zip(after, self.before))


class ConntrackTool:
    name = "conntrack -E"

    def __init__(self, namespace):
        self.process = namespace.spawn("taskset", "-c", RECEIVER_CPU, "conntrack", "-E", "-b", 64 << 20, "-o", "id",
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        return None, None


def settled_cpu(pid, seconds=20):
    """CPU once the process has read what is still queued: 0.6 s without next to any, for it may be kept waiting itself."""
    looks = [cpu_seconds(pid)]
    for _ in range(int(seconds / 0.2)):
        time.sleep(0.2)
        looks.append(cpu_seconds(pid))
        if len(looks) > 3 and looks[-1] - looks[-4] < 0.01:
            break
    return looks[-1]


def churn(namespace, rate, seconds, arguments):
    done = namespace.run("taskset", "-c", SENDER_CPU, CT_LOAD, "churn", "--rate", rate, "--seconds", seconds, *arguments,
                         timeout=seconds * 10 + 120)
    result = json.loads(done.stdout.splitlines()[-1])
    result["events"] = result["new"] + result["update"] + result["destroy"]
    return result


def measure(namespace, make, rate, seconds, arguments):
    """One receiver through one stream: {ns per event, received, lost, rate}."""
    receiver = make(namespace)
    try:
        pid = receiver.process.pid
        idle = settled_cpu(pid)
        time.sleep(1.0)
        idle_rate = cpu_seconds(pid) - idle
        begun, begun_at, stat = cpu_seconds(pid), time.monotonic(), user_share(pid)
        sent = churn(namespace, rate, seconds, arguments)
        ended = settled_cpu(pid)
        spent = ended - begun - idle_rate * (time.monotonic() - begun_at)
        user, system = user_share(pid, stat)
    finally:
        received, lost = receiver.stop()
    return {"ns": spent / sent["events"] * 1e9, "sent": sent["events"], "received": received, "lost": lost,
            "rate": sent["rate"], "user": user / max(1, user + system), "cpu": spent}


def rounds(namespace, receivers, count, *stream):
    """{name: list of measures}, turn by turn."""
    results = {name: [] for name in receivers}
    for number in range(count):
        order = list(receivers.items())
        for name, make in order if number % 2 == 0 else reversed(order):
            results[name].append(measure(namespace, make, *stream))
    return results


def median(measures, key="ns"):
    values = [one[key] for one in measures if one[key] is not None]
    return statistics.median(values) if values else None


def ratio(measures, floor):
    return statistics.median(one["ns"] / other["ns"] for one, other in zip(measures, floor))


def print_receivers(title, results, floor_name):
    print(f"\n{title}")
    print(f"  {'':<24} {'ns/event':>9} {'ratio':>6} {'user':>6} {'sent':>10} {'received':>10} {'lost':>8}")
    for name, measures in results.items():
        received, lost = (sum(one[key] for one in measures) if measures[0][key] is not None else "-"
                          for key in ("received", "lost"))
        print(f"  {name:<24} {median(measures):>9.0f} {ratio(measures, results[floor_name]):>6.2f} "
              f"{median(measures, 'user'):>6.0%} {sum(one['sent'] for one in measures):>10} {received:>10} {lost:>8}", flush=True)


def receive(options):
    receivers = {Bare.name: Bare, Conntally.name: Conntally}
    for number, binary in enumerate(options.compare):
        receivers[f"{Conntally.name}, other {number + 1}"] = lambda namespace, binary=binary: Conntally(namespace, binary)
    if not options.no_conntrack:
        receivers[ConntrackTool.name] = ConntrackTool
    streams = [("NEW + DESTROY, 10,000 sources", rate, UDP + ("--sources", 10_000, "--live", 10_000)) for rate in options.rates]
    streams += [("TCP lifecycle, 10,000 sources", rate, TCP + ("--sources", 10_000, "--live", 10_000)) for rate in options.rates]
    streams += [("NEW + DESTROY, 100,000 sources", 100_000, UDP + ("--sources", 100_000, "--live", 200_000))]
    for what, rate, arguments in streams:
        if options.only and options.only not in what:
            continue
        with Namespace() as namespace:
            results = rounds(namespace, receivers, options.rounds, rate, options.seconds, arguments)
        achieved = median(results[Bare.name], "rate")
        print_receivers(f"{what}, {rate}/s asked, {achieved:.0f}/s sent", results, Bare.name)
    if options.only and options.only not in "NEW + DESTROY, 100,000 sources, 1,000,000 live":
        return
    with machine_sysctls(net__netfilter__nf_conntrack_max=1_400_000), Namespace() as namespace:
        ct_load(namespace, "create", "--count", 1_000_000, "--sources", 100_000, "--source-offset", 1_000_000, *UDP)
        receivers.pop(ConntrackTool.name, None)
        results = rounds(namespace, receivers, options.rounds, 100_000, options.seconds,
                         UDP + ("--sources", 100_000, "--live", 100_000))
    print_receivers("NEW + DESTROY, 100,000 sources, 1,000,000 live entries behind it, 100000/s asked", results, Bare.name)


def sustained(options):
    print(f"\n150,000 events/s for {options.sustained_seconds} s, conntally on one CPU")
    with Namespace() as namespace:
        for what, arguments in (("NEW + DESTROY", UDP), ("TCP lifecycle", TCP)):
            one = measure(namespace, Conntally, 150_000, options.sustained_seconds,
                          arguments + ("--sources", 10_000, "--live", 10_000))
            print(f"  {what:<16} sent {one['sent']} ({one['rate']:.0f}/s), received {one['received']}, lost {one['lost']}, "
                  f"CPU {one['cpu'] / options.sustained_seconds:.0%} ({one['ns']:.0f} ns/event)", flush=True)


def updates(options):
    """Receiver and sender per TCP connection, with and without the UPDATE group."""
    receivers = {
        "no listener": None,
        "NEW, DESTROY": lambda namespace: Bare(namespace, "--no-update"),
        "UPDATE filtered by BPF": lambda namespace: Bare(namespace, "--bpf-drop-update"),
        "NEW, UPDATE, DESTROY": Bare,
        "conntally": Conntally,
    }
    figures = {name: [] for name in receivers}
    with Namespace() as namespace:
        for _ in range(options.rounds):
            for name, make in receivers.items():
                receiver = make(namespace) if make else None
                before = cpu_seconds(receiver.process.pid) if receiver else 0
                usage = os.times()
                sent = churn(namespace, 80_000, options.seconds, TCP + ("--sources", 10_000, "--live", 1_000))
                spent = os.times()
                sender = (spent.children_user + spent.children_system - usage.children_user - usage.children_system)
                own = settled_cpu(receiver.process.pid) - before if receiver else 0
                if receiver:
                    receiver.stop()
                figures[name].append((own / sent["new"] * 1e6, sender / sent["new"] * 1e6))
    print("\nµs of CPU per TCP connection (NEW, 6 UPDATEs, DESTROY through ctnetlink), 10,000 connections/s")
    print(f"  {'subscribed to':<26} {'receiver':>9} {'sender':>9}")
    for name, pairs in figures.items():
        print(f"  {name:<26} {statistics.median(p[0] for p in pairs):>9.2f} {statistics.median(p[1] for p in pairs):>9.2f}")


def bare_dump(namespace):
    done = namespace.run("taskset", "-c", RECEIVER_CPU, BARE, "dump")
    return json.loads(done.stdout.splitlines()[-1])["cpu_seconds"]


def dump(options):
    entries = options.entries
    print(f"\nA start over {entries} entries")
    for family, share in (("IPv4", 0.0), ("IPv6", 1.0)):
        with machine_sysctls(net__netfilter__nf_conntrack_max=entries + 300_000), Namespace() as namespace:
            with Conntally(namespace).daemon as empty:
                base = rss_bytes(empty.process.pid)
            ct_load(namespace, "create", "--count", entries, "--sources", 20_000, "--ipv6-share", share, *UDP)
            floor, ours = [], []
            for _ in range(min(options.rounds, 5)):
                floor.append(bare_dump(namespace))
                conntally = Conntally(namespace)
                ours.append(settled_cpu(conntally.process.pid))
                grown = rss_bytes(conntally.process.pid) - base
                if family == "IPv4" and len(ours) == 1:
                    print_scrapes(conntally.daemon)
                conntally.stop()
            quotient = statistics.median(a / b for a, b in zip(ours, floor))
            print(f"  {family}: CPU {statistics.median(ours):.2f} s, bare recv of the dump {statistics.median(floor):.2f} s, "
                  f"ratio {quotient:.2f}; {grown / entries:.0f} B a connection", flush=True)


def print_scrapes(daemon):
    print(f"  {'/metrics, export_top':<24} {'CPU ms':>8} {'bytes':>10}")
    for top in (50, 1_000, 10_000):
        daemon.write_config(f"sources: {{export_top: {top}}}\nconntrack: {{receive_buffer_bytes: 67108864}}\n")
        daemon.signal(1)
        time.sleep(2.5)
        body = daemon.get("/metrics").body
        before, at = cpu_seconds(daemon.process.pid), time.monotonic()
        for _ in range(20):
            daemon.get("/metrics")
        spent, lasted = cpu_seconds(daemon.process.pid) - before, time.monotonic() - at
        idle = cpu_seconds(daemon.process.pid)
        time.sleep(2)
        idle = (cpu_seconds(daemon.process.pid) - idle) / 2
        print(f"  {top:<24} {(spent - idle * lasted) / 20 * 1e3:>8.2f} {len(body):>10}", flush=True)


def idle(options):
    for sources in (1_000, 60_000):
        with Namespace() as namespace:
            ct_load(namespace, "create", "--count", sources, "--sources", sources, "--protocol", "tcp", "--timeout", 3600, "--tcp-state", "established", "--replied-every", 1)
            for binary in (BINARY, *options.compare):
                daemon = Conntally(namespace, binary).daemon
                time.sleep(30)  # until no opening is recent
                before = by_thread(daemon.process.pid)
                time.sleep(options.sustained_seconds)
                shares = {name: (spent - before.get(name, 0)) / options.sustained_seconds * 100
                          for name, spent in by_thread(daemon.process.pid).items()}
                daemon.close()
                threads = ", ".join(f"{name} {share:.3f}" for name, share in sorted(shares.items(), key=lambda one: -one[1]) if share >= 0.005)
                print(f"  idle, {sources:>6} sources: {sum(shares.values()):.2f} % of a core ({threads})  {binary}", flush=True)


def source_table(_):
    print()
    sys.stdout.flush()
    subprocess.run([BENCH_SOURCE_TABLE], check=True)


def main():
    sections = {one.__name__: one for one in (receive, sustained, updates, dump, idle, source_table)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(sections))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--sustained-seconds", type=float, default=60)
    parser.add_argument("--rates", type=lambda text: [int(rate) for rate in text.split(",")], default=[20_000, 100_000, 150_000])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--only", help="of `receive`, the streams whose title contains this")
    parser.add_argument("--compare", action="append", default=[], metavar="BINARY", help="another conntally, in turn with this one")
    parser.add_argument("--no-conntrack", action="store_true", help="without conntrack -E")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(sections):
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(sections)}")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("interrupted"))  # so that everything changed is put back
    with alone_on_this_machine():
        for name in options.sections or sections:
            sections[name](options)


main()

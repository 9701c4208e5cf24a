"""Conntrack events by BPF, where the kernel lets them be had: exact in every form, against the kernel's own list and beside a daemon that
listens by netlink. Run inside an emulated machine (see ../on_kernel.py): the kernels of others may refuse tracing."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../netns"))
from harness import *
from nobodys_daemon import NobodysDaemon, nobody_with

BPF = "conntrack: {event_source: bpf, reconcile_interval: 60s}\n"
NETLINK = "conntrack: {event_source: netlink, reconcile_interval: 60s}\n"
CORRECTIONS = "conntally_reconcile_corrections_total"
EVENTS = "conntally_events_total"
PINS = pathlib.Path("/sys/fs/bpf/conntally")
NEWER = tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (6, 12)


def source_of(daemon):
    return [dict(labels)["source"] for labels in daemon.metrics().series("conntally_event_source_info")]


def events(daemon):
    metrics = daemon.metrics()
    return {kind: metrics.value(EVENTS, event=kind) for kind in ("new", "update", "destroy")}


def corrections(daemon):
    metrics = daemon.metrics()
    return {kind: metrics.value(CORRECTIONS, kind=kind) for kind in ("missed", "stale")}


def ready_by_bpf(daemon, way=None):
    print(f"  ready after {daemon.wait_ready(60):.1f} s")
    assert source_of(daemon) == ["bpf"], daemon.log
    if way:
        assert f"events come by bpf ({way})" in daemon.log, daemon.log


def insert(namespace, *words, seconds=600):
    namespace.run("conntrack", "-I", "-t", seconds, *words)


def test_every_form_is_as_the_kernel_lists_it():
    plan = ["--count", 3_000, "--sources", 100, "--ipv6-share", 0.3, "--protocol", "mixed"]
    with Namespace() as namespace, Daemon(namespace, BPF) as daemon:
        ready_by_bpf(daemon, "fentry")
        ct_load(namespace, "create", *plan)
        daemon.wait_equal(5, states=True)
        ct_load(namespace, "update", *plan)
        daemon.wait_equal(5, states=True)
        ct_load(namespace, "delete", *plan)
        daemon.wait_equal(5)

        # The same tuple in several zones, of both directions and of one; ICMP; a flow with a translated address.
        udp = ["-s", "192.0.2.9", "-d", "198.51.100.1", "-p", "udp", "--sport", 1000, "--dport", 53]
        insert(namespace, *udp)
        insert(namespace, *udp, "--zone", 5)
        insert(namespace, *udp[:-3], 1001, "--dport", 53, "--orig-zone", 6)
        insert(namespace, *udp[:-3], 1002, "--dport", 53, "--reply-zone", 7)
        insert(namespace, "-s", "192.0.2.10", "-d", "198.51.100.1", "-p", "tcp", "--sport", 2000, "--dport", 80, "--state", "ESTABLISHED",
               "-u", "ASSURED,SEEN_REPLY", "--src-nat", "203.0.113.1")
        insert(namespace, "-s", "2001:db8::5", "-d", "2001:db8::6", "-p", "icmpv6", "--icmpv6-type", 128, "--icmpv6-code", 0,
               "--icmpv6-id", 77)
        daemon.wait_equal(5, states=True)
        namespace.run("conntrack", "-F")
        daemon.wait_equal(5)
        assert daemon.metrics().sum("conntally_connections") == count(namespace) == 0
        assert corrections(daemon) == {"missed": 0, "stale": 0}
        assert daemon.metrics().value("conntally_netlink_events_lost_total") == 0


def test_what_expires_is_told():
    with Namespace() as namespace, Daemon(namespace, BPF) as daemon:
        ready_by_bpf(daemon)
        ct_load(namespace, "create", "--count", 200, "--sources", 20, "--timeout", 3)
        daemon.wait_equal(5)
        time.sleep(4)
        namespace.run("conntrack", "-L")  # listing evicts what has expired
        wait_until(lambda: daemon.metrics().sum("conntally_connections") == 0, 10, "the expired are gone")
        assert events(daemon)["destroy"] == 200
        assert daemon.metrics().sum("conntally_connections_closed_total") == 200
        assert corrections(daemon) == {"missed": 0, "stale": 0}


# The scrapes over loopback are not tracked: each would change what is compared.
RULES = """
table inet t {
  chain raw {
    type filter hook prerouting priority -300;
    iifname "lo" notrack
  }
  chain raw_out {
    type filter hook output priority -300;
    oifname "lo" notrack
  }
  chain in {
    type filter hook input priority 0;
    ct state new counter
  }
  chain post {
    type nat hook postrouting priority 100;
    oifname "to-there" counter masquerade
  }
}
"""


def test_real_connections_are_told_as_netlink_tells_them():
    with Namespace("here") as here, Namespace("there") as there:
        veth(here, "to-there", ["192.0.2.1/24"], there, "to-here", ["192.0.2.2/24", "192.0.2.3/24"])
        here.nft(RULES)
        here.sysctl("net.netfilter.nf_conntrack_timestamp", 1)
        with Daemon(here, BPF) as by_bpf, Daemon(here, NETLINK + "web: {listen_address: '127.0.0.1:9106'}\n", port=9106) as by_netlink:
            ready_by_bpf(by_bpf)
            by_netlink.wait_ready(60)
            before = events(by_bpf), events(by_netlink)
            with here.socket() as listener:
                listener.bind(("192.0.2.1", 7000))
                listener.listen()
                held = [there.connect("192.0.2.1", 7000) for _ in range(50)]
                accepted = [listener.accept()[0] for _ in held]
                for end in accepted[:20] + held[:20]:
                    end.close()
                by_bpf.wait_equal(10, states=True)
                here.run("conntrack", "-U", "-p", "tcp", "-m", "7", check=False)
                here.run("conntrack", "-D", "-p", "tcp", "--dport", 7000, check=False)
                by_bpf.wait_equal(10)
                for end in accepted[20:] + held[20:]:
                    end.close()

            def told():
                after = events(by_bpf), events(by_netlink)
                return [{kind: end[kind] - start[kind] for kind in end} for start, end in zip(before, after)]

            # The kernel skips the program where one run of it would interrupt another on the same CPU, and counts that.
            def skipped():
                return by_bpf.metrics().value("conntally_netlink_events_lost_total")

            def as_many():
                ours, theirs = told()
                return all(ours[kind] <= theirs[kind] for kind in ours) and sum(ours.values()) + skipped() == sum(theirs.values())

            wait_until(as_many, 10, lambda: f"as many events by both ways: {told()}, {skipped():.0f} skipped")
            print(f"  {told()[0]}, {skipped():.0f} skipped")
            assert skipped() < 20 and told()[1]["new"] >= 50 and told()[1]["destroy"] >= 50 and told()[1]["update"] >= 100
            ours, theirs = (daemon.metrics().value("conntally_connection_duration_seconds_count") for daemon in (by_bpf, by_netlink))
            assert 0 <= theirs - ours <= skipped(), (ours, theirs)


def test_other_namespaces_are_not_told_of():
    with Namespace() as namespace, Namespace("other") as other, Daemon(namespace, BPF) as daemon:
        ready_by_bpf(daemon)
        ct_load(other, "create", "--count", 500)
        ct_load(namespace, "create", "--count", 10)
        daemon.wait_equal(5)
        assert events(daemon) == {"new": 10, "update": 0, "destroy": 0}, f"{events(daemon)} {corrections(daemon)} lost {daemon.metrics().value('conntally_netlink_events_lost_total')}"


def test_what_a_small_ring_loses_is_counted_one_by_one_and_mended():
    with Namespace() as namespace, Daemon(namespace, BPF.replace("bpf,", "bpf, receive_buffer_bytes: 4096,")) as daemon:
        ready_by_bpf(daemon)
        ct_load(namespace, "create", "--count", 20_000, "--sources", 500)
        daemon.wait_equal(20)
        metrics = daemon.metrics()
        new, lost = events(daemon)["new"], metrics.value("conntally_netlink_events_lost_total")
        print(f"  {new:.0f} told, {lost:.0f} lost")
        assert lost > 0 and new + lost == 20_000
        assert metrics.value("conntally_reconciles_total", reason="overrun") >= 1
        wait_until(lambda: daemon.metrics().value("conntally_synced") == 1, 10, "synced again")
        # Losses that are told are no reason to distrust it.
        assert source_of(daemon) == ["bpf"]


def test_a_churn_is_followed_exactly():
    with Namespace() as namespace, Daemon(namespace, "conntrack: {event_source: bpf, reconcile_interval: 2s}\n") as daemon:
        ready_by_bpf(daemon)
        ct_load(namespace, "churn", "--rate", 3_000, "--seconds", 12, "--live", 3_000, "--keep")
        daemon.wait_equal(10)
        metrics = daemon.metrics()
        assert metrics.value("conntally_reconciles_total", reason="interval") >= 3
        assert metrics.value("conntally_netlink_events_lost_total") == 0
        assert corrections(daemon) == {"missed": 0, "stale": 0}
        opened, closed = (metrics.sum(f"conntally_connections_{what}_total") for what in ("opened", "closed"))
        assert opened - closed == metrics.sum("conntally_connections") == count(namespace)
        assert (opened, closed) == (events(daemon)["new"], events(daemon)["destroy"])


def test_killed_it_leaves_nothing_and_starts_again():
    with Namespace() as namespace, Daemon(namespace, BPF) as daemon:
        ready_by_bpf(daemon)
        ct_load(namespace, "create", "--count", 300)
        daemon.kill()
        wait_until(lambda: "on_event" not in run("bpftool", "prog", "list").stdout, 5, "no program of it")
        ct_load(namespace, "create", "--first", 300, "--count", 200)
        daemon.start()
        ready_by_bpf(daemon)
        ct_load(namespace, "delete", "--count", 500)
        daemon.wait_equal(10)


def test_without_the_administrators_capability():
    capabilities = nobody_with("net_admin", "bpf", "perfmon")
    with Namespace() as namespace:
        namespace.sysctl("net.netfilter.nf_conntrack_events", 1)
        with NobodysDaemon(namespace, capabilities, "conntrack: {event_source: auto}\n") as daemon:
            daemon.wait_ready(60)
            print("\n".join(f"  {line}" for line in daemon.log.splitlines() if "events come by" in line))
            assert source_of(daemon) == ["bpf" if NEWER else "netlink"], daemon.log
            ct_load(namespace, "create", "--count", 2_000, "--sources", 50, "--protocol", "mixed", "--ipv6-share", 0.5)
            daemon.wait_equal(5, states=True)
            ct_load(namespace, "delete", "--count", 2_000, "--sources", 50, "--protocol", "mixed", "--ipv6-share", 0.5)
            daemon.wait_equal(5)
            assert events(daemon)["new"] == events(daemon)["destroy"] == 2_000
            assert corrections(daemon) == {"missed": 0, "stale": 0}


class Inside(Namespace):
    """Whose commands see the machine's own /sys, which `ip netns exec` hides."""

    def command(self, *command):
        return ["nsenter", f"--net=/run/netns/{self.name}", *map(str, command)]


def pinned():
    return sorted(path.name for path in PINS.iterdir()) if PINS.exists() else []


def test_what_root_pinned_is_opened_by_who_may_load_nothing():
    run("systemd-sysusers", "--inline", "g conntally-bpf -")
    reader = nobody_with("net_admin")
    reader[reader.index("--clear-groups")] = "--groups=conntally-bpf"
    with Inside() as namespace:
        namespace.sysctl("net.netfilter.nf_conntrack_events", 1)
        run(BINARY, "bpf-events", "pin", "--config", "/dev/null")
        try:
            assert pinned() == ["counters", "link", "program", "records"]
            with NobodysDaemon(namespace, reader, BPF) as daemon:
                ready_by_bpf(daemon, "pinned")
                ct_load(namespace, "create", "--count", 1_000)
                daemon.wait_equal(5)
                assert events(daemon)["new"] == 1_000
                # The ring has one reader.
                with Daemon(namespace, NETLINK.replace("netlink", "auto") + "web: {listen_address: '127.0.0.1:9106'}\n", port=9106) as second:
                    second.wait_ready(60)
                    assert "events come by bpf (fentry)" in second.log, second.log
                daemon.kill()
                ct_load(namespace, "create", "--first", 1_000, "--count", 500)
                daemon.start()
                ready_by_bpf(daemon, "pinned")
                ct_load(namespace, "delete", "--count", 1_500)
                daemon.wait_equal(10)
                assert events(daemon)["destroy"] == 1_500
                assert corrections(daemon) == {"missed": 0, "stale": 0}
            # Who is not in the group sees nothing of it.
            with NobodysDaemon(namespace, nobody_with("net_admin"), "{}\n") as stranger:
                stranger.wait_ready(60)
                assert source_of(stranger) == ["netlink"]
        finally:
            run(BINARY, "bpf-events", "unpin")
        assert not pinned()
        # The kernel frees it a moment later.
        wait_until(lambda: "on_event" not in run("bpftool", "prog", "list").stdout, 5, "no program of it")


def test_where_it_cannot_be_had_bpf_is_an_error_and_auto_is_netlink():
    capabilities = nobody_with("net_admin")
    with Namespace() as namespace, NobodysDaemon(namespace, capabilities, BPF) as daemon:
        daemon.wait_listening(60)
        wait_until(lambda: daemon.metrics().value("conntally_collector_success", collector="conntrack") == 0, 20, "a collector that fails")
        status = daemon.get("/api/v1/status").text
        assert "lacks CAP_BPF and CAP_PERFMON" in status and "auto takes netlink" in status, status


main()

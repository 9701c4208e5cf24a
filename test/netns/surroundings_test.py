#!/usr/bin/env python3
"""What happens to the machine around a daemon that runs: the clock is set, it gets no CPU, it is frozen, an interface goes, descriptors run out.
Its tallies are exact afterwards, its counters have not fallen, and nobody was woken for nothing."""

import contextlib
import datetime
import struct
import subprocess
import tempfile

from harness import *

# In a short run less, and long enough for each of its rounds to be missed.
WITHOUT_CPU_SECONDS = 30 if FULL else 8
CONFIG = "conntrack: {reconcile_interval: 3s}\nrules: {poll_interval: 500ms}\n"
PLAN = ["--sources", 20, "--protocol", "mixed"]
RULES = """
table inet filter {
  chain input {
    type filter hook input priority 0
    udp dport 5353 counter drop
  }
}
"""


def alarms(daemon):
    """What wakes somebody."""
    return {dict(labels)["alert"] for labels, value in daemon.metrics().series("conntally_alert_firing").items()
            if value == 1 and dict(labels)["severity"] != "info"}


def all_well(daemon):
    metrics = daemon.metrics()
    return metrics.value("conntally_synced") == 1 and 0 not in metrics.series("conntally_collector_success").values()


@contextlib.contextmanager
def unharmed(daemon, due=(), seconds=15):
    """What is done within leaves it exact, well, and with all that it counted."""
    before = daemon.metrics()
    yield
    start = time.monotonic()
    wait_until(lambda: all_well(daemon), seconds, "all collectors work")
    daemon.wait_equal(seconds)
    after = daemon.metrics()
    print(f"  well and exact again after {time.monotonic() - start:.1f} s")
    check_invariants(after, before)
    assert alarms(daemon) <= set(due), alarms(daemon)


@contextlib.contextmanager
def running(prefix=(), arguments=()):
    with Namespace() as namespace:
        namespace.nft(RULES)
        with Daemon(namespace, CONFIG, arguments, prefix) as daemon:
            daemon.wait_ready()
            ct_load(namespace, "create", "--count", 2_000, *PLAN)
            daemon.wait_equal(10)
            yield namespace, daemon


def when(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_a_clock_that_is_set_changes_no_tally_and_wakes_nobody():
    library = CT_LOAD.parent / "libshifted_clock.so"
    if not library.exists():
        print("  not with a sanitizer, which is to be loaded first")
        return
    with tempfile.NamedTemporaryFile() as shift:
        shift.write(struct.pack("q", 0))
        shift.flush()
        os.chmod(shift.name, 0o644)
        # Whatever the time zone, what it writes is UTC.
        prefix = ["env", f"LD_PRELOAD={library}", f"SHIFTED_CLOCK={shift.name}", "TZ=Pacific/Kiritimati"]
        with running(prefix) as (namespace, daemon):

            def set_clock(offset):
                shift.seek(0)
                shift.write(struct.pack("q", offset))
                shift.flush()

            for number, offset in enumerate((3600, -3600, 0, 86_400 * 400, 0)):
                with unharmed(daemon):
                    set_clock(offset)
                    ct_load(namespace, "create", "--count", 100, "--first", 2_000 + 100 * number, *PLAN)
                    daemon.wait_equal(3)
                    time.sleep(4)
                status = daemon.get("/api/v1/status").json()
                apart = when(status["now"]).timestamp() - time.time() - offset
                assert abs(apart) < 60, f"it says {status['now']} when the clock is {offset} s off"
                last = daemon.metrics().value("conntally_last_reconcile_timestamp_seconds") - time.time() - offset
                assert abs(last) < 60, f"the last comparison is {last:.0f} s from now"
                # Nobody who holds connections is forgotten, however old they seem.
                assert len(daemon.sources()["sources"]) == 20
                assert daemon.get("/api/v1/history").status == 200
            # Set several times within a second, while sources have no connections.
            for change in "create", "delete":
                ct_load(namespace, change, "--count", 30, "--sources", 30, "--source-offset", 5_000, "--protocol", "udp")
                daemon.wait_equal(3)
            with unharmed(daemon):
                for offset in (3600, -3600, 7200, 0):
                    set_clock(offset)
                    daemon.sources()
                time.sleep(2)
                assert daemon.sources()["total"] == 50
            pending = [alert["alert"] for alert in daemon.get("/api/v1/alerts").json()["alerts"] if alert["state"] != "resolved"]
            assert "ConntallyDegraded" not in pending, pending
            written = when(daemon.log.splitlines()[0].split()[0])
            assert abs(written.timestamp() - time.time()) < 600, "the log is not in UTC"


def without_cpu(namespace, daemon, stop, go_on):
    with unharmed(daemon, due={"ConntallyDegraded"}):
        stop()
        try:
            time.sleep(1)
            ct_load(namespace, "create", "--count", 5_000, "--first", 2_000, *PLAN)
            namespace.nft(RULES.replace("5353", "5354"))
            ct_load(namespace, "delete", "--count", 3_000, *PLAN)
            time.sleep(WITHOUT_CPU_SECONDS - 1)
        finally:
            go_on()
    assert daemon.metrics().sum("conntally_connections") == count(namespace) == 4_000


def test_without_cpu_for_a_while_it_is_exact_soon_after():
    with running() as (namespace, daemon):
        without_cpu(namespace, daemon, lambda: daemon.signal(signal.SIGSTOP), lambda: daemon.signal(signal.SIGCONT))


@contextlib.contextmanager
def control_group():
    """(its folder, the file that freezes it, how to freeze and how to thaw)."""
    for root, file, frozen, thawed in (("/sys/fs/cgroup/freezer", "freezer.state", "FROZEN", "THAWED"), ("/sys/fs/cgroup", "cgroup.freeze", "1", "0")):
        group = pathlib.Path(root, f"conntally-test-{os.getpid()}")
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / file).exists():
                yield group, group / file, frozen, thawed
                return
        finally:
            home = pathlib.Path(root, "cgroup.procs")
            for process in (group / "cgroup.procs").read_text().split():
                with contextlib.suppress(OSError):
                    home.write_text(process)
            group.rmdir()
    yield None


def test_frozen_as_by_a_suspend_it_is_exact_soon_after():
    with running() as (namespace, daemon), control_group() as group:
        if group is None:
            print("  this machine gives no control group that freezes")
            return
        folder, file, frozen, thawed = group
        (folder / "cgroup.procs").write_text(str(daemon.process.pid))
        without_cpu(namespace, daemon, lambda: file.write_text(frozen), lambda: file.write_text(thawed))


def test_an_interface_that_goes_takes_nothing_with_it():
    """That of the daemon's own address, too: it answers there again as soon as the address is back."""
    address = "198.51.100.1"
    with Namespace() as namespace:
        def plug_in():
            namespace.ip("link", "add", "wan", "type", "veth", "peer", "name", "wan-peer")
            namespace.ip("addr", "add", f"{address}/24", "dev", "wan")
            for name in "wan", "wan-peer":
                namespace.ip("link", "set", name, "up")

        plug_in()
        namespace.nft(RULES.replace("udp dport", 'iifname "wan" udp dport'))
        with Daemon(namespace, CONFIG, [f"--web.listen-address={address}:9105"], host=address) as daemon:
            daemon.wait_ready()
            ct_load(namespace, "create", "--count", 500, *PLAN)
            daemon.wait_equal(10)
            with unharmed(daemon):
                for number in range(3):
                    namespace.ip("link", "del", "wan")
                    ct_load(namespace, "create", "--count", 100, "--first", 500 + 100 * number, *PLAN)
                    time.sleep(2)
                    plug_in()
                    claim("answers again", daemon.wait_listening(5), 1)
            assert daemon.process.poll() is None


def test_out_of_descriptors_it_serves_on_when_there_are_some_again():
    with running() as (namespace, daemon):
        with unharmed(daemon):
            held = len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
            limit = run("prlimit", "--nofile", "--raw", "--noheadings", "-o", "SOFT", "--pid", daemon.process.pid).stdout.strip()
            run("prlimit", f"--nofile={held + 2}:", "--pid", daemon.process.pid)
            waiting = [namespace.connect("127.0.0.1", 9105) for _ in range(20)]
            namespace.nft("add table inet other; delete table inet other")
            daemon.wait_for_log("no HTTP connection can be accepted: Too many open files")
            time.sleep(3)
            run("prlimit", f"--nofile={limit}:", "--pid", daemon.process.pid)
            for connection in waiting:
                connection.close()
            claim("answers again", daemon.wait_listening(5), 1)
        assert daemon.log.count("no HTTP connection can be accepted") == 1, "told again and again"


def test_a_ruleset_flushed_ten_times_a_second_blinds_nothing():
    with running() as (namespace, daemon):
        with unharmed(daemon), scraped_all_along(daemon):
            flushing = namespace.spawn("sh", "-c", "while :; do nft flush ruleset; sleep 0.1; nft -f /dev/stdin <<END\n" + RULES + "\nEND\ndone",
                                       stderr=subprocess.DEVNULL)
            try:
                for number in range(8):
                    ct_load(namespace, "create", "--count", 100, "--first", 2_000 + 100 * number, *PLAN)
                    time.sleep(1)
            finally:
                flushing.kill()
                flushing.wait()


main()

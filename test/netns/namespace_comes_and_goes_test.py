#!/usr/bin/env python3
"""`--netns NAME`: the name may come after the daemon, go, and come back as another namespace."""

import tempfile

from firewall import *
from harness import *
from namespaces import _remove_namespace

RULE = "udp dport 7301 counter drop"
RULES = "table inet kept {\nchain input {\ntype filter hook input priority 0;\nct state new counter\n" + RULE + "\n}\n}\n"


def entry(namespace, source):
    namespace.run("conntrack", "-I", "-p", "tcp", "-s", source, "-d", "192.0.2.1", "--sport", "1", "--dport", "80",
                  "--state", "ESTABLISHED", "-t", "300", "-u", "ASSURED")


def collectors(daemon, success):
    return {dict(labels)["collector"] for labels, value in daemon.metrics().series("conntally_collector_success").items() if value == success}


def counted(daemon):
    return sum(daemon.metrics().series("conntally_rule_packets_total", rule=RULE).values())


def dropped(daemon):
    return sum(daemon.metrics().series("conntally_source_dropped_packets_total", source="127.0.0.1", via="ebpf").values())


def listed(daemon):
    # Loopback confirms connections before the input chain drops their packets.
    return {row["source"] for row in daemon.sources()["sources"] if row["connections"] > 0} - {"127.0.0.1"}


def is_synced(daemon):
    return daemon.metrics().value("conntally_synced") == 1


def test_a_namespace_that_comes_after_the_daemon_goes_and_comes_back():
    with Namespace("home") as home:
        away = Namespace("away")
        with Daemon(home, QUICK, arguments=["--netns", away.name]) as daemon:
            daemon.wait_listening()
            wait_until(lambda: {"conntrack", "nftables", "table", "ebpf"} <= collectors(daemon, 0), 5, "that nothing can be read yet")
            assert not is_synced(daemon) and daemon.status_of("/readyz") == 503
            daemon.wait_for_log(f"there is no network namespace /run/netns/{away.name}")

            with away:
                away.nft(RULES)
                entry(away, "192.0.2.7")
                daemon.wait_ready()
                wait_until(lambda: daemon.metrics().series("conntally_rule_packets_total", rule=RULE), 5, "the rules")
                wait_until(lambda: not collectors(daemon, 0), 5, "that every collector works")
                wait_for_polls(daemon)  # drops from before the first reading cannot be told whose they are
                send_udp(away, 7301, 5)
                wait_until(lambda: counted(daemon) == 5 and dropped(daemon) == 5, 10, "5 packets counted and dropped")
                wait_until(lambda: listed(daemon) == {"192.0.2.7"}, 5, "its connections")

                with scraped_all_along(daemon):
                    old = os.stat(f"/run/netns/{away.name}").st_ino
                    _remove_namespace(away.name)
                    wait_until(lambda: not is_synced(daemon), 5, "that the tallies are known to be stale")
                    wait_until(lambda: {"conntrack", "nftables", "table", "ebpf"} <= collectors(daemon, 0), 5, "that no collector passes for healthy")
                    wait_until(lambda: not kept_by(daemon, old), 5, "that the daemon lets go of the deleted namespace")

                    away.__enter__()
                    away.nft(RULES)
                    entry(away, "192.0.2.8")
                    send_udp(away, 7301, 3)
                    wait_until(lambda: is_synced(daemon) and listed(daemon) == {"192.0.2.8"}, 10, "the new namespace's connections alone")
                    wait_until(lambda: counted(daemon) == 8 and not collectors(daemon, 0), 10, "that its rules count on")
                    send_udp(away, 7301, 2)
                    wait_until(lambda: counted(daemon) == 10 and dropped(daemon) >= 7, 10, "that its drops are seen")

                    # Replaced between two looks: nobody ever sees the name absent.
                    _remove_namespace(away.name)
                    away.__enter__()
                    entry(away, "192.0.2.9")
                    wait_until(lambda: is_synced(daemon) and listed(daemon) == {"192.0.2.9"}, 10, "the third namespace's connections alone")


def kept_by(daemon, inode):
    """Threads of the daemon that are still in a namespace."""
    threads = pathlib.Path(f"/proc/{daemon.process.pid}/task").iterdir()
    return [thread for thread in threads if os.stat(thread / "ns/net").st_ino == inode]


def test_what_is_no_network_namespace_is_refused_at_start():
    with Namespace() as namespace, tempfile.TemporaryDirectory() as folder:
        os.mkfifo(f"{folder}/pipe")  # and it is not waited for
        for path in ("/tmp", "/etc/passwd", "/proc/self/ns/mnt", f"{folder}/pipe"):
            done = namespace.run(BINARY, "--netns", path, check=False, timeout=10 * SLOWNESS)
            assert done.returncode == 1 and f"{path} is not a network namespace" in done.stdout + done.stderr, done
            asked = namespace.run(BINARY, "diagnose", "--netns", path, check=False)
            assert asked.returncode == 2 and f"{path} is not a network namespace" in asked.stdout + asked.stderr, asked


main()

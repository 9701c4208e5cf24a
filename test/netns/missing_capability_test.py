#!/usr/bin/env python3
"""What the daemon may not do it says, with the remedy, and stays up; CAP_NET_ADMIN alone is enough."""

import contextlib
import subprocess

from harness import *
from nobodys_daemon import NET_ADMIN, NOTHING, NobodysDaemon, nobody_with

ROOT_WITHOUT = ["setpriv", "--bounding-set", "-{}", "--inh-caps", "-all"]


def test_without_any_capability_it_stays_up_and_says_what_is_missing():
    with Namespace() as namespace, NobodysDaemon(namespace, NOTHING) as daemon:
        daemon.wait_listening()
        daemon.wait_for_log("CAP_NET_ADMIN")
        assert daemon.status_of("/healthz") == 200
        assert daemon.status_of("/readyz") == 503
        metrics = daemon.metrics()
        assert metrics.value("conntally_collector_success", collector="conntrack") == 0
        assert metrics.value("conntally_synced") == 0
        assert metrics.value("conntally_up") == 1
        check_invariants(metrics)
        with contextlib.suppress(subprocess.TimeoutExpired):  # longer than it takes to try again
            raise AssertionError(f"it ended with {daemon.process.wait(2)}")
        assert daemon.status_of("/healthz") == 200, "it didn't stay up"


def test_as_nobody_with_net_admin_alone_it_counts():
    with Namespace() as namespace, NobodysDaemon(namespace, NET_ADMIN) as daemon:
        daemon.wait_ready()
        ct_load(namespace, "create", "--count", 2_000, "--ipv6-share", 0.5)
        daemon.wait_equal(5)
        metrics = daemon.metrics()
        assert metrics.value("conntally_collector_success", collector="conntrack") == 1
        assert metrics.value("conntally_table_entries") == 2_000



def hiding(*folders):
    """The command with these empty."""
    hide = " && ".join(f"mount -t tmpfs none {folder}" for folder in folders)
    return ["unshare", "--mount", "sh", "-c", hide + ' && exec "$@"', "sh"]


def standing(namespace, prefix):
    """How the collectors stand: {name: "works", "fails", or why it is off}, once metrics say the same, and the log, once."""
    with NobodysDaemon(namespace, prefix) as daemon:
        daemon.wait_listening()
        known = lambda: daemon.get("/api/v1/status").json()["collectors"]
        wait_until(lambda: {"conntrack", "table", "nftables", "ebpf", "kernel_log", "nat"} <= known().keys() and
                   (known()["conntrack"]["success"] or "failure" in known()["conntrack"]), 10, "each collector has tried")
        found = {name: "works" if of["success"] else of.get("off", "fails") for name, of in known().items()}
        success = {dict(labels)["collector"]: value for labels, value in daemon.metrics().series("conntally_collector_success").items()}
        assert success == {name: how == "works" for name, how in found.items() if how in ("works", "fails")}, (found, success)
        for name, how in found.items():
            told = f"collector {name} fails: " if how == "fails" else how
            if how != "works":
                daemon.wait_for_log(told)
            # Why events come by netlink is told beside, perhaps by the same words.
            lines = [line for line in daemon.log.splitlines() if told in line and "events come by netlink" not in line]
            assert len(lines) == (how != "works"), f"{told}: {daemon.log}"
        return found


def test_what_a_capability_that_is_not_held_turns_off_is_off_and_names_it():
    core = {"conntrack", "table", "nat"}
    legacy = {"iptables-legacy", "ip6tables-legacy"}
    cases = [  # how it is started, what fails, what is off and for want of which capability
        (NOTHING, core, {"nftables": "NET_ADMIN", "iptables-legacy": "DAC_READ_SEARCH", "ebpf": "BPF"}),
        (NET_ADMIN, set(), {"iptables-legacy": "DAC_READ_SEARCH", "ip6tables-legacy": "DAC_READ_SEARCH", "ebpf": "PERFMON"}),
        (nobody_with("net_admin", "bpf"), set(), {"iptables-legacy": "DAC_READ_SEARCH", "ebpf": "PERFMON"}),
        (nobody_with("net_admin", "perfmon", "syslog"), set(), {"iptables-legacy": "DAC_READ_SEARCH", "ebpf": "BPF"}),
        (nobody_with("net_admin", "dac_read_search"), set(), {"ebpf": "BPF"}),
        (nobody_with("dac_read_search", "bpf", "perfmon"), core, {"nftables": "NET_ADMIN", "iptables-legacy": "NET_ADMIN"}),
        ([word.format("net_admin") for word in ROOT_WITHOUT], core, {"nftables": "NET_ADMIN", "iptables-legacy": "NET_ADMIN"}),
        ([word.format("dac_read_search") for word in ROOT_WITHOUT], set(), {}),
    ]
    with Namespace() as namespace:
        namespace.run("iptables-legacy", "-A", "INPUT", "-p", "udp", "--dport", "1", "-j", "DROP")
        for prefix, failing, off in cases:
            found = standing(namespace, prefix)
            what = f"{' '.join(prefix)}: {found}"
            assert {name for name, how in found.items() if how == "fails"} == failing, what
            for name, capability in off.items():
                assert f"CAP_{capability}" in found[name], what
            for name in ({"nftables"} | legacy) - off.keys() - ({"ip6tables-legacy"} if "iptables-legacy" in off else set()):
                assert found[name] == "works", what


def test_what_the_kernel_does_not_have_or_show_is_no_failure():
    with Namespace() as namespace:
        for folder, off in (("/proc/sys", None), ("/sys/kernel/btf", "ebpf")):
            found = standing(namespace, hiding(folder))
            assert "fails" not in found.values(), found
            assert off is None or "CONFIG_DEBUG_INFO_BTF" in found[off], found


main()

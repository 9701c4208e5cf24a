#!/usr/bin/env python3
"""With CAP_NET_ADMIN alone the rest is served, and what of the drops is off is named, with what it lacks."""

from dropped_traffic import client_and_host, dropped, send
from harness import *
from nobodys_daemon import NET_ADMIN, NobodysDaemon


def collectors(daemon):
    return daemon.get("/api/v1/status").json()["collectors"]


def test_ebpf_says_what_it_lacks_and_nflog_counts_instead():
    with client_and_host() as (client, host), NobodysDaemon(host, NET_ADMIN, "drops: {nflog_groups: [5]}\n") as daemon:
        host.nft('table inet t { chain input { type filter hook input priority 0; udp dport 7101 log prefix "drop" group 5 drop; }; }\n')
        daemon.wait_ready()
        daemon.wait_for_log("eBPF is off: needs CAP_BPF and CAP_PERFMON")
        daemon.wait_for_log("NFLOG group 5")
        found = collectors(daemon)
        assert "CAP_BPF" in found["ebpf"]["off"] and "CAP_PERFMON" in found["ebpf"]["off"], found
        assert found["nflog"]["success"] and found["conntrack"]["success"], found
        assert found["kernel_log"]["success"] or "CAP_SYSLOG" in found["kernel_log"]["off"], found
        for collector in ("conntrack", "nflog", "nftables"):
            wait_until(lambda: daemon.metrics().value("conntally_collector_success", collector=collector) == 1, 5, f"{collector} to work")
        # Off where it may be off is no failure.
        assert not daemon.metrics().series("conntally_collector_success", collector="ebpf")
        send(client, "10.0.0.1", 50, 7101)
        wait_until(lambda: dropped(daemon) == {("10.0.0.1", "drop", "nflog"): 50}, 5, "NFLOG counts")


def test_ebpf_that_was_asked_for_is_a_failure():
    with Namespace() as namespace, NobodysDaemon(namespace, NET_ADMIN, "drops: {ebpf: on}\n") as daemon:
        daemon.wait_ready()
        daemon.wait_for_log("collector ebpf fails: needs CAP_BPF")
        assert "CAP_BPF" in collectors(daemon)["ebpf"]["failure"]
        assert daemon.metrics().value("conntally_collector_success", collector="ebpf") == 0


main()

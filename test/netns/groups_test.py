#!/usr/bin/env python3
"""Named networks add up to the totals in every scrape, under load and over reloads that move prefixes."""

import collections
import ipaddress
import threading

from harness import *
from traffic import Network

# ct_load's sources are 10.0.0.1 and on, and 2001:db8::1 and on.
FIRST = {"office": ["10.0.0.0/16", "2001:db8::/32"], "lab": ["10.0.0.64/26"]}
SECOND = {"lab": ["10.0.0.0/25"], "vpn": ["10.0.0.64/26", "2001:db8::/64"]}


def config(groups):
    return "conntrack: {reconcile_interval: 2s}\nsources: {groups: " + json.dumps(groups) + "}\n"


def group_of(address, groups):
    """By the longest prefix."""
    networks = [(ipaddress.ip_network(text), name) for name, texts in groups.items() for text in texts]
    inside = [(network.prefixlen, name) for network, name in networks
              if network.version == address.version and address in network]
    return max(inside)[1] if inside else "other"


def differences_of(daemon, groups):
    """What the gauges and the kernel's table do not agree about."""
    kernel = KernelTable(daemon.namespace)
    found = []
    metrics = daemon.metrics()
    for name, by_source in (("connections", kernel.connections), ("unreplied_connections", kernel.unreplied)):
        theirs = collections.Counter()
        for source, connections in by_source.items():
            theirs[group_of(ipaddress.ip_address(source), groups)] += connections
        found += differences(metrics.by_label(f"conntally_group_{name}", "group"), theirs, name)
    return found


def wait_equal(daemon, groups, seconds):
    start = time.monotonic()
    while found := differences_of(daemon, groups):
        if time.monotonic() - start > seconds * SLOWNESS:
            raise AssertionError("not equal:\n  " + "\n  ".join(found))
        time.sleep(0.1)
    return time.monotonic() - start


def reload(daemon, groups):
    daemon.write_config(config(groups))
    told = daemon.log.count("the new configuration applies")
    daemon.signal(signal.SIGHUP)
    wait_until(lambda: daemon.log.count("the new configuration applies") > told, 5, "the reload")


def test_groups_add_up_under_load_while_prefixes_move():
    bulk = ["--count", 6_000, "--sources", 300, "--ipv6-share", 0.3, "--protocol", "mixed", "--replied-every", 3]
    with Namespace() as namespace, Daemon(namespace, config(FIRST)) as daemon:
        daemon.wait_ready()
        with scraped_all_along(daemon, every=0.05):
            load = threading.Thread(target=ct_load, args=(namespace, "churn", "--rate", 20_000, "--seconds", 6, "--sources", 300,
                                                          "--source-offset", 300, "--live", 3_000, "--protocol", "udp"))
            load.start()
            ct_load(namespace, "create", *bulk, "--rate", 3_000)
            reload(daemon, SECOND)
            ct_load(namespace, "create", *bulk, "--first", 6_000, "--rate", 6_000)
            for groups in ({}, FIRST, SECOND, FIRST):
                reload(daemon, groups)
                time.sleep(0.5)
            load.join()
            claim("equal to the kernel's after reloads", wait_equal(daemon, FIRST, 20), 4)
            metrics = daemon.metrics()
            names = metrics.by_label("conntally_group_connections", "group")
            assert names.keys() == {"office", "lab", "vpn", "other"} and names["vpn"] == 0, names
            assert metrics.value("conntally_group_opened_total", group="vpn") > 0, "what was counted is gone"
            reload(daemon, SECOND)
            claim("moved", wait_equal(daemon, SECOND, 20), 2)
            namespace.run("conntrack", "-F")
            claim("back to none", wait_equal(daemon, SECOND, 20), 4)
        metrics = daemon.metrics()
        opened, closed = (metrics.sum(f"conntally_group_{what}_total") for what in ("opened", "closed"))
        assert opened == closed > 6_000, (opened, closed)


def test_a_network_finer_than_the_grouping_of_sources_and_sources_without_rows():
    groups = {"half": ["10.0.0.0/25"], "few": ["10.0.0.8/30"]}
    text = "sources: {ipv4_prefix: 24, tracked_max: 4, groups: " + json.dumps(groups) + "}\n"
    with Namespace() as namespace, Daemon(namespace, text) as daemon:
        daemon.wait_ready()
        with scraped_all_along(daemon):
            ct_load(namespace, "create", "--count", 4_000, "--sources", 2_000, "--replied-every", 2)
            claim("equal", wait_equal(daemon, groups, 20), 2)
        metrics = daemon.metrics()
        assert metrics.value("conntally_group_connections", group="few") == 8
        assert metrics.value("conntally_unattributed_connections") > 0


def test_dropped_packets_are_counted_by_network():
    groups = {"office": ["10.0.0.0/16"], "branch": ["10.0.5.0/24"]}
    with Network() as network, Daemon(network.gateway, config(groups)) as daemon:
        network.gateway.nft("table inet t { chain f { type filter hook forward priority 1; udp dport 9999 counter drop; }; }")
        daemon.wait_ready()
        wait_until(lambda: daemon.metrics().value("conntally_collector_success", collector="ebpf") == 1, 10, "eBPF")
        with scraped_all_along(daemon):
            for source, packets in (("10.0.0.1", 30), ("10.0.5.1", 20), ("10.9.0.1", 7), ("10.0.5.2", 3)):
                for _ in range(packets):
                    network.udp(source, answered=False, port=9999)
            expected = {"office": 30, "branch": 23, "other": 7}
            dropped = lambda: daemon.metrics().by_label("conntally_group_dropped_packets_total", "group")
            wait_until(lambda: dropped() == expected, 30, f"dropped packets {expected}")


main()

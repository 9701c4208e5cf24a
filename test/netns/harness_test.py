#!/usr/bin/env python3
"""The harness and ct_load against the kernel, without the daemon: tests stand on these."""

from dropped_traffic import client_and_host, send
from harness import *
from namespaces import SYSCTL_NOTE
from traffic import Network


def test_the_kernels_table_is_what_ct_load_says_it_made():
    plan = ["--sources", 100, "--ipv6-share", 0.3, "--protocol", "mixed", "--zones", "0,5", "--replied-every", 4]
    with Namespace() as namespace:
        made = ct_load(namespace, "create", "--count", 5000, *plan)
        kernel = KernelTable(namespace)
        assert made["new"] == kernel.total == count(namespace) == 5000
        assert len(kernel.connections) == 100 and set(kernel.connections.values()) == {50}
        assert kernel.connections["10.0.0.31"] == 50 and kernel.connections["2001:db8::1e"] == 50
        assert set(kernel.unreplied.values()) == {38}
        assert {protocol for protocol, _ in kernel.states} == {"tcp", "udp", "icmp", "icmpv6"}
        assert ct_load(namespace, "delete", "--count", 5000, *plan)["destroy"] == 5000
        assert KernelTable(namespace).total == 0


def test_what_the_kernel_refuses_is_counted_and_told():
    with Namespace() as namespace:
        ct_load(namespace, "create", "--count", 100)
        again = namespace.run(CT_LOAD, "create", "--count", 150, check=False)
        assert again.returncode == 1
        assert json.loads(again.stdout) | {"new": 50, "refused": {"17": 100}} == json.loads(again.stdout)
        assert "File exists" in again.stderr


def test_churn_leaves_nothing_and_counts_both_kinds():
    with Namespace() as namespace:
        made = ct_load(namespace, "churn", "--rate", 20_000, "--seconds", 1, "--live", 500)
        assert made["new"] == made["destroy"] and made["new"] > 500
        assert count(namespace) == 0


def test_real_traffic_crosses_the_gateway_translated_and_zoned():
    with Network() as network:
        held = [network.tcp(source) for source in ("10.0.0.1", "10.1.0.1", "10.2.0.1", "10.3.0.1", "2001:db8::2:0:0:1")]
        held.append(network.tcp_unanswered("10.0.0.2"))
        network.udp("10.1.0.2")
        network.udp("2001:db8::1")
        network.udp("10.0.0.4", answered=False)
        network.ping("10.2.0.3", 77)
        network.ping("2001:db8::3", 78)
        kernel = KernelTable(network.gateway)
        listing = network.gateway.run("conntrack", "-L").stdout
        assert kernel.connections["10.1.0.1"] == 1, "the source is that before translation"
        assert kernel.connections["10.0.0.2"] == kernel.unreplied["10.0.0.2"] == 1
        assert kernel.states["tcp", "established"] == 5 and kernel.states["tcp", "syn_sent"] == 1
        assert kernel.states["icmp", "replied"] == 1 and kernel.states["icmpv6", "replied"] == 1
        assert "zone=5" in listing and "zone-orig=7" in listing
        for connection in held:
            connection.close()


def test_udp_packets_come_from_as_many_sources_as_asked():
    with Network() as network:
        ct_load(network.client, "udp", "--count", 2000, "--sources", 200, "--ipv6-share", 0.25,
                "--destination", "198.51.100.2", "--destination6", "2001:db8:2::2")
        kernel = KernelTable(network.gateway)
        assert kernel.total == 2000, kernel.total
        assert len(kernel.connections) == 200
        assert sum(":" in source for source in kernel.connections) == 50


def test_nothing_is_said_between_a_client_and_a_host_but_what_a_test_sends():
    with client_and_host() as (client, host):
        host.nft("table inet t { chain in { type filter hook input priority 0; policy drop; iif lo accept; udp dport 7000 accept; counter; }; }\n")
        client.ip("-6", "neigh", "flush", "dev", "to-host")  # what only was learned is forgotten, as it is by itself after half a minute
        send(client, "2001:db8:1::2", 3, 7000)
        time.sleep(0.3)
        assert "counter packets 0 " in host.run("nft", "list", "ruleset").stdout, host.run("nft", "list", "ruleset").stdout


def test_the_machines_settings_come_back():
    path = pathlib.Path("/proc/sys/net/netfilter/nf_conntrack_max")
    before = path.read_text()
    try:
        with machine_sysctls(net__netfilter__nf_conntrack_max=123_456):
            assert path.read_text() == "123456\n"
            raise KeyError
    except KeyError:
        pass
    assert path.read_text() == before


def test_settings_that_are_changed_within_a_change_come_back_one_by_one():
    path = pathlib.Path("/proc/sys/net/netfilter/nf_conntrack_max")
    before = path.read_text()
    with machine_sysctls(net__netfilter__nf_conntrack_max=300_000):
        with machine_sysctls(net__netfilter__nf_conntrack_max=123_456):
            assert path.read_text() == "123456\n"
            noted = json.loads(SYSCTL_NOTE.read_text())["net.netfilter.nf_conntrack_max"]
            assert noted != "300000", "after a kill the next run would restore what was never the machine's own"
        assert path.read_text() == "300000\n"
    assert path.read_text() == before


def test_a_wait_outlasts_what_is_not_there_yet_and_tells_what_never_came():
    def metrics():
        return Metrics("a 1\n" if time.monotonic() > start + 0.1 else "")

    start = time.monotonic()
    assert wait_until(lambda: metrics().value("a") == 1, 5, "a") >= 0.05
    row = iter([{}, {"a": []}, {"a": [1]}])
    wait_until(lambda: next(row)["a"][0] == 1, 5, "an element of a list that is there later")
    try:
        wait_until(lambda: metrics().value("b") == 1, 0.1, lambda: "b is one")
        raise RuntimeError("b never comes")
    except AssertionError as error:
        assert str(error).startswith("b is one: not within") and "no series b" in str(error.__cause__), (error, error.__cause__)


def test_metrics_are_parsed_by_name_and_labels():
    metrics = Metrics('# TYPE a counter\na{x="1",y="q\\"\\\\\\n,}"} 3\na{x="2"} 4 1700000000000\nb +Inf\n')
    assert metrics.value("a", x="1", y='q"\\\n,}') == 3 and metrics.sum("a") == 7
    assert metrics.value("b") == float("inf") and metrics.types == {"a": "counter"}


main()

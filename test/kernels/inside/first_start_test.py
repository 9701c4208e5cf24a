"""conntally in the own namespace of a machine that has just booted, where nothing has asked for netfilter yet. Run inside an emulated
machine (see ../on_kernel.py), and nowhere else: it fills the machine's table and loads modules for good."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../netns"))
from daemon import print_logs
from dropped_traffic import dropped, send
from firewall import nft_counters, rules_of
from harness import *
from nobodys_daemon import NET_ADMIN, NobodysDaemon

CLIENT, HOST = "192.0.2.2", "192.0.2.1"
PORT = 7000
QUIET_SECONDS = 35  # alerts come after 30 s

# The scrapes over loopback are not tracked: each would change what it counts.
RULES = f"""
table inet conntally_test {{
  chain raw {{
    type filter hook prerouting priority -300;
    iifname "lo" notrack
  }}
  chain raw_out {{
    type filter hook output priority -300;
    oifname "lo" notrack
  }}
  chain input {{
    type filter hook input priority 0;
    iifname "lo" accept
    udp dport {PORT + 1} counter drop
    ct state new counter
  }}
}}
"""


class Here(Namespace):
    """The machine's own namespace, with what any other offers."""

    def __init__(self):
        self.name = None

    def __enter__(self):
        return self

    def close(self):
        pass

    def command(self, *command):
        return [str(word) for word in command]

    def ip(self, *arguments):
        return run("ip", *arguments)

    def socket(self, *arguments):
        import socket

        return socket.socket(*arguments)


def modules():
    return {line.split()[0] for line in pathlib.Path("/proc/modules").read_text().splitlines()}


def of_netfilter(names):
    return sorted(name for name in names if name.startswith(("nf_", "nft_", "nfnetlink", "ip_tables", "ip6_tables", "x_tables", "xt_", "iptable_")))


def firing(daemon):
    return [dict(labels) for labels, value in daemon.metrics().series("conntally_alert_firing").items() if value == 1]


def test_with_no_module_loaded_it_loads_what_it_listens_to():
    assert not of_netfilter(before), f"loaded before conntally: {of_netfilter(before)}"
    print(f"  ready after {ready:.1f} s, loaded: {' '.join(of_netfilter(loaded))}")
    missing = {"nfnetlink", "nf_conntrack", "nf_conntrack_netlink", "nf_tables"} - loaded
    assert not missing, f"not loaded: {missing}"


def test_legacy_tables_that_are_absent_stay_absent():
    assert not {"ip_tables", "ip6_tables", "x_tables"} & loaded, of_netfilter(loaded)
    assert not pathlib.Path("/proc/net/ip_tables_names").exists()


def test_under_the_kernels_default_each_end_is_told():
    assert pathlib.Path("/proc/sys/net/netfilter/nf_conntrack_events").read_text() == "2\n"
    plan = ["--count", 3_000, "--sources", 100, "--ipv6-share", 0.3, "--protocol", "mixed"]
    ct_load(here, "create", *plan)
    daemon.wait_equal(5, states=True)
    assert daemon.metrics().sum("conntally_connections") == 3_000
    ct_load(here, "delete", *plan)
    daemon.wait_equal(5)
    metrics = daemon.metrics()
    assert metrics.value("conntally_events_total", event="destroy") == metrics.sum("conntally_connections_closed_total") == 3_000
    assert metrics.value("conntally_reconcile_corrections_total", kind="stale") == 0
    assert metrics.sum("conntally_connections") == count(here) == 0


def test_spoken_connections_rules_and_drops_are_the_kernels():
    daemon.wait_for_log("eBPF counts", 20)
    with here.socket() as listener:
        listener.bind((HOST, PORT))
        listener.listen()
        held = [client.connect(HOST, PORT) for _ in range(20)]
        for connection in held[:5]:
            connection.close()
        send(client, CLIENT, 30, PORT + 1, HOST)
        daemon.wait_equal(10)
        assert daemon.metrics().value("conntally_source_connections", source=CLIENT) == count(here)

        # Both are read again until no packet came between.
        def rules_equal():
            kernel = {str(handle): counter for handle, (_, counter) in nft_counters(here, "inet", "conntally_test").items() if counter}
            ours = {str(rule["handle"]): (rule["counter"]["packets"], rule["counter"]["bytes"]) for rule in rules_of(daemon) if rule["counter"]}
            return len(kernel) == 2 and ours == kernel

        wait_until(rules_equal, 15, "counters of rules as nft lists them")
        wait_until(lambda: sum(packets for (source, _, via), packets in dropped(daemon).items() if (source, via) == (CLIENT, "ebpf")) == 30,
                   15, "30 drops, by eBPF")
        for connection in held[5:]:
            connection.close()


def test_quiet_with_net_admin_alone_where_systemd_loaded_ip_tables():
    run("modprobe", "ip_tables")
    assert pathlib.Path("/proc/net/ip_tables_names").stat().st_mode & 0o7777 == 0o440
    with Namespace() as namespace, NobodysDaemon(namespace, NET_ADMIN) as nobodys:
        nobodys.wait_ready()
        time.sleep(QUIET_SECONDS)
        assert not firing(nobodys), firing(nobodys)


def test_quiet_on_a_healthy_host():
    assert time.monotonic() - daemon.started_at > QUIET_SECONDS
    assert not firing(daemon), firing(daemon)
    failed = [dict(labels)["collector"] for labels, value in daemon.metrics().series("conntally_collector_success").items() if value != 1]
    assert not failed, f"collectors that fail: {failed}"


def test_a_clock_that_is_set_by_an_hour_changes_no_tally_and_wakes_nobody():
    """The machine's own, which a test in namespaces may not touch."""
    before = daemon.metrics()
    for step in (3600, -7200, 3600):
        time.clock_settime(time.CLOCK_REALTIME, time.time() + step)
        ct_load(here, "create", "--count", 500, "--sources", 50)
        daemon.wait_equal(10)
        ct_load(here, "delete", "--count", 500, "--sources", 50)
        daemon.wait_equal(10)
    check_invariants(daemon.metrics(), before)
    assert not firing(daemon), firing(daemon)


def test_a_full_table_is_told():
    with machine_sysctls(net__netfilter__nf_conntrack_max=50):
        for _ in range(100):
            send(client, CLIENT, 1, PORT + 2, HOST)
        wait_until(lambda: "ConntrackTableFull" in [labels["alert"] for labels in firing(daemon)], 20, "ConntrackTableFull")
        wait_until(lambda: daemon.metrics().value("conntally_table_full_messages_total") > 0, 20, "the kernel's own line")
        assert daemon.metrics().value("conntally_table_drops_total") > 0


before = modules()
here = Here()
with Daemon(here) as daemon:
    try:
        ready = daemon.wait_ready()
    except AssertionError:
        print_logs()
        raise
    loaded = modules()
    with Namespace("client") as client:
        veth(here, "to-client", [f"{HOST}/24"], client, "to-host", [f"{CLIENT}/24"])
        here.nft(RULES)
        main()

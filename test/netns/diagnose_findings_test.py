#!/usr/bin/env python3
"""`conntally diagnose` names the staged cause first, and accuses nobody where nothing is wrong: what needs no evaluation of rules."""

import socket
import tempfile

from diagnosis import *
from harness import *
from nobodys_daemon import NOTHING

SMALL = 2_000  # entries
UDP = ["udp", "--destination", "127.0.0.1", "--destination6", "::1"]


def small_table(stage, limit=SMALL):
    stage.enter_context(machine_sysctls(net__netfilter__nf_conntrack_max=limit))


def senders(stage):
    """A host of which ct_load's sources are local addresses."""
    namespace = stage.namespace(TRACK)
    namespace.ip("route", "add", "local", "10.0.0.0/8", "dev", "lo")
    return namespace


# --- the table


@fault("table-full")
def table_full_of_one_source(stage):
    small_table(stage)
    namespace = senders(stage)
    ct_load(namespace, *UDP, "--sources", 1, "--count", 3 * SMALL, check=False)
    stage.expected_texts = ["one source holds most of it", "nf_conntrack_max_per_ip", "conntrack -D -s", "udp unreplied"]
    return namespace


@fault("table-full")
def table_full_of_thousands_of_sources(stage):
    small_table(stage)
    namespace = senders(stage)
    ct_load(namespace, *UDP, "--sources", 50_000, "--count", 2 * SMALL, check=False)
    stage.expected_texts = ["spoofed"]
    return namespace


@fault("table-full")
def table_full_with_ipv6_sources(stage):
    small_table(stage)
    namespace = senders(stage)
    ct_load(namespace, *UDP, "--sources", 10, "--ipv6-share", 1, "--count", 2 * SMALL, check=False)
    stage.arguments = ["--source", "2001:db8::77", "--dport", "443"]
    stage.listen(namespace, 443, "::")
    return namespace


@fault("table-full")
def table_was_full_and_has_room_again(stage):
    small_table(stage)
    namespace = senders(stage)
    ct_load(namespace, *UDP, "--sources", 100, "--count", 2 * SMALL, check=False)
    namespace.run("conntrack", "-F")
    stage.expected_texts = ["was full"]
    return namespace


@fault("table-near-full")
def table_nearly_full(stage):
    small_table(stage)
    namespace = stage.namespace(TRACK)
    ct_load(namespace, "create", "--sources", 300, "--count", int(SMALL * 0.9))
    stage.expected_texts = ["90 % full"]
    return namespace


@fault("table-near-full")
def table_full_soon(stage):
    small_table(stage, 20_000)
    namespace = stage.namespace(TRACK)
    stage.meanwhile(lambda: ct_load(namespace, "create", "--sources", 300, "--rate", 1000, "--count", 4000))
    stage.arguments = ["--observe", "2500ms"]
    stage.expected_texts = ["will be full in"]
    return namespace


@fault("boot-burst")
def table_overflowed_just_after_boot(stage):
    small_table(stage)
    namespace = senders(stage)
    ct_load(namespace, *UDP, "--sources", 100, "--count", 2 * SMALL, check=False)
    namespace.run("conntrack", "-F")
    uptime = float(pathlib.Path("/proc/uptime").read_text().split()[0])
    # A machine that has been up for a minute, by a time namespace.
    stage.options["prefix"] = ["unshare", "--time", "--boottime", f"-{int(uptime) - 60}", "--fork"]
    return namespace


@fault("table-full")
def table_overflowed_just_after_boot_and_is_nearly_full_again(stage):
    namespace = table_overflowed_just_after_boot(stage)
    ct_load(namespace, "create", "--sources", 300, "--count", int(SMALL * 0.96))
    stage.expected_texts = ["96 % full", "boot-burst"]
    return namespace


@fault("insert-failed")
def translated_connections_clash(stage):
    gateway, client, server = stage.gateway("table ip nat { chain out { type nat hook postrouting priority 100; "
                                            "meta l4proto tcp snat to 10.0.1.1:5000-5000; } }")
    server.nft(on_lines("table inet mute { chain input { type filter hook input priority 0; meta l4proto tcp drop; } }"))
    raw_tcp(client, [("10.0.0.2", 1000 + i, "10.0.1.2", 80, SYN) for i in range(60)])
    return gateway


@fault("nat-ports-exhausted")
def translated_connections_find_no_port(stage):
    gateway, client, server = stage.gateway("table ip nat { chain out { type nat hook postrouting priority 100; "
                                            "meta l4proto tcp snat to 10.0.1.1:5000-5019; } }")
    server.nft(on_lines("table inet mute { chain input { type filter hook input priority 0; meta l4proto tcp drop; } }"))
    raw_tcp(client, [("10.0.0.2", 1000 + i, "10.0.1.2", 80, SYN) for i in range(60)])
    stage.expected_texts = ["10.0.1.1", "10.0.1.2:80", "10.0.0.2 (20)", "wider range than 5000-5019"]
    return gateway


@healthy
def one_connection_through_a_rule_that_names_one_port(stage):
    gateway, client, server = stage.gateway("table ip nat { chain out { type nat hook postrouting priority 100; "
                                            "meta l4proto tcp snat to 10.0.1.1:5000; } }")
    stage.listen(server, 80)
    stage.hold(client, "10.0.1.2", 80)
    return gateway


@fault("invalid-packets")
def packets_of_no_connection(stage):
    host, client = stage.pair("table inet filter { chain input { type filter hook input priority 0; ct state invalid counter drop; } }")
    raw_tcp(client, [("10.0.0.2", 1000 + i, "10.0.0.1", 80, SYN | ACK) for i in range(60)])
    stage.expected_texts = ["has dropped 60"]
    return host


@fault("buckets-too-few")
def far_too_few_buckets(stage):
    stage.enter_context(machine_sysctls(net__netfilter__nf_conntrack_buckets=4096, net__netfilter__nf_conntrack_max=262_144))
    namespace = stage.namespace(TRACK)
    ct_load(namespace, "create", "--sources", 500, "--count", 10_000, check=False)  # a chain may be too long already
    return namespace


@fault("timeouts-too-long")
def ended_connections_kept_for_an_hour(stage):
    small_table(stage)
    namespace = stage.namespace(TRACK)
    namespace.sysctl("net.netfilter.nf_conntrack_tcp_timeout_time_wait", 3600)
    ct_load(namespace, "create", "--sources", 300, "--protocol", "tcp", "--tcp-state", "time_wait", "--timeout", 3000, "--count", SMALL // 2)
    return namespace


@fault("timeouts-too-long")
def silent_connections_of_many_clients(stage):
    small_table(stage)
    namespace = stage.namespace(TRACK)
    ct_load(namespace, "create", "--sources", 300, "--protocol", "tcp", "--tcp-state", "established", "--timeout", 200_000, "--replied-every", 1,
            "--count", int(SMALL * 0.7))
    return namespace


# --- sources


@fault("connection-leak")
def one_client_never_closes(stage):
    namespace = stage.namespace(TRACK)
    ct_load(namespace, "create", "--sources", 1, "--protocol", "tcp", "--tcp-state", "established", "--timeout", 400_000, "--replied-every", 1,
            "--count", 3000)
    return namespace


@fault("port-scan")
def scan_of_closed_ports_seen_on_the_wire(stage):
    host, client = stage.pair(TRACK)  # the reset ends each entry at once
    stage.meanwhile(lambda: raw_tcp(client, [("10.0.0.2", 40_000, "10.0.0.1", port, SYN) for port in range(1000, 1300)]))
    stage.arguments = ["--observe", "1s"]
    stage.expected_texts = ["10.0.0.2 scans", "at 300 ports"]
    return host


@fault("port-scan")
def scan_of_silent_ports_behind_the_gateway(stage):
    gateway, client, server = stage.gateway(TRACK)
    server.nft(on_lines("table inet mute { chain input { type filter hook input priority 0; meta l4proto tcp drop; } }"))
    raw_tcp(client, [("10.0.0.2", 40_000, "10.0.1.2", port, SYN) for port in range(1000, 1300)])
    stage.expected_texts = ["300 distinct destination ports"]
    return gateway


@fault("port-scan")
def scan_of_addresses_behind_the_gateway(stage):
    gateway, client, server = stage.gateway(TRACK)
    gateway.ip("route", "add", "10.9.0.0/16", "via", "10.0.1.2")
    raw_tcp(client, [("10.0.0.2", 40_000, f"10.9.1.{i}", 22, SYN) for i in range(200)])
    return gateway


@fault("port-scan")
def scan_that_is_dropped_seen_on_the_wire(stage):
    host, client = stage.pair("table inet filter { chain input { type filter hook input priority 0; ct state established accept; iifname eth0 tcp dport != 22 drop; } }")
    stage.meanwhile(lambda: raw_tcp(client, [("10.0.0.2", 40_000, "10.0.0.1", port, SYN) for port in range(1000, 1300)]))
    stage.arguments = ["--observe", "1s"]
    return host


@fault("syn-flood")
def spoofed_handshakes_at_a_service(stage):
    host, client = stage.pair(TRACK)
    stage.listen(host, 80)
    client.ip("route", "add", "local", "10.66.0.0/16", "dev", "lo")
    host.ip("route", "add", "10.66.0.0/16", "via", "10.0.0.2")
    client.nft(on_lines("table inet mute { chain input { type filter hook input priority 0; iifname eth0 tcp flags syn,ack drop; } }"))
    raw_tcp(client, [(f"10.66.{i // 200}.{i % 200 + 1}", 3000 + i, "10.0.0.1", 80, SYN) for i in range(600)])
    stage.expected_texts = ["SYN flood upon 10.0.0.1 port 80"]
    return host


@fault("syn-flood")
def spoofed_handshakes_seen_on_the_wire(stage):
    host, client = stage.pair("table inet filter { chain input { type filter hook input priority 0; tcp flags syn tcp dport 80 limit rate over 5/second drop; } }")
    stage.listen(host, 80)
    host.ip("route", "add", "10.66.0.0/16", "via", "10.0.0.2")
    stage.meanwhile(lambda: raw_tcp(client, [(f"10.66.{i // 200}.{i % 200 + 1}", 3000 + i, "10.0.0.1", 80, SYN) for i in range(600)]))
    stage.arguments = ["--observe", "1s"]
    return host


@fault("connection-churn")
def one_client_opens_and_closes(stage):
    host, client = stage.pair(TRACK)
    ports = [(10_000 + i, 53) for i in range(4000)]
    sender = client.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    for source_port, port in ports:
        sender.sendto(source_port.to_bytes(2) + port.to_bytes(2) + b"\0\x08\0\0", ("10.0.0.1", 0))
    sender.close()
    stage.listen(host, 53, kind=socket.SOCK_DGRAM)
    return host


@fault("source-at-limit")
def limit_of_the_configuration_is_reached(stage):
    namespace = stage.namespace(TRACK)
    ct_load(namespace, "create", "--sources", 1, "--count", 50)
    stage.options["config"] = 'limits: [{source: "0.0.0.0/0", connections: 50}]\n'
    stage.expected_texts = ["does not exist in mainline"]
    return namespace


# --- forwarding


@fault("forwarding-off")
def gateway_does_not_forward(stage):
    gateway, client, server = stage.gateway(TRACK, forwarding=0)
    stage.arguments = ["--source", "10.0.0.2", "--destination", "10.0.1.2", "--dport", "80"]
    return gateway


@fault("forwarding-off")
def gateway_does_not_forward_ipv6(stage):
    gateway, client, server = stage.gateway(TRACK, forwarding=0)
    stage.arguments = ["--source", "2001:db8::2", "--destination", "2001:db8:1::2", "--dport", "80"]
    return gateway


@fault("forwarding-off")
def one_link_does_not_forward(stage):
    gateway, client, server = stage.gateway(TRACK)
    gateway.sysctl("net.ipv4.conf.eth0.forwarding", 0)
    stage.arguments = ["--source", "10.0.0.2", "--destination", "10.0.1.2"]
    return gateway


@fault("forwarding-off")
def gateway_that_masquerades_does_not_forward(stage):
    gateway, client, server = stage.gateway("table ip nat { chain out { type nat hook postrouting priority 100; oifname eth1 masquerade; } }", forwarding=0)
    return gateway


@fault("no-route")
def gateway_knows_no_way_on(stage):
    gateway, client, server = stage.gateway(TRACK)
    stage.arguments = ["--source", "10.0.0.2", "--destination", "203.0.113.9", "--dport", "80"]
    return gateway


def asymmetric(stage):
    """10.7.0.2's packets arrive by eth0, and the host would answer by eth1."""
    gateway, client, server = stage.gateway(TRACK)
    client.ip("addr", "add", "10.7.0.2/32", "dev", "lo")
    gateway.ip("route", "add", "10.7.0.0/24", "via", "10.0.1.2")
    gateway.sysctl("net.ipv4.conf.eth0.rp_filter", 1)
    return gateway, client


def knock(client):
    try_to_connect(client, "10.0.0.1", 9)  # learns the link address, which the filter would hide from the other source
    raw_tcp(client, [("10.7.0.2", 3000, "10.0.0.1", 80, SYN) for _ in range(5)])


@fault("rp-filter")
def strict_reverse_path_filter_has_dropped(stage):
    gateway, client = asymmetric(stage)
    knock(client)
    stage.arguments = ["--source", "10.7.0.2", "--destination", "10.0.0.1", "--dport", "80"]
    stage.listen(gateway, 80)
    return gateway


@fault("rp-filter")
def strict_reverse_path_filter_seen_on_the_wire(stage):
    gateway, client = asymmetric(stage)
    stage.meanwhile(lambda: knock(client))
    stage.arguments = ["--source", "10.7.0.2", "--destination", "10.0.0.1", "--dport", "80", "--observe", "1s"]
    stage.listen(gateway, 80)
    stage.expected_texts = ["arrive by eth0, and the way back is eth1"]
    return gateway


@fault("rp-filter")
def reverse_path_filter_and_no_route_back(stage):
    host, client = stage.pair(TRACK)
    host.sysctl("net.ipv4.conf.eth0.rp_filter", 1)
    stage.listen(host, 80)
    stage.arguments = ["--source", "10.8.0.2", "--dport", "80"]
    return host


@fault("no-route")
def no_route_back(stage):
    host, client = stage.pair(TRACK)
    stage.listen(host, 80)
    stage.arguments = ["--source", "10.8.0.2", "--dport", "80"]
    return host


# --- who listens


@fault("no-listener")
def nobody_listens_on_tcp(stage):
    host, client = stage.pair()
    stage.arguments = ["--source", "10.0.0.2", "--dport", "8080"]
    return host


@fault("no-listener")
def nobody_listens_on_udp(stage):
    host, client = stage.pair()
    stage.listen(host, 5353)  # TCP is another matter
    stage.arguments = ["--dport", "5353", "--protocol", "udp"]
    return host


@fault("no-listener")
def nobody_listens_seen_on_the_wire(stage):
    host, client = stage.pair()
    stage.meanwhile(lambda: try_to_connect(client, "2001:db8::1", 8080, timeout=2))
    stage.arguments = ["--destination", "2001:db8::1", "--dport", "8080", "--observe", "2s"]
    stage.expected_texts = ["1 answered by a reset"]
    return host


@fault("no-listener")
def server_behind_refuses_by_itself(stage):
    gateway, client, server = stage.gateway(TRACK)
    stage.meanwhile(lambda: try_to_connect(client, "10.0.1.2", 8080))
    stage.arguments = ["--destination", "10.0.1.2", "--dport", "8080", "--observe", "1s"]
    return gateway


@fault("listener-other-address")
def listens_on_loopback_alone(stage):
    host, client = stage.pair()
    stage.listen(host, 5432, "127.0.0.1")
    stage.arguments = ["--source", "10.0.0.2", "--dport", "5432"]
    stage.expected_texts = ["127.0.0.1:5432"]
    return host


@fault("listener-other-address")
def listens_on_another_of_its_addresses(stage):
    host, client = stage.pair()
    host.ip("addr", "add", "10.0.0.9/24", "dev", "eth0")
    stage.listen(host, 5432, "10.0.0.9")
    stage.arguments = ["--destination", "10.0.0.1", "--dport", "5432"]
    return host


@fault("listener-other-address")
def listens_on_ipv6_alone(stage):
    host, client = stage.pair()
    stage.listen(host, 5432, "::", v6_only=True)
    stage.arguments = ["--source", "10.0.0.2", "--dport", "5432"]
    return host


@fault("listen-queue-full")
def service_does_not_accept(stage):
    host, client = stage.pair()
    stage.listen(host, 80, backlog=1)
    for _ in range(2):
        stage.hold(client, "10.0.0.1", 80)
    stage.arguments = ["--source", "10.0.0.2", "--dport", "80"]
    return host


# --- settings


@fault("helper-missing")
def ftp_without_a_helper(stage):
    host, client = stage.pair("""table inet filter { chain input { type filter hook input priority 0; policy drop;
        ct state established,related accept; tcp dport 21 accept; meta l4proto ipv6-icmp accept; } }""")
    stage.listen(host, 21)
    stage.hold(client, "10.0.0.1", 21)
    stage.arguments = ["--dport", "21"]
    return host


@fault("events-off")
def conntrack_sends_no_events(stage):
    namespace = stage.namespace(TRACK)
    namespace.sysctl("net.netfilter.nf_conntrack_events", 0)
    return namespace


@fault("conntrack-inactive")
def limits_are_configured_and_nothing_is_tracked(stage):
    host, client = stage.pair()
    stage.listen(host, 80)
    stage.hold(client, "10.0.0.1", 80)
    stage.options["config"] = 'limits: [{source: "0.0.0.0/0", connections: 50}]\n'
    return host


@fault("unpersisted-sysctl")
def a_timeout_that_no_file_sets(stage):
    namespace = stage.namespace(TRACK)
    namespace.sysctl("net.netfilter.nf_conntrack_tcp_timeout_established", 7201)
    stage.expected_texts = ["nf_conntrack_tcp_timeout_established is 7201"]
    return namespace


# --- nothing wrong


@healthy
def a_fresh_namespace(stage):
    return stage.namespace()


@healthy
def a_service_that_answers(stage):
    host, client = stage.pair(TRACK)
    stage.listen(host, 80)
    stage.hold(client, "10.0.0.1", 80)
    stage.arguments = ["--source", "10.0.0.2", "--destination", "10.0.0.1", "--dport", "80"]
    return host


@healthy
def a_service_on_both_families_asked_by_ipv4(stage):
    host, client = stage.pair(TRACK)
    stage.listen(host, 80, "::")
    stage.arguments = ["--source", "10.0.0.2", "--dport", "80"]
    return host


@healthy
def a_service_on_ipv6_watched(stage):
    host, client = stage.pair(TRACK)
    stage.listen(host, 80, "::")
    stage.meanwhile(lambda: try_to_connect(client, "2001:db8::1", 80, timeout=2))
    stage.arguments = ["--destination", "2001:db8::1", "--dport", "80", "--observe", "2s"]
    stage.expected_texts = ["1 connection attempts: 1 accepted"]
    return host


@healthy
def a_gateway_with_translation(stage):
    gateway, client, server = stage.gateway("table ip nat { chain out { type nat hook postrouting priority 100; oifname eth1 masquerade; } }")
    stage.listen(server, 80)
    stage.hold(client, "10.0.1.2", 80)
    stage.arguments = ["--source", "10.0.0.2", "--destination", "10.0.1.2", "--dport", "80"]
    return gateway


@healthy
def a_gateway_with_strict_filters_and_one_way(stage):
    gateway, client, server = stage.gateway(TRACK)
    for link in ("all", "eth0", "eth1"):
        gateway.sysctl(f"net.ipv4.conf.{link}.rp_filter", 1)
    stage.listen(server, 80)
    stage.hold(client, "10.0.1.2", 80)
    stage.arguments = ["--source", "10.0.0.2", "--destination", "10.0.1.2"]
    return gateway


@healthy
def a_table_half_full_of_many_sources(stage):
    small_table(stage, 20_000)
    namespace = stage.namespace(TRACK)
    ct_load(namespace, "create", "--sources", 1000, "--count", 10_000)
    return namespace


@healthy
def ftp_where_nothing_is_filtered(stage):
    host, client = stage.pair(TRACK)
    stage.listen(host, 21)
    stage.hold(client, "10.0.0.1", 21)
    return host


@healthy
def a_reverse_proxy_with_many_ended_connections(stage):
    namespace = stage.namespace(TRACK)
    ct_load(namespace, "create", "--sources", 1, "--protocol", "tcp", "--tcp-state", "time_wait", "--timeout", 60, "--replied-every", 1, "--count", 2000)
    return namespace


@healthy
def a_host_with_a_running_daemon(stage):
    host, client = stage.pair(TRACK)
    daemon = stage.enter_context(Daemon(host))
    daemon.wait_ready()
    stage.listen(host, 80)
    stage.hold(client, "10.0.0.1", 80)
    stage.expected_texts = ["the running daemon's history; its tallies are in step with the kernel"]
    stage.arguments = ["--source", "10.0.0.2", "--dport", "80"]
    return host


def test_each_staged_cause_is_named_first_and_healthy_hosts_accuse_nobody():
    tell_all(os.environ.get("CONNTALLY_STAGES", "").split())


def test_it_watches_another_namespace_by_name():
    with Stage() as stage:
        host, client = stage.pair()
        done = run(BINARY, "diagnose", "--netns", host.name, "--config", "/dev/null", "--dport", "81", check=False)
        assert done.returncode == 1, done
        assert "no-listener" in done.stdout and "Checked:" in done.stdout
        # Its commands are for that namespace, wherever they are run: here, outside.
        host.nft(on_lines("table inet filter { chain input { type filter hook input priority 0; tcp dport 81 drop; } }"))
        done = run(BINARY, "diagnose", "--json", "--netns", host.name, "--config", "/dev/null", "--source", "10.0.0.2", "--dport", "81", check=False)
        fix = json.loads(done.stdout)["findings"][0]["fix"][0]
        rules = lambda: (host.run("nft", "list", "ruleset").stdout, run("nft", "list", "ruleset").stdout)
        inside, outside = rules()
        run("sh", "-c", fix["command"])
        assert "10.0.0.2" in rules()[0] and rules()[1] == outside, (fix, rules())
        run("sh", "-c", fix["undo"])
        assert rules() == (inside, outside), (fix, rules())


def test_without_root_it_says_what_it_could_not_see():
    with Stage() as stage, tempfile.TemporaryDirectory() as folder:
        host, client = stage.pair(TRACK)
        os.chmod(folder, 0o755)
        binary = shutil.copy(BINARY, folder)
        command = [*NOTHING, binary, "diagnose", "--json", "--config", "/dev/null"]
        done = host.run(*command, check=False)
        assert done.returncode == 2, done
        report = json.loads(done.stdout)
        assert report["findings"] == [], report
        whats = {each["what"]: each["why"] for each in report["not_checked"]}
        assert "run it as root" in whats["who holds the conntrack table"], whats
        # A rule that only root can read stops it: nothing may be said that leans on there being none.
        host.nft(on_lines("table inet filter { chain input { type filter hook input priority 0; tcp dport 81 drop; } }"))
        done = host.run(*command, "--source", "10.0.0.2", "--dport", "81", "--observe", "200ms", check=False)
        report = json.loads(done.stdout)
        first = report["findings"][0]
        assert done.returncode == 1 and first["id"] == "no-listener" and first["certainty"] <= 0.6, report
        assert first["evidence"][0].startswith("not known: ") and "nftables" in first["evidence"][0], first
        everything = json.dumps(report)
        for claim_of_rules in ("no firewall", "the host's own", "let it pass", "the rules, in order", "whether the answers", "stopped packets", "0 packets dropped"):
            assert claim_of_rules not in everything, (claim_of_rules, report)
        text = host.run(*(word for word in command if word != "--json"), "--dport", "81", check=False).stdout
        assert text.index("Could not be seen") < text.index("no-listener"), text
        rooted = diagnose(host, "--source", "10.0.0.2", "--dport", "81")
        assert rooted.first["id"] == "drop-rule", rooted.report
        assert "CAP_NET_RAW" in {each["what"]: each["why"] for each in report["not_checked"]}["packets on the wire"]


def test_wrong_arguments_could_not_look():
    for wrong in (["--dport", "0"], ["--source", "host"], ["--observe", "-1s"], ["--protocol", "tpc"], ["--dpot", "1"]):
        done = run(BINARY, "diagnose", *wrong, check=False)
        assert done.returncode == 2 and "conntally: " in done.stderr, (wrong, done)


def test_it_changes_nothing():
    with Stage() as stage:
        gateway, client, server = stage.gateway(TRACK)
        ct_load(gateway, "create", "--sources", 10, "--count", 500, "--timeout", 3000)

        def state():
            return [gateway.run(*command).stdout for command in (
                ["nft", "-a", "list", "ruleset"], ["conntrack", "-C"], ["sysctl", "-a"], ["ip", "-4", "route", "show", "table", "all"])]

        before = state()
        diagnose(gateway, "--source", "10.0.0.2", "--destination", "10.0.1.2", "--dport", "80", "--observe", "200ms")
        after = state()
        volatile = ("random", "nf_conntrack_count", "stat_", "state", "dentry", "inode", "fs.file", "pty", "tcp_fastopen_key", "perf", "ns_last_pid")
        for old, new in zip(before, after):
            changed = set(old.splitlines()) ^ set(new.splitlines())
            assert not [line for line in changed if not any(word in line for word in volatile)], changed


main()

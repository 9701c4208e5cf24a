"""Ports of translated addresses: counted as the kernel's table has them, told before they run out, and found when they have."""

import re
import socket
import subprocess
import tempfile

from harness import *

from diagnosis import Stage, diagnose

PORT = 8080
QUICK = """rules: {poll_interval: 200ms}
alerts: {nat_port_usage: {warning: 0.80, critical: 0.95, for: 2s}}
"""
RANGE = 100
SETTLES = 12  # seconds; a look each 2 s


def kernels_uses(gateway, families=("ipv4", "ipv6")):
    """{(translated address, protocol, destination, port): {translated ports}} of what `conntrack -L` lists as source-translated."""
    uses = {}
    for family in families:
        for line in gateway.run("conntrack", "-L", "-f", family, "--src-nat", check=False).stdout.splitlines():
            reply = re.findall(r"src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)", line)
            if len(reply) == 2:
                source, address, port, given = reply[1]
                uses.setdefault((address, line.split()[0], source, int(port)), set()).add(int(given))
    return uses


def our_uses(daemon):
    answer = daemon.get("/api/v1/nat?limit=1000")
    assert answer.status == 200, answer.text
    return {(use["nat_address"], use["protocol"], use["destination"], use["destination_port"]): use for use in answer.json()["nat"]}


def wait_as_the_kernel_has_it(daemon, gateway):
    """Until each use is as in the kernel's table; returns ours."""
    seen = {}

    def equal():
        seen["ours"] = our_uses(daemon)
        seen["kernel"] = {key: len(ports) for key, ports in kernels_uses(gateway).items()}
        return {key: use["used"] for key, use in seen["ours"].items()} == seen["kernel"]

    wait_until(equal, SETTLES, lambda: f"equal uses: {seen}")
    return seen["ours"]


class Gateway(Stage):
    """client 10.0.0.2 and more -- gateway -- server 10.0.1.2, and 2001:db8:N::/64 likewise; the server takes connections and keeps them."""

    def __init__(self, rules=None, port=PORT):
        super().__init__()
        self.rules, self.port, self.kept = rules, port, []

    def __enter__(self):
        super().__enter__()
        self.host, self.client, self.server = self.gateway(self.rules)
        self.client.ip("addr", "add", "10.0.0.3/24", "dev", "eth0")
        self.client.ip("-6", "addr", "add", "2001:db8::3/64", "dev", "eth0")
        for address in ("10.0.1.2", "2001:db8:1::2"):
            self.listen(self.server, self.port, address, backlog=1024, v6_only=":" in address)
            self.listen(self.server, self.port, address, kind=socket.SOCK_DGRAM, v6_only=":" in address)
        self.callback(self.let_go)
        return self

    def let_go(self):
        while self.kept:
            self.kept.pop().close()

    def open(self, source, count, kind=socket.SOCK_STREAM, timeout=3.0, first_port=0):
        """How many of `count` connections came about; all are kept."""
        v6 = ":" in source
        opened = 0
        for number in range(count):
            one = self.client.socket(socket.AF_INET6 if v6 else socket.AF_INET, kind)
            one.settimeout(timeout)
            one.bind((source, first_port + number if first_port else 0))
            self.kept.append(one)
            try:
                one.connect(("2001:db8:1::2" if v6 else "10.0.1.2", self.port))
                if kind == socket.SOCK_DGRAM:
                    one.send(b"x")
                opened += 1
            except (TimeoutError, OSError):
                pass
        return opened


def iptables(command, *rule):
    return lambda gateway: gateway.run(command, "-t", "nat", "-A", "POSTROUTING", *rule)


def translating(rule, family="inet", declarations=""):
    return f"table {family} nat {{\n{declarations}\nchain post {{\ntype nat hook postrouting priority 100;\n{rule}\n}}\n}}\n"


def nft(*rule):
    return lambda gateway: gateway.nft(translating(*rule))


LAST = 5000 + RANGE - 1
RANGED = translating(f'oifname "eth1" meta l4proto tcp snat ip to 10.0.1.1:5000-{LAST}')
WAYS = [
    ("iptables SNAT, legacy", "10.0.0.2", "10.0.1.1", iptables("iptables-legacy", "-o", "eth1", "-p", "tcp", "-j", "SNAT", "--to-source", f"10.0.1.1:5000-{LAST}")),
    ("iptables MASQUERADE", "10.0.0.2", "10.0.1.1", iptables("iptables-nft", "-o", "eth1", "-p", "tcp", "-j", "MASQUERADE", "--to-ports", f"5000-{LAST}")),
    ("ip6tables SNAT", "2001:db8::2", "2001:db8:1::1", iptables("ip6tables-nft", "-o", "eth1", "-p", "tcp", "-j", "SNAT", "--to-source", f"[2001:db8:1::1]:5000-{LAST}")),
    ("nft snat", "10.0.0.2", "10.0.1.1", nft(f'oifname "eth1" meta l4proto tcp snat ip to 10.0.1.1:5000-{LAST}')),
    ("nft masquerade random", "10.0.0.2", "10.0.1.1", nft(f'oifname "eth1" meta l4proto tcp masquerade to :5000-{LAST} fully-random')),
    ("nft snat, v6", "2001:db8::2", "2001:db8:1::1", nft(f'oifname "eth1" meta l4proto tcp snat ip6 to [2001:db8:1::1]:5000-{LAST}')),
    ("a map of addresses and ports", "10.0.0.2", "10.0.1.1", nft(
        f"meta l4proto tcp snat ip addr . port to ip saddr map {{ 10.0.0.2 : 10.0.1.1 . 5000-{LAST}, 10.0.0.9 : 10.0.1.1 . 7000-7001 }}", "ip")),
    ("a named map", "10.0.0.2", "10.0.1.1", nft("meta l4proto tcp snat ip addr . port to ip saddr map @given", "ip",
        f"map given {{ type ipv4_addr : interval ipv4_addr . inet_service; flags interval; elements = {{ 10.0.0.2 : 10.0.1.1 . 5000-{LAST} }}; }}")),
    ("a map of hashes, and ports beside it", "10.0.0.2", "10.0.1.1", nft(
        f'oifname "eth1" meta l4proto tcp snat to jhash ip saddr mod 2 map {{ 0 : 10.0.1.1, 1 : 10.0.1.1 }} : 5000-{LAST}', "ip")),
]


def test_every_way_to_name_a_range_is_counted_against_that_range():
    for name, source, address, add in WAYS:
        print(f"  {name}")
        with Gateway() as stage, Daemon(stage.host, QUICK) as daemon:
            add(stage.host)
            daemon.wait_ready()
            assert stage.open(source, 30) == 30
            ours = wait_as_the_kernel_has_it(daemon, stage.host)
            destination = "2001:db8:1::2" if ":" in source else "10.0.1.2"
            wait_until(lambda: our_uses(daemon)[address, "tcp", destination, PORT]["available"] == RANGE, SETTLES,
                       lambda: f"{RANGE} ports: {our_uses(daemon)}")
            assert list(ours) == [(address, "tcp", destination, PORT)], ours


def test_udp_of_both_families_is_counted_and_its_exhaustion_is_found_with_its_owner():
    rules = translating(f'oifname "eth1" meta l4proto udp snat ip to 10.0.1.1:5000-{LAST}\n'
                        f'oifname "eth1" meta l4proto udp snat ip6 to [2001:db8:1::1]:5000-{LAST}')
    with Gateway(rules) as stage, Daemon(stage.host, QUICK) as daemon:
        daemon.wait_ready()
        stage.open("10.0.0.2", 70, socket.SOCK_DGRAM)
        stage.open("10.0.0.3", 20, socket.SOCK_DGRAM)
        stage.open("2001:db8::2", 40, socket.SOCK_DGRAM)
        ours = wait_as_the_kernel_has_it(daemon, stage.host)
        v4, v6 = ours["10.0.1.1", "udp", "10.0.1.2", PORT], ours["2001:db8:1::1", "udp", "2001:db8:1::2", PORT]
        assert (v4["used"], v6["used"]) == (90, 40), ours
        assert v4["sources"] == [{"source": "10.0.0.2", "connections": 70}, {"source": "10.0.0.3", "connections": 20}], v4
        metrics = daemon.metrics()
        labels = {"nat_address": "10.0.1.1", "protocol": "udp", "destination": "10.0.1.2", "destination_port": str(PORT)}
        assert metrics.value("conntally_nat_ports_used", **labels) == 90
        assert metrics.value("conntally_nat_ports_available", **labels) == RANGE
        stage.open("10.0.0.3", 30, socket.SOCK_DGRAM)
        said = diagnose(stage.host, "--source", "10.0.0.3", "--destination", "10.0.1.2", "--dport", str(PORT), "--protocol", "udp")
        assert said.first["id"] == "nat-ports-exhausted", said.all_text()
        assert "10.0.0.2 (70)" in json.dumps(said.first), said.first


def alerts_of(daemon):
    return {(alert["alert"], alert["severity"]): alert for alert in daemon.get("/api/v1/alerts").json()["alerts"]
            if alert["state"] == "firing" and not alert.get("inhibited")}


def test_a_range_that_runs_out_is_told_before_and_found_then_and_is_no_full_table():
    with Gateway(RANGED) as stage, Daemon(stage.host, QUICK) as daemon:
        daemon.wait_ready()
        stage.open("10.0.0.2", 75)
        stage.open("10.0.0.3", 10)
        wait_as_the_kernel_has_it(daemon, stage.host)
        wait_until(lambda: ("NatPortsNearlyExhausted", "warning") in alerts_of(daemon), 10, "the warning")
        alert = alerts_of(daemon)["NatPortsNearlyExhausted", "warning"]
        assert "10.0.0.2 (75)" in alert["description"] and "10.0.1.1 to 10.0.1.2:8080" in alert["description"], alert
        healthy = diagnose(stage.host, "--source", "10.0.0.3", "--destination", "10.0.1.2", "--dport", str(PORT))
        assert "nat-ports-exhausted" not in healthy.ids, healthy.all_text()
        stage.open("10.0.0.3", 15)
        before = time.monotonic()
        assert stage.open("10.0.0.3", 4, timeout=1.5) == 0, "a connection beyond the range came about"
        failed = daemon.metrics().value("conntally_table_insert_failed_total")
        assert failed >= 10, failed
        wait_until(lambda: our_uses(daemon)["10.0.1.1", "tcp", "10.0.1.2", PORT]["used"] == RANGE, 5, "an exact count")
        print(f"  {time.monotonic() - before:.1f} s after the first loss: used {RANGE} of {RANGE}; {failed:.0f} failed")
        said = diagnose(stage.host, "--source", "10.0.0.3", "--destination", "10.0.1.2", "--dport", str(PORT))
        finding = said.first
        assert finding["id"] == "nat-ports-exhausted" and finding["certainty"] > 0.9, said.all_text()
        text = json.dumps(finding)
        assert "10.0.0.2 (75)" in text and "10.0.1.1" in text and "10.0.1.2:8080" in text, finding
        assert "random" not in said.all_text() and "insert-failed" not in said.ids, said.all_text()
        elsewhere = diagnose(stage.host, "--source", "10.0.0.3", "--destination", "10.0.1.9", "--dport", str(PORT))
        assert "nat-ports-exhausted" not in elsewhere.ids, elsewhere.all_text()
        wait_until(lambda: ("NatPortsNearlyExhausted", "critical") in alerts_of(daemon), 10, "the critical alert")
        stage.open("10.0.0.3", 2, timeout=1.5)
        time.sleep(12)  # after which a failed insertion that nobody explains counts as a clash
        names = {name for name, _ in alerts_of(daemon)}
        assert not names & {"ConntrackTableFull", "ConntrackInsertFailed"}, alerts_of(daemon)


def test_connections_of_the_host_itself_take_ports_of_its_address_and_translated_destinations_are_told_apart():
    rules = translating('ip saddr 10.0.0.0/24 oifname "eth1" masquerade', "ip",
                        f"chain pre {{\ntype nat hook prerouting priority -100;\nip daddr 10.0.0.1 tcp dport 80 dnat to 10.0.1.2:{PORT}\n}}")
    with Gateway(rules) as stage, Daemon(stage.host, QUICK) as daemon:
        daemon.wait_ready()
        stage.open("10.0.0.2", 5)
        for _ in range(3):
            stage.hold(stage.host, "10.0.1.2", PORT)
        stage.hold(stage.client, "10.0.0.1", 80)
        seen = {}

        def counted():
            seen["uses"] = our_uses(daemon)
            return [use["used"] for use in seen["uses"].values()] == [9]

        wait_until(counted, SETTLES, lambda: f"nine ports: {seen}")
        use = seen["uses"]["10.0.1.1", "tcp", "10.0.1.2", PORT]
        assert use["available"] == 64512 and {"source": "10.0.1.1", "connections": 3} in use["sources"], use


def test_ports_of_connections_that_have_ended_alarm_nobody_where_the_kernel_takes_them_again():
    if tuple(int(number) for number in os.uname().release.split(".")[:2]) < (6, 6):
        print("  not looked at: this kernel does not take ports of ended connections again")
        return
    with Gateway(RANGED) as stage, Daemon(stage.host, QUICK) as daemon:
        daemon.wait_ready()
        server = stage.server.spawn(sys.executable, "-m", "http.server", "81", "--bind", "10.0.1.2", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stage.callback(server.wait)
        stage.callback(server.kill)
        wait_until(lambda: "10.0.1.2:81" in stage.server.run("ss", "-ltn").stdout, 10, "the server")
        stage.port = 81
        done = 0
        for _ in range(3 * RANGE):
            one = stage.client.connect("10.0.1.2", 81)
            one.send(b"GET / HTTP/1.0\r\n\r\n")
            while one.recv(65536):
                pass
            one.close()
            done += 1
        wait_until(lambda: our_uses(daemon).get(("10.0.1.1", "tcp", "10.0.1.2", 81), {}).get("closed", 0) >= RANGE * 0.8, SETTLES,
                   lambda: f"ended ones: {our_uses(daemon)}")
        time.sleep(6)
        assert not alerts_of(daemon), alerts_of(daemon)
        print(f"  {done} connections through {RANGE} ports")


def test_a_busy_gateway_accuses_nobody():
    connections = 60_000 if FULL else 20_000
    with Gateway(translating('oifname "eth1" masquerade')) as stage, Daemon(stage.host, QUICK) as daemon:
        daemon.wait_ready()
        stage.server.ip("route", "add", "local", "10.9.0.0/16", "dev", "lo")
        stage.host.ip("route", "add", "10.9.0.0/16", "via", "10.0.1.2")
        sender = stage.client.socket(socket.AF_INET, socket.SOCK_DGRAM)
        senders = [sender] + [stage.client.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(9)]
        per_sender = connections // len(senders)
        for one in senders:
            one.bind(("10.0.0.2", 0))
            stage.callback(one.close)
            for number in range(per_sender):
                one.sendto(b"x", (f"10.9.{number % 5000 // 250}.{number % 250 + 1}", 1000 + number // 5000))
        claim("60,000 connections counted by address and destination", _counted(daemon, per_sender, len(senders)), SETTLES)
        metrics = daemon.metrics()
        assert metrics.value("conntally_collector_success", collector="nat") == 1
        print(f"  the look took {metrics.value('conntally_collector_duration_seconds', collector='nat') * 1000:.0f} ms")
        assert not alerts_of(daemon), alerts_of(daemon)
        assert "nat-ports-exhausted" not in diagnose(stage.host).ids


def sends_of(daemon, thread, seconds):
    """What one of its threads asks of the kernel by netlink meanwhile, a line each."""
    tasks = pathlib.Path(f"/proc/{daemon.process.pid}/task").iterdir()
    task = next(task.name for task in tasks if (task / "comm").read_text().strip() == thread)
    with tempfile.NamedTemporaryFile("r") as calls:
        subprocess.run(["timeout", str(seconds), "strace", "-qq", "-p", task, "-e", "trace=sendto,sendmsg", "-o", calls.name], check=False)
        return calls.read().splitlines()


def test_the_table_is_left_alone_until_something_is_translated():
    with Gateway(translating('oifname "eth1" masquerade')) as stage, Daemon(stage.host, QUICK) as daemon:
        daemon.wait_ready()
        time.sleep(3)
        assert not sends_of(daemon, "nat", 5)
        sender = stage.client.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stage.callback(sender.close)
        sender.bind(("10.0.0.2", 0))
        sender.sendto(b"x", ("10.0.1.2", 1000))
        assert sends_of(daemon, "nat", 5)
        wait_until(lambda: our_uses(daemon), SETTLES, "the use is counted")


def _counted(daemon, destinations, senders):
    begun = time.monotonic()
    wait_until(lambda: daemon.get("/api/v1/nat?limit=1").json()["nat"][:1] and
               daemon.get("/api/v1/nat?limit=1").json()["nat"][0]["used"] == senders, 3 * SETTLES,
               lambda: f"{senders} ports towards each of {destinations}: {daemon.get('/api/v1/nat?limit=3').text}")
    return time.monotonic() - begun


main()

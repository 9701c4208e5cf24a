"""The field: many hosts at the same time, each with its own daemon in its default configuration and its own script of real traffic,
one Prometheus with the shipped rules that scrapes them all, and every alert that either judge tells, with its time.

             hub (Prometheus, Watch) ── 172.31.0.0/16, interface mgmt of each host
    outside ── wan ── host (the daemon; conntrack) ── lan ── inside
"""

import collections
import concurrent.futures
import http.client
import json
import multiprocessing
import os
import re
import sys
import tempfile
import threading
import time
from dataclasses import dataclass

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
from alert_field_traffic import GATEWAY, GATEWAY6, HOST, HOST6, _libc, play
from harness import *
from namespaces import CLONE_NEWNET
from prometheus_server import SHIPPED, Prometheus

JUDGES = ("daemon", "prometheus")
PORT = 9105
_fork = multiprocessing.get_context("fork")

# Conntrack sees every packet, and nothing is dropped.
TRACKING = "table inet filter { chain forward { type filter hook forward priority 0; ct state new counter; }\n chain input { type filter hook input priority 0; ct state new counter; }; }\n"


def default_deny(*accepted, forward="", more=""):
    """An ordinary firewall: what answers to something, the monitoring, `accepted`, and the policy for all others."""
    rules = "\n".join(accepted)
    return f"""table inet filter {{
      {more}
      chain input {{ type filter hook input priority 0; policy drop;
        iifname "lo" accept
        ct state established,related accept
        iifname "mgmt" accept
        meta l4proto ipv6-icmp accept
        icmp type echo-request accept
        {rules}
        counter
      }}
      chain forward {{ type filter hook forward priority 0; {forward or "ct state new counter"}
      }}
    }}
    """


MASQUERADE = 'table ip nat { chain postrouting { type nat hook postrouting priority 100; oifname "wan" masquerade; }; }\n'


class Host:
    """One machine: its namespaces, its rules, its daemon, its traffic. `events` are [(second, function of the host)], run in the test's
    own process; with late=True one of them starts the daemon. `config` is for what a trouble cannot be without: the default is what is judged."""

    def __init__(self, name, script, rules=TRACKING, gateway=False, config=None, events=(), late=False, **about):
        self.name, self.script, self.rules, self.gateway, self.config = name, script, rules, gateway, config
        self.events, self.late, self.about = list(events), late, about
        self.roles = ["host", "outside"] + ["inside"] * gateway
        self.namespaces, self.marks, self.process, self.daemon = {}, {}, None, None

    def build(self, hub, number):
        """In a pool's thread: nothing that must die with its parent."""
        self.number = number
        self.address = f"172.31.{number >> 8}.{number & 255}"
        for role in self.roles:
            self.namespaces[role] = Namespace(f"{self.name[:20]}-{role}").__enter__()
        host, outside = self.namespaces["host"], self.namespaces["outside"]
        _batch(host, f"link add wan type veth peer name to-host netns {outside.name}", f"addr add {HOST}/30 dev wan", f"addr add {HOST6}/64 dev wan nodad",
               "link set wan up", f"link add mgmt type veth peer name v{number} netns {hub.name}", f"addr add {self.address}/16 dev mgmt", "link set mgmt up",
               "route add default via 192.0.2.2", "route add default via 2001:db8::2")
        _batch(outside, "addr add 192.0.2.2/30 dev to-host", "addr add 2001:db8::2/64 dev to-host nodad", "link set to-host up",
               "route add local 20.0.0.0/6 dev lo", "route add local 2001:db8:20::/44 dev lo", f"route add default via {HOST}", f"route add default via {HOST6}")
        _batch(hub, f"link set v{number} master bridge up")
        host.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv6.conf.mgmt.disable_ipv6=1")
        if self.gateway:
            inside = self.namespaces["inside"]
            _batch(host, f"link add lan type veth peer name to-host netns {inside.name}", f"addr add {GATEWAY}/30 dev lan", f"addr add {GATEWAY6}/64 dev lan nodad",
                   "link set lan up", "route add 10.0.0.0/8 via 172.16.0.2", "route add fd10::/16 via fd00::2")
            _batch(inside, "addr add 172.16.0.2/30 dev to-host", "addr add fd00::2/64 dev to-host nodad", "link set to-host up", "route add local 10.0.0.0/8 dev lo",
                   "route add local fd10::/16 dev lo", f"route add default via {GATEWAY}", f"route add default via {GATEWAY6}")
        # Neighbours are found before a rule could drop the asking.
        host.run("sh", "-c", "for to in 192.0.2.2 2001:db8::2" + " 172.16.0.2 fd00::2" * self.gateway + "; do ping -c1 -W2 $to & done; wait", check=False)
        host.nft(self.rules)
        self.state = tempfile.TemporaryDirectory(prefix="conntally-test-")  # as systemd would give it
        self.daemon = Daemon(host, self.config, ("--web.listen-address", f"{self.address}:{PORT}"), ("env", f"STATE_DIRECTORY={self.state.name}"), self.address)

    def start(self, seconds, start):
        self._told = _fork.SimpleQueue()
        self.process = _fork.Process(target=play, args=(self, seconds, start, self._told), daemon=True)
        self.process.start()

    def collect(self):
        """Ends the traffic; the script's marks, and a failure of it."""
        self.process.join(3)
        failed = self.process.exitcode not in (None, 0)
        self.process.kill()
        self.process.join()
        while not self._told.empty():
            what, when = self._told.get()
            self.marks[what] = when
        assert not failed, f"{self.name}: its traffic ended with {self.process.exitcode}; what it says stands above"

    def close(self):
        if self.process and self.process.is_alive():
            self.process.kill()
        if self.daemon:
            self.daemon.close()
            self.state.cleanup()
        for namespace in self.namespaces.values():
            namespace.close()


def _batch(namespace, *lines):
    run("ip", "-n", namespace.name, "-batch", "-", input="\n".join(lines) + "\n")


@dataclass
class Telling:
    """One firing, as a judge told it. Seconds since the beginning of traffic; `ended` is None while it fires."""

    host: str
    judge: str
    alert: str
    severity: str
    source: str
    rule: str
    began: float
    ended: float = None
    description: str = ""

    @property
    def loud(self):
        return self.severity != "info"

    @property
    def key(self):
        return self.host, self.judge, self.alert, self.severity, self.source, self.rule

    def __str__(self):
        ended = "…" if self.ended is None else f"{self.ended:.0f}"
        return f"{self.host} {self.judge} {self.began:.0f}-{ended} s {self.alert} {self.severity} {self.source} {self.rule}".rstrip()


class Watch:
    """Asks every daemon and Prometheus once a second, from the hub. A judge that does not answer, as while it is restarted, has neither
    begun nor ended anything. A warning stays one while its critical one fires."""

    def __init__(self, hub, hosts, prometheus_port, start):
        self.hub, self.hosts, self.start = hub, hosts, start
        self.by_address = {host.address: host.name for host in hosts}
        self.prometheus_port, self.connections, self.tellings, self._firing = prometheus_port, {}, [], {}
        self.silent = collections.Counter()  # (host, judge): answers that failed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        with open(f"/run/netns/{self.hub.name}", "rb") as entrance:
            assert _libc.setns(entrance.fileno(), CLONE_NEWNET) == 0
        while not self._stop.wait(1 - time.monotonic() % 1):
            for host in self.hosts:
                if host.daemon.process is not None:
                    self._ask((host.name, "daemon"), host.address, PORT, "/api/v1/alerts", self._of_daemon)
            self._ask(("", "prometheus"), "127.0.0.1", self.prometheus_port, "/api/v1/alerts", self._of_prometheus)

    def _ask(self, who, address, port, path, read):
        try:
            connection = self.connections.get(who) or self.connections.setdefault(who, http.client.HTTPConnection(address, port, timeout=3))
            connection.request("GET", path)
            told = read(who[0], json.loads(connection.getresponse().read()))
        except (OSError, http.client.HTTPException, ValueError):
            self.connections.pop(who, None)
            self.silent[who] += 1
            return
        now = time.monotonic() - self.start
        for key, description in told.items():
            if key in self._firing:
                self._firing[key].description = description
            else:
                self._firing[key] = Telling(*key, now, None, description)
                self.tellings.append(self._firing[key])
        mine = [key for key in self._firing if key[1] == who[1] and (not who[0] or key[0] == who[0]) and key not in told]
        for key in mine:
            self._firing.pop(key).ended = now

    @staticmethod
    def _of_daemon(host, answer):
        """Of a lesser tier that goes on below a worse one, too; what a cause mutes nobody hears of."""
        return {(host, "daemon", each["alert"], each["severity"], each["source"] or "", each["rule"] or ""): each["description"]
                for each in answer["alerts"] if each["state"] in ("firing", "inhibited") and each["inhibited_by"] in (None, each["alert"])}

    def _of_prometheus(self, _, answer):
        told = {}
        for each in answer["data"]["alerts"]:
            labels = each["labels"]
            if each["state"] == "firing":
                told[labels.get("instance", ""), "prometheus", labels["alertname"], labels.get("severity", ""), labels.get("source", ""),
                     labels.get("rule", "")] = each["annotations"].get("description", "")
        return told


class FieldPrometheus(Prometheus):
    """The shipped rules in their own time; scraped and evaluated every `interval`, as the shipped 15 s or in haste."""

    def __init__(self, hub, hosts, interval):
        super().__init__(hub)
        targets = "".join(f'\n      - {{targets: ["{host.address}:{PORT}"], labels: {{instance: "{host.name}"}}}}' for host in hosts)
        shipped = (SHIPPED / "prometheus.yml").read_text().split("alerting:")[0]
        shipped = re.sub(r"(scrape_interval|evaluation_interval): 15s", rf"\1: {interval}s", shipped)
        shipped = re.sub(r"scrape_timeout: 10s", f"scrape_timeout: {min(interval, 10)}s", shipped)
        (self.home / "prometheus.yml").write_text(shipped.replace('\n      - targets: ["localhost:9105"]', targets))
        for rules in ("rules.yaml", "alerts.yaml"):
            (self.home / rules).write_text((SHIPPED / rules).read_text())


class Field:
    """`with Field(hosts) as field: tellings = field.run(seconds)`. The daemons are ready and their hosts still before traffic begins."""

    def __init__(self, hosts, interval=5):
        self.hosts, self.interval = hosts, interval
        assert len({host.name for host in hosts}) == len(hosts), "two hosts of one name"

    def __enter__(self):
        began = time.monotonic()
        self.hub = Namespace("hub").__enter__()
        try:
            _batch(self.hub, "link add bridge type bridge", "addr add 172.31.255.254/16 dev bridge", "link set bridge up")
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda each: each[1].build(self.hub, each[0] + 1), enumerate(self.hosts)))
            for host in self.hosts:
                if not host.late:
                    host.daemon.start()
            for host in self.hosts:
                if not host.late:
                    host.daemon.wait_ready()
            self.prometheus = FieldPrometheus(self.hub, self.hosts, self.interval).__enter__()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        print(f"  {len(self.hosts)} hosts stand after {time.monotonic() - began:.0f} s")
        return self

    def __exit__(self, kind, *_):
        if hasattr(self, "prometheus"):
            self.prometheus.__exit__(kind, None, None)
        problems = []
        for host in self.hosts:
            try:
                host.close()
            except AssertionError as problem:
                problems.append(f"{host.name}: {problem}")
        self.hub.close()
        if problems and not kind:
            raise AssertionError("; ".join(problems))

    def run(self, seconds, tail=0):
        """Traffic for so long, and `tail` more to watch it end; every Telling."""
        start = time.monotonic() + 2
        before = os.times()
        for host in self.hosts:
            host.start(seconds + tail, start)
        events = sorted(((second, i, action, host) for host in self.hosts for i, (second, action) in enumerate(host.events)), key=lambda each: each[:2])
        with Watch(self.hub, self.hosts, self.prometheus.port, start) as watch:
            for second, _, action, host in events:
                time.sleep(max(start + second - time.monotonic(), 0))
                action(host)
            time.sleep(max(start + seconds + tail - time.monotonic(), 0))
        self.watch = watch
        for host in self.hosts:
            host.collect()
        after = os.times()
        own = sum(after[i] - before[i] for i in range(4))
        daemons = sum(_cpu_seconds(host.daemon.process.pid) for host in self.hosts)
        print(f"  CPU: {own / (seconds + tail):.2f} of one for traffic and watch, {daemons / (seconds + tail):.2f} for {len(self.hosts)} daemons, "
              f"{_cpu_seconds(self.prometheus.process.pid) / (seconds + tail):.2f} for Prometheus")
        if errors := self.prometheus.rule_errors():
            raise AssertionError(f"Prometheus could not evaluate {errors}")
        return watch.tellings


def _cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def logged(host):
    """[(state, alert, severity, source, rule)] of the daemon's log, oldest first: what came and went between two looks as well."""
    return re.findall(r'alert (firing|resolved)[^:]*: alert=(\S+) severity=(\w+)(?: source=(.*?))?(?: rule="(.*?)")?: value', host.daemon.log)

"""Staged faults, and what `conntally diagnose` says of them.

A suite lists stages with @fault("the-finding") or @healthy, and calls tell_all(): each stage is set up in namespaces of its own, diagnosed,
and printed as a line of a table.
"""

import contextlib
import json
import pathlib
import socket
import struct
import tempfile
import threading
import time

from daemon import BINARY
from namespaces import Namespace, veth, wait_until

# What makes conntrack track, and changes nothing else.
TRACK = """
    table inet track {
        chain input { type filter hook input priority 0; ct state new counter; }
        chain forward { type filter hook forward priority 0; ct state new counter; }
        chain output { type filter hook output priority 0; ct state new counter; }
    }
"""

# Causes; what else a diagnosis may add after them, for it is so and harms nobody.
HYGIENE = {"events-off", "buckets-too-few", "unpersisted-sysctl", "debug-log-rule", "unsaved-rules", "conntrack-inactive"}


def on_lines(rules):
    """nft wants each block of a one-liner ended by a line."""
    return rules.replace("} }", "}\n}").replace("}table", "}\ntable")


class Diagnosis:
    def __init__(self, done, seconds):
        self.code, self.errors, self.seconds = done.returncode, done.stderr, seconds
        assert done.returncode in (0, 1, 2), f"exit {done.returncode}: {done.stderr}"
        self.report = json.loads(done.stdout) if done.stdout else {"findings": [], "checked": [], "not_checked": []}
        self.findings = self.report["findings"]

    @property
    def first(self):
        return self.findings[0] if self.findings else {"id": "-", "certainty": 0, "title": self.errors}

    @property
    def ids(self):
        return [finding["id"] for finding in self.findings]

    def all_text(self):
        return json.dumps(self.report, ensure_ascii=False)


def diagnose(namespace, *arguments, prefix=(), config=None):
    """Runs it inside the namespace, deaf to the machine's own configuration."""
    with tempfile.NamedTemporaryFile("w", prefix="conntally-test-", suffix=".yaml") as file:
        file.write(config or "{}\n")
        file.flush()
        pathlib.Path(file.name).chmod(0o644)
        start = time.monotonic()
        done = namespace.run(*prefix, BINARY, "diagnose", "--json", "--config", file.name, *arguments, check=False)
        return Diagnosis(done, time.monotonic() - start)


class Stage(contextlib.ExitStack):
    """What a fault is staged with. All of it goes away with the stage."""

    def __init__(self):
        super().__init__()
        self.arguments, self.options, self.expected_texts, self.beside = [], {}, [], []
        self.cure = None  # whether the symptom is gone, once the first command was run

    def namespace(self, rules=None, role="ns"):
        made = self.enter_context(Namespace(role))
        if rules:
            made.nft(on_lines(rules))
        return made

    def pair(self, rules=None):
        """A client, 10.0.0.2 and 2001:db8::2, and a host, 10.0.0.1 and 2001:db8::1, which is diagnosed."""
        host, client = self.namespace(rules, "host"), self.namespace(role="client")
        veth(client, "eth0", ["10.0.0.2/24", "2001:db8::2/64"], host, "eth0", ["10.0.0.1/24", "2001:db8::1/64"])
        for each in (host, client):  # whatever the machine's defaults are
            each.sysctl("net.ipv4.conf.all.rp_filter", 0)
            each.sysctl("net.ipv4.conf.eth0.rp_filter", 0)
        return host, client

    def gateway(self, rules=None, forwarding=1):
        """client 10.0.0.2 -- gateway -- server 10.0.1.2, and 2001:db8:N::/64 likewise."""
        gateway, client = self.pair(rules)
        server = self.namespace(role="server")
        veth(server, "eth0", ["10.0.1.2/24", "2001:db8:1::2/64"], gateway, "eth1", ["10.0.1.1/24", "2001:db8:1::1/64"])
        for each, via4, via6 in ((client, "10.0.0.1", "2001:db8::1"), (server, "10.0.1.1", "2001:db8:1::1")):
            each.ip("route", "add", "default", "via", via4)
            each.ip("-6", "route", "add", "default", "via", via6)
        gateway.sysctl("net.ipv4.conf.eth1.rp_filter", 0)
        gateway.sysctl("net.ipv4.ip_forward", forwarding)
        gateway.sysctl("net.ipv6.conf.all.forwarding", forwarding)
        return gateway, client, server

    def listen(self, namespace, port, address="0.0.0.0", backlog=128, kind=socket.SOCK_STREAM, v6_only=False):
        listener = namespace.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        self.callback(listener.close)
        if ":" in address:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6_only))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        if kind == socket.SOCK_STREAM:
            listener.listen(backlog)
        return listener

    def hold(self, namespace, host, port):
        connection = namespace.connect(host, port)
        self.callback(connection.close)
        return connection

    def meanwhile(self, function):
        """Runs beside the diagnosis, which must be one that observes, from when it watches the wire."""
        self.beside.append(function)

    def say(self, namespace):
        """The diagnosis of what is staged."""
        threads = [threading.Thread(target=_when_watched, args=(namespace, function), daemon=True) for function in self.beside]
        for thread in threads:
            thread.start()
        said = diagnose(namespace, *self.arguments, **self.options)
        for thread in threads:
            thread.join()
        return said


def _when_watched(namespace, function):
    # One line a packet socket, below a heading. Counters and rules are read before it is opened.
    wait_until(lambda: len(namespace.run("cat", "/proc/net/packet").stdout.splitlines()) > 1, 10, "the wire is watched")
    with contextlib.suppress(OSError):
        function()


def raw_tcp(namespace, packets, family=socket.AF_INET):
    """Sends TCP headers from whatever source is wanted: (source, source port, destination, destination port, flags)."""
    sender = namespace.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
    try:
        for source, source_port, destination, port, flags in packets:
            addresses = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
            tcp = struct.pack("!HHIIBBHHH", source_port, port, 1000, 0, 5 << 4, flags, 8192, 0, 0)
            pseudo = addresses + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp))
            tcp = tcp[:16] + struct.pack("!H", _checksum(pseudo + tcp)) + tcp[18:]
            ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, socket.IPPROTO_TCP, 0) + addresses
            sender.sendto(ip + tcp, (destination, 0))
    finally:
        sender.close()


def _checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


SYN, RST, ACK = 0x02, 0x04, 0x10


def try_to_connect(namespace, host, port, timeout=0.5):
    """The errno's name of what comes of it; None when it is accepted."""
    try:
        namespace.connect(host, port, timeout).close()
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return error.strerror
    return None


_stages = []


def fault(*expected):
    """The stage's first finding must be one of `expected`."""
    return lambda function: _stages.append((function, expected)) or function


def healthy(function):
    """Nobody may be accused: nothing-found, and exit code 0."""
    _stages.append((function, ()))
    return function


def tell_all(only=(), every=1):
    """Of those that are named, else of each so-manieth."""
    failures = []
    print(f"  {'stage':58} {'expected':22} {'said first':22} {'cert.':>5} {'s':>5}")
    chosen = [stage for stage in _stages if stage[0].__name__ in only] if only else _stages[::every]
    for function, expected in chosen:
        failures += _tell(function, expected)
    assert not failures, "\n".join(failures)
    print(f"  {sum(bool(expected) for _, expected in chosen)} faults named, {sum(not expected for _, expected in chosen)} healthy hosts not accused")


def commands_of(said):
    return [fix["command"] for finding in said.findings for fix in finding["fix"]]


def is_valid(namespace, command):
    """Whether nft would take it, for those that are nft's; nothing is changed."""
    if not command.startswith("nft '") or " && " in command:  # what follows may need what stands before
        return True
    return namespace.run("nft", "-c", command.removeprefix("nft '").removesuffix("'"), check=False).returncode == 0


def _cured(stage, namespace, said):
    """What is wrong with the first command, where the stage can tell whether it cures."""
    if stage.cure is None:
        return []
    if not said.first.get("fix"):
        return ["no command is offered"]
    command = said.first["fix"][0]["command"]
    done = namespace.run("sh", "-c", command, check=False)
    if done.returncode != 0:
        return [f"{command}: {done.stderr.strip()}"]
    try:
        return [] if stage.cure() else [f"does not cure: {command}"]
    except OSError as error:
        return [f"does not cure ({error}): {command}"]


def _tell(function, expected):
    name = function.__name__.replace("_", " ")
    try:
        with Stage() as stage:
            namespace = function(stage)
            said = stage.say(namespace)
            problems = [f"not a command: {command}" for command in commands_of(said) if not is_valid(namespace, command)]
            problems += _cured(stage, namespace, said)
    except (RuntimeError, OSError, AssertionError) as error:  # the other stages are told all the same
        print(f"  {name:58} could not be staged")
        return [f"{name}: {error}"]
    wanted = expected or ("nothing-found",)
    print(f"  {name:58} {wanted[0]:22} {said.first['id']:22} {said.first['certainty']:5.2f} {said.seconds:5.2f}")
    if said.first["id"] not in wanted:
        problems.append(f"said {said.ids} first, expected {wanted}")
    causes = [each for each in said.ids if each != "nothing-found" and each not in HYGIENE]
    if said.code != (1 if said.ids != ["nothing-found"] else 0) or (not expected and causes):
        problems.append(f"exit code {said.code} {said.errors}")
    certainties = [finding["certainty"] for finding in said.findings]
    if certainties != sorted(certainties, reverse=True):
        problems.append("findings are not in the order of their certainty")
    problems += [f"does not say {text!r}" for text in stage.expected_texts if text not in said.all_text()]
    if said.first["id"] != "nothing-found" and not said.first.get("evidence"):
        problems.append("no evidence")
    if not problems:
        return []
    return [f"{name}: {'; '.join(problems)}\n{json.dumps(said.report, indent=1, ensure_ascii=False)}"]

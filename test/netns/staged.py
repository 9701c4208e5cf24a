"""Staged faults: a client, a host on which `conntally diagnose` runs, and a server behind it; traffic that is really sent; and a table."""

import contextlib
import json
import socket

from harness import *

CLIENT, HOST, INNER, SERVER = "192.0.2.2", "192.0.2.1", "10.0.0.1", "10.0.0.2"
CLIENT6, HOST6, INNER6, SERVER6 = "2001:db8:1::2", "2001:db8:1::1", "fd00:1::1", "fd00:1::2"
# Others in the same two networks, whom nobody asks about.
OTHERS = {CLIENT: "192.0.2.3", CLIENT6: "2001:db8:1::3", SERVER: "10.0.0.3", SERVER6: "fd00:1::3"}
PORTS = (22, 80, 443, 8080)
PATIENCE = 0.7


class Stage:
    """Namespaces `client`, `host` and `server`, with listeners on PORTS of host and server."""

    def __init__(self):
        self.exit = contextlib.ExitStack()
        self.sockets = []

    def __enter__(self):
        self.client, self.host, self.server = (self.exit.enter_context(Namespace(role)) for role in ("client", "host", "server"))
        veth(self.client, "to-host", [f"{CLIENT}/24", f"{CLIENT6}/64", f"{OTHERS[CLIENT]}/24", f"{OTHERS[CLIENT6]}/64"], self.host, "wan0", [f"{HOST}/24", f"{HOST6}/64"])
        veth(self.server, "to-host", [f"{SERVER}/24", f"{SERVER6}/64", f"{OTHERS[SERVER]}/24", f"{OTHERS[SERVER6]}/64"], self.host, "lan0", [f"{INNER}/24", f"{INNER6}/64"])
        self.server.ip("route", "add", "default", "via", INNER)
        self.server.ip("-6", "route", "add", "default", "via", INNER6)
        self.host.sysctl("net.ipv4.ip_forward", 1)
        self.host.sysctl("net.ipv6.conf.all.forwarding", 1)
        for namespace in (self.host, self.server, self.client):
            for port in PORTS:
                listener = namespace.socket(socket.AF_INET6, socket.SOCK_STREAM)
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                listener.bind(("::", port))
                listener.listen(64)
                self.sockets.append(listener)
        for namespace, address in ((self.client, HOST), (self.server, INNER)):
            namespace.run("ping", "-c1", "-W2", address, check=False)  # neighbours are found before anything counts
        for namespace, address in ((self.client, HOST6), (self.server, INNER6)):
            namespace.run("ping", "-6", "-c1", "-W2", address, check=False)
        return self

    def __exit__(self, *error):
        for each in self.sockets:
            each.close()
        self.exit.close()

    def _empty_queues(self):
        """Whoever got in waits to be accepted, and a full queue lets nobody in any more."""
        for listener in self.sockets:
            listener.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    listener.accept()[0].close()

    def clear(self):
        self._empty_queues()
        self.host.nft("flush ruleset")
        for tool in ("iptables-legacy", "ip6tables-legacy"):
            names = self.host.run("cat", "/proc/thread-self/net/" + ("ip6" if tool.startswith("ip6") else "ip") + "_tables_names", check=False).stdout.split()
            for table in names:
                chains = {"filter": ("INPUT", "FORWARD", "OUTPUT"), "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"), "raw": ("PREROUTING", "OUTPUT"),
                          "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")}.get(table, ())
                body = "".join(f":{chain} ACCEPT [0:0]\n" for chain in chains)
                self.host.run(f"{tool}-restore", input=f"*{table}\n{body}COMMIT\n")
        for namespace in (self.client, self.host, self.server):
            namespace.run("conntrack", "-F", check=False)

    def rules(self):
        """In the order in which the tools list them; without their counters, and without empty chains."""
        listed = self.host.run("nft", "-s", "-t", "list", "ruleset").stdout.splitlines()
        for tool in ("iptables-legacy-save", "ip6tables-legacy-save"):
            listed += self.host.run(tool).stdout.splitlines()
        no_rules = ("table ", "chain ", "type ", "set ", "}", "#", ":", "*", "COMMIT", "flags ", "size ", "elements ", "policy ")
        return [line.strip() for line in listed if line.strip() and not line.strip().startswith(no_rules)]

    def connect(self, origin, address, port, source=None):
        """"open", "refused" or "silent": what a client is told."""
        ipv6 = ":" in address
        made = origin.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_STREAM)
        made.settimeout(PATIENCE * SLOWNESS)
        try:
            if source:
                made.bind((source, 0))
            made.connect((address, port))
            return "open"
        except TimeoutError:
            return "silent"
        except OSError as error:
            if error.errno == 1:  # EPERM: this host's own output hook dropped it
                return "silent"
            return "refused"
        finally:
            made.close()

    def diagnose(self, *arguments):
        done = self.host.run(BINARY, "diagnose", "--json", *arguments, check=False)
        assert done.returncode in (0, 1), f"exit {done.returncode}: {done.stderr}"
        report = json.loads(done.stdout)
        ids = [finding["id"] for finding in report["findings"]]
        assert (done.returncode == 1) == any(each != "nothing-found" for each in ids), (done.returncode, ids)
        return report


def print_table(rows):
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  " + "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())

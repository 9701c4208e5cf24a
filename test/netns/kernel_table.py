"""The kernel's own account of its conntrack table, through the `conntrack` command."""

import collections
import ipaddress

PROTOCOLS = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 33: "dccp", 47: "gre", 58: "icmpv6", 132: "sctp", 136: "udplite"}


class KernelTable:
    """Counts of one `conntrack -L` over both families."""

    def __init__(self, namespace):
        self.connections = collections.Counter()  # by source
        self.unreplied = collections.Counter()  # by source
        self.states = collections.Counter()  # by (protocol, state), in conntally's words
        for family in ("ipv4", "ipv6"):
            # Listing also evicts what has expired, so what is listed lives.
            for line in namespace.run("conntrack", "-L", "-f", family, timeout=300).stdout.splitlines():
                self._add(line, family)
        self.total = sum(self.connections.values())

    def _add(self, line, family):
        before, _, after = line.partition(" src=")
        source = after.split(" ", 1)[0]  # the first one: the original direction
        if family == "ipv6":
            source = str(ipaddress.IPv6Address(source))
        words = before.split()
        number = int(words[1])
        unreplied = "[UNREPLIED]" in after
        state = words[3].lower() if number == 6 else ("unreplied" if unreplied else "replied")
        self.connections[source] += 1
        self.states[PROTOCOLS.get(number, str(number)), state] += 1
        if unreplied:
            self.unreplied[source] += 1


def count(namespace):
    """nf_conntrack_count: the expired that wait for the garbage collector are in it."""
    return int(namespace.run("conntrack", "-C").stdout)


def differences(ours, theirs, what, most=8):
    """Lines that say where two {key: count} mappings disagree; zeroes count as absent."""
    keys = [key for key in {*ours, *theirs} if ours.get(key, 0) != theirs.get(key, 0)]
    lines = [f"{what} {key}: conntally {ours.get(key, 0)}, kernel {theirs.get(key, 0)}" for key in sorted(keys)[:most]]
    if len(keys) > most:
        lines.append(f"… and {len(keys) - most} more {what} that differ")
    return lines

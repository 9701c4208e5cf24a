"""Which room may include which: the one-way flow, held. Who adds an arrow adds it here, where a reader sees it. And that the sources of a
wing can be compiled as one file, as `quickstart run` does."""

import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]

# In the order of the flow: a room names only rooms that stand before it, so there is no cycle.
MAY_INCLUDE = {
    "collectors/system": "",
    "collectors/system/threads": "collectors/system",
    "collectors/bpf/events": "",
    "collectors/bpf": "collectors/system collectors/bpf/events",
    "collectors/netlink": "collectors/system",
    "collectors/addresses": "",
    "collectors/tally": "collectors/addresses",
    "collectors/conntrack/decode": "collectors/bpf/events collectors/netlink collectors/addresses",
    "collectors/conntrack/streams": "collectors/system collectors/system/threads collectors/bpf collectors/bpf/events collectors/netlink",
    "collectors/conntrack/flows": "collectors/addresses collectors/tally collectors/conntrack/decode",
    "collectors/conntrack/surveys": "collectors/addresses collectors/tally collectors/conntrack/decode collectors/conntrack/flows",
    "collectors/conntrack/dumps": "collectors/system collectors/netlink collectors/tally collectors/conntrack/decode collectors/conntrack/flows",
    "collectors/conntrack": "collectors/system collectors/system/threads collectors/netlink INSIDE",
    "collectors/table": "collectors/system collectors/system/threads collectors/netlink",
    "collectors/drops": "collectors/addresses collectors/tally",
    "collectors/drops/ebpf/program": "collectors/bpf/events",
    "collectors/drops/ebpf": "collectors/system collectors/bpf collectors/drops collectors/drops/ebpf/program",
    "collectors/drops/logs": "collectors/system collectors/netlink collectors/tally collectors/drops",
    "collectors/host": "collectors/system collectors/netlink collectors/addresses",
    "collectors/host/packets": "collectors/host collectors/system collectors/netlink collectors/addresses",
    "collectors/rules": "collectors/system collectors/addresses",
    "collectors/rules/text": "collectors/system collectors/netlink collectors/rules",
    "collectors/rules/iptables": "collectors/system collectors/netlink collectors/addresses collectors/rules collectors/rules/text",
    "collectors/rules/nft/messages": "collectors/netlink collectors/rules",
    "collectors/rules/nft/decode": "collectors/rules collectors/rules/iptables collectors/rules/nft/messages",
    "collectors/rules/nft": "collectors/system collectors/netlink collectors/rules collectors/rules/text collectors/rules/iptables INSIDE",
    "collectors/rules/walk/match": "collectors/addresses collectors/tally collectors/rules",
    "collectors/rules/walk": "collectors/addresses collectors/rules collectors/rules/walk/match",
    "collectors/nat": "collectors/system collectors/system/threads collectors/netlink collectors/addresses collectors/tally "
                      "collectors/conntrack/decode collectors/conntrack/flows collectors/conntrack/dumps collectors/rules collectors/rules/walk/match collectors/rules/walk",
    "config/notation": "collectors/system collectors/addresses",
    "config": "collectors/system collectors/system/threads collectors/addresses config/notation",
    "config/web": "collectors/system/threads config",
    "daemon/process": "collectors/system",
    "daemon/log": "collectors/system collectors/system/threads config",
    "daemon/http/encoding": "",
    "daemon/http": "collectors/system collectors/system/threads daemon/http/encoding",
    "daemon/http/access": "collectors/system collectors/system/threads config config/web",
    "daemon/http/server/sockets": "collectors/system",
    "daemon/http/server": "collectors/system collectors/system/threads daemon/http/encoding daemon/http daemon/http/access "
                          "daemon/http/server/sockets",
    "daemon/command_line/client": "collectors/system collectors/system/threads collectors/addresses config/notation config config/web "
                                  "daemon/http/access",
    "daemon/command_line/grammar": "collectors/addresses collectors/tally config/notation config daemon/process daemon/command_line/client",
    "daemon/command_line": "collectors/system collectors/bpf collectors/netlink config daemon/http/access INSIDE",
    "daemon/rules": "COLLECTORS config",
    "daemon/drops": "COLLECTORS config daemon/rules",
    "daemon/limits": "COLLECTORS config",
    "daemon/state": "collectors/system collectors/system/threads",
    "daemon/alerts/kinds": "config",
    "daemon/alerts/evidence": "COLLECTORS daemon/limits daemon/alerts/kinds",
    "daemon/alerts/judges": "collectors/addresses collectors/tally collectors/nat daemon/alerts/kinds daemon/alerts/evidence",
    "daemon/alerts/drop_judges": "daemon/alerts/kinds daemon/alerts/evidence daemon/alerts/judges",
    "daemon/alerts/engine": "daemon/alerts/kinds",
    "daemon/alerts/alertmanager": "collectors/system collectors/system/threads config daemon/alerts/kinds",
    "daemon/alerts": "collectors/system collectors/system/threads config daemon/log daemon/state INSIDE",
    "daemon/observation/exported": "collectors/addresses collectors/tally collectors/conntrack/surveys collectors/drops collectors/nat",
    "daemon/observation/history": "collectors/addresses collectors/tally collectors/drops",
    "daemon/observation/snapshot": "COLLECTORS daemon/process daemon/rules daemon/limits daemon/alerts/kinds daemon/observation/exported "
                                   "daemon/observation/history",
    "daemon/observation": "COLLECTORS config daemon/process daemon/rules daemon/drops daemon/limits daemon/alerts/kinds daemon/alerts/evidence INSIDE",
    "daemon/exposition": "collectors/tally collectors/rules collectors/nat daemon/observation/exported daemon/observation/snapshot",
    "daemon/api/values": "collectors/system collectors/addresses config/notation",
    "daemon/api/sources": "COLLECTORS config/notation daemon/http daemon/rules daemon/observation daemon/observation/snapshot daemon/api/values",
    "daemon/api": "COLLECTORS config/notation daemon/http daemon/rules daemon/drops daemon/alerts/kinds daemon/observation "
                  "daemon/observation/snapshot daemon/api/values",
    "daemon/page": "daemon/http daemon/observation/snapshot",
    "daemon/diagnose/report": "collectors/system collectors/tally collectors/rules collectors/rules/walk daemon/command_line/grammar",
    "daemon/diagnose/fixes": "collectors/system collectors/tally collectors/rules collectors/rules/walk/match collectors/rules/walk daemon/diagnose/report",
    "daemon/diagnose/facts": "COLLECTORS config daemon/command_line/client daemon/command_line/grammar daemon/diagnose/report daemon/diagnose/fixes",
    "daemon/diagnose/rules/stopped": "COLLECTORS daemon/diagnose/report daemon/diagnose/fixes daemon/diagnose/facts",
    "daemon/diagnose/rules/connections": "COLLECTORS daemon/diagnose/report daemon/diagnose/fixes daemon/diagnose/facts daemon/diagnose/rules/stopped",
    "daemon/diagnose/rules/translation": "COLLECTORS daemon/diagnose/report daemon/diagnose/fixes daemon/diagnose/facts daemon/diagnose/rules/stopped",
    "daemon/diagnose/rules/upkeep": "COLLECTORS daemon/diagnose/report daemon/diagnose/fixes daemon/diagnose/facts daemon/diagnose/rules/stopped",
    "daemon/diagnose/rules": "COLLECTORS daemon/diagnose/report daemon/diagnose/fixes daemon/diagnose/facts INSIDE",
    "daemon/diagnose/table": "COLLECTORS config daemon/diagnose/report daemon/diagnose/fixes daemon/diagnose/facts",
    "daemon/diagnose/host": "COLLECTORS daemon/diagnose/report daemon/diagnose/fixes daemon/diagnose/facts",
    "daemon/diagnose": "COLLECTORS config daemon/command_line/client daemon/command_line/grammar daemon/command_line INSIDE",
    "daemon/top/text": "collectors/system",
    "daemon/top/model": "collectors/system collectors/addresses config/notation daemon/command_line/client daemon/top/text",
    "daemon/top/screens": "daemon/top/text daemon/top/model",
    "daemon/top/terminal": "collectors/system daemon/top/text daemon/top/model",
    "daemon/top": "collectors/system daemon/command_line/client daemon/command_line/grammar daemon/command_line INSIDE",
    "daemon": "COLLECTORS config DAEMON",
}


def allowed():
    rooms = {}
    for room, text in MAY_INCLUDE.items():
        names = set(text.split())
        for word, folder in ("COLLECTORS", "collectors/"), ("DAEMON", "daemon/"), ("INSIDE", room + "/"):
            if word in names:
                names = names - {word} | {known for known in rooms if known.startswith(folder)}
        ahead = names - set(rooms)
        assert not ahead, f"{room} names {ahead}, which do not stand before it"
        rooms[room] = names
    return rooms


def arrows():
    found = collections.defaultdict(list)
    for folder in "collectors", "config", "daemon":
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix not in (".h", ".cpp", ".c"):
                continue
            room = str(path.parent.relative_to(ROOT))
            for included in re.findall(r'^#include "((?:collectors|config|daemon|test)/[^"]+)"', path.read_text(), re.M):
                to = str(pathlib.PurePath(included).parent)
                if to != room:
                    found[room, to].append(f"{path.relative_to(ROOT)} includes {included}")
    return found


# What a line begins with between `namespace {` and its end: a function with what it takes, constants, a type.
FUNCTION = re.compile(r"^[\w:][^\n;={]*?\b(\w+)(\([^;{}]*?\))(?: noexcept)? \{", re.M)
CONSTANTS = re.compile(r"^constexpr [^;]*;", re.M)
CONSTANT = re.compile(r"\b(k[A-Z]\w*)(?:\[\w*\])?(?: =(?!=)|\{)")
TYPE = re.compile(r"^(?:struct|class|enum class|enum) (\w+)[^;{]*\{", re.M)


def defined_for_itself(text):
    """What a source defines in its anonymous namespaces."""
    for around, inside in re.findall(r"^namespace ([\w:]+) \{\nnamespace \{\n(.*?)^\}  // namespace$", text, re.M | re.S):
        names = [f"{name}{' '.join(takes.split())}" for name, takes in FUNCTION.findall(inside)]
        names += [name for line in CONSTANTS.findall(inside) for name in CONSTANT.findall(line)]
        names += TYPE.findall(inside)
        yield from (f"{around}::{name}" for name in names)


def wing_of(path):
    """What a unity build compiles as one file: see conntally_room in CMakeLists.txt."""
    folder = str(path.parent.relative_to(ROOT))
    folder = re.sub(r"^collectors/(addresses|host|nat|netlink|system|table)(/.*)?$", "collectors/small", folder)
    folder = re.sub(r"^daemon/(drops|exposition|limits|log|rules|state)(/.*)?$", "daemon/small", folder)
    return re.match(r"config|[^/]+/[^/]+|.*", folder)[0]


def clashes():
    """Neither overloads nor aliases clash. Of what a header declares, the compiler tells."""
    found = collections.defaultdict(list)
    for folder in "collectors", "config", "daemon":
        for path in sorted((ROOT / folder).rglob("*.cpp")):
            for name in set(defined_for_itself(path.read_text())):
                found[wing_of(path), name].append(path.name)
    return [f"{wing}: {' and '.join(files)} each define {name}, and are compiled as one: say which is which, or share it"
            for (wing, name), files in found.items() if len(files) > 1]


def main():
    rooms = allowed()
    found = arrows()
    wrong = [f"{line}: {room} may not include {to}" for (room, to), lines in found.items() if to not in rooms.get(room, ()) for line in lines]
    wrong += clashes()
    print("\n".join(wrong) or f"{len(found)} arrows between {len(rooms)} rooms, all as they are to be")
    sys.exit(bool(wrong) or not found)


main()

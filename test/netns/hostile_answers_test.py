#!/usr/bin/env python3
"""The commands that ask a daemon, where something hostile or broken answers in its place: nothing that steers or misleads reaches a terminal,
nothing crashes, nothing waits over its time. And what others wrote into the kernel: comments, prefixes, names of interfaces."""

import concurrent.futures
import copy
import random
import subprocess

from dropped_traffic import send
from firewall import wait_for_polls
from harness import *
from hostile_server import BROKEN, HOSTILE, SLOW, Server, http
from terminal import Terminal

ASKED_SECONDS = {"status": 5, "top": 10, "diagnose": 4}
OWN_SECONDS = 4  # for all else that a command does
COMMANDS = [["status"], ["status", "--json"], ["top", "--once"], ["diagnose", "--source", "10.0.0.1"], ["diagnose", "--json"]]
# Another type in the place of each.
STRANGE = [None, True, -1, 2**64, 1e308, "x", HOSTILE, [], {}, [[1]], {"a": "b"}, "y" * 100_000]


def ask(namespace, port, command, asked_seconds=0.0):
    """Runs it; (exit code, output), checked for what holds whatever answers."""
    start = time.monotonic()
    done = subprocess.run(namespace.command(BINARY, *command, "--config", "/dev/null", "--web.listen-address", f"127.0.0.1:{port}"),
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120, env=os.environ | {"LC_ALL": "C.UTF-8"})
    took = time.monotonic() - start
    shown = (done.stdout + done.stderr).decode()  # which fails for what is no UTF-8
    assert done.returncode >= 0 and "Sanitizer" not in shown, (command, done.returncode, shown[-2000:])
    steering = sorted({letter for letter in shown if not letter.isprintable() and letter != "\n"})
    assert not steering, (command, steering)
    assert "\nsynced        yes" not in done.stdout.decode(), "a line of its own"
    assert took < (asked_seconds + OWN_SECONDS) * SLOWNESS, f"{command} took {took:.1f} s"
    assert len(shown) < 4_000_000, len(shown)
    return done.returncode, shown, took


def is_told(command, code, shown):
    """That nothing answers which could be taken for the daemon."""
    if command[0] == "diagnose":
        return code in (0, 1, 2) and "without a running daemon's history" in shown
    return code == 1 and shown.startswith("conntally: ") and shown.count("\n") == 1 and len(shown) < 600


def test_what_is_no_answer_is_told_in_one_line_and_in_time():
    slowest = 0
    with Namespace() as namespace:
        for name, answer in BROKEN.items():
            with Server(namespace, answer) as server:
                for command in COMMANDS:
                    code, shown, took = ask(namespace, server.port, command, 1 if "endless" in name else 0)
                    slowest = max(slowest, took)
                    assert is_told(command, code, shown), (name, command, code, shown[:1000])
    print(f"  {len(BROKEN)} answers x {len(COMMANDS)} commands, slowest {slowest:.1f} s")


def test_nothing_waits_over_its_time():
    with Namespace() as namespace, concurrent.futures.ThreadPoolExecutor(32) as pool:
        servers = {name: Server(namespace, answer) for name, answer in SLOW.items()}
        asked = {(name, *command): pool.submit(ask, namespace, server.port, command, ASKED_SECONDS[command[0]])
                 for name, server in servers.items() for command in COMMANDS}
        for (name, *command), future in asked.items():
            code, shown, took = future.result()
            assert is_told(command, code, shown), (name, command, code, shown[:1000])
        print(f"  {len(asked)} asked, slowest {max(future.result()[2] for future in asked.values()):.1f} s")
        for server in servers.values():
            server.__exit__()


class Recorded:
    """What a real daemon answers, by path, and the same with something else in the place of some of it."""

    def __init__(self, namespace):
        self.answers = {}
        with Daemon(namespace) as daemon:
            daemon.wait_ready()
            ct_load(namespace, "create", "--count", 200, "--sources", 10)
            daemon.wait_equal(5)
            for path in ("/api/v1/status", "/api/v1/sources", "/api/v1/alerts", "/api/v1/history",
                         "/api/v1/sources/detail?rows=10&source=10.0.0.1,10.0.0.2"):
                self.answers[path.partition("?")[0]] = daemon.get(path).json()
        assert self.answers["/api/v1/sources"]["sources"]
        self.answers["/api/v1/alerts"]["alerts"] = [dict.fromkeys(
            ("alert", "severity", "state", "source", "rule", "since", "summary", "description"), "firing")]

    def changed(self, change):
        answers = {path: http(json.dumps(change(copy.deepcopy(answer)))) for path, answer in self.answers.items()}
        return lambda connection, path: connection.sendall(answers.get(path.partition("?")[0], http("{}", status="404 Not Found")))


def with_hostile_texts(value):
    """Every text, and the names of what may have any."""
    if isinstance(value, dict):
        changed = {key: with_hostile_texts(each) for key, each in value.items()}
        if "source" in value and "opened" in value:
            changed["drops"] = [{"rule": HOSTILE, "via": HOSTILE, "packets": 7}]
        for key in set(value) & {"collectors", "overflow"}:
            changed[key] = {name + HOSTILE: each for name, each in changed[key].items()}
        return changed
    if isinstance(value, list):
        return [with_hostile_texts(each) for each in value]
    return value + HOSTILE if isinstance(value, str) else value


def places(value, at=()):
    if isinstance(value, (dict, list)):
        for key in (value if isinstance(value, dict) else range(min(len(value), 3))):
            yield (*at, key)
            yield from places(value[key], (*at, key))


def with_something_strange(choice):
    def change(answer):
        for place in choice.sample(list(places(answer)), choice.randint(1, 3)):
            parent = answer
            try:
                for key in place[:-1]:
                    parent = parent[key]
                if choice.random() < 0.3:
                    del parent[place[-1]]
                else:
                    parent[place[-1]] = copy.deepcopy(choice.choice(STRANGE))
            except (LookupError, TypeError, AttributeError):
                pass  # an earlier change has taken it away
        return answer

    return change


def test_texts_that_steer_are_shown_harmless():
    with Namespace() as namespace:
        recorded = Recorded(namespace)
        with Server(namespace, recorded.changed(lambda answer: answer)) as server:
            assert ask(namespace, server.port, ["status"])[0] == ask(namespace, server.port, ["top", "--once"])[0] == 0
        with Server(namespace, recorded.changed(with_hostile_texts)) as server:
            shown = {" ".join(command): ask(namespace, server.port, command) for command in COMMANDS}
            assert "owned" in shown["status"][1] and "owned" in shown["top --once"][1], shown
            # To a program it is what it was.
            assert HOSTILE in json.loads(shown["status --json"][1])["verdict"]
            # A terminal that fails for what is not printable, and for sequences that are not top's own.
            with Terminal(namespace, BINARY, "top", "--config", "/dev/null", "--web.listen-address", f"127.0.0.1:{server.port}",
                          "--interval", "200ms") as terminal:
                terminal.wait_for("owned")
                terminal.press("\r")
                terminal.read(1.0)
                terminal.press("q")
                terminal.press("q")
                assert terminal.wait_end() == 0


def test_other_types_and_missing_members_are_survived():
    seed = int(os.environ.get("CONNTALLY_SEED", time.time_ns() % 10**6))
    print(f"  CONNTALLY_SEED={seed}")
    choice = random.Random(seed)
    codes = {}
    with Namespace() as namespace:
        recorded = Recorded(namespace)

        def try_one(change, commands):
            with Server(namespace, recorded.changed(change)) as server:
                return [(command[0], ask(namespace, server.port, command, 3)[0]) for command in commands]

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            tried = [pool.submit(try_one, with_something_strange(random.Random(choice.random())),
                                 COMMANDS[:3] if choice.random() < 0.9 else COMMANDS) for _ in range(2_000 if FULL else 60)]
            for each in tried:
                for key in each.result():
                    codes[key] = codes.get(key, 0) + 1
    print("  " + ", ".join(f"{command} {code}: {count}" for (command, code), count in sorted(codes.items())))


# An interface's name may have any byte but a few; the kernel's log and nftables keep it.
INTERFACE = "a\x1b[31m\u202e"
COMMENT = "\x1b[2J\u009b31m\u202ecomment"


def test_what_others_wrote_into_the_kernel_is_shown_harmless():
    rules = f"""table inet filter {{
      chain input {{
        type filter hook input priority 0
        iifname "{INTERFACE}" udp dport 5353 counter log prefix "p\x1b[31m\u009b\u202e" drop comment "{COMMENT}"
        udp dport 5353 counter drop comment "{COMMENT}"
        ct state new counter
      }}
    }}"""
    attributes_drops = "CONNTALLY_CONTAINED" not in os.environ  # the manifest grants no eBPF
    config = "alerts: {source_drop_rate: {warning: 0.5, critical: 1000, for: 1s}}\nrules: {poll_interval: 500ms}"
    with Namespace() as namespace:
        namespace.ip("link", "add", INTERFACE, "type", "veth", "peer", "name", "other")
        namespace.ip("addr", "add", "198.51.100.1/24", "dev", INTERFACE)
        namespace.ip("link", "set", INTERFACE, "up")
        namespace.nft(rules)
        for log_format in "text", "json":
            with Daemon(namespace, config + f"\nlog: {{format: {log_format}}}\n") as daemon:
                daemon.wait_ready()
                wait_for_polls(daemon)
                if attributes_drops:
                    daemon.wait_for_log("eBPF counts")
                    end = time.monotonic() + 20 * SLOWNESS
                    while "SourceMatchesDropRule" not in daemon.log and time.monotonic() < end:
                        send(namespace, "127.0.0.1", 5, 5353, "127.0.0.1")
                        time.sleep(0.3)
                    assert "SourceMatchesDropRule" in daemon.log and "comment" in daemon.log, daemon.log
                steering = {letter for letter in daemon.log_file.read_text() if not letter.isprintable() and letter != "\n"}
                assert not steering, steering
                if log_format == "json":
                    continue
                for command in (["diagnose", "--source", "127.0.0.1", "--dport", "5353", "--protocol", "udp"], ["top", "--once"], ["status"]):
                    for format_ in ([], ["--json"]) if command[0] == "diagnose" else ([],):
                        _, shown, _ = ask(namespace, 9105, [*command, *format_], 2)
                        if command[0] == "diagnose":
                            assert "comment" in shown, shown
                            assert not format_ or "\\u202e" in shown, "to a program it is what it was"


main()

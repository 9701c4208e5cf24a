#!/usr/bin/env python3
"""`conntally top` on a real terminal, beside a real daemon."""

from firewall import wait_for_polls
from harness import *
from terminal import Terminal

UP, DOWN, ENTER, ESCAPE = "\x1b[A", "\x1b[B", "\r", "\x1b"
CONFIG = """
limits: [{source: "10.0.0.0/8", connections: 200}]
rules: {poll_interval: 200ms}
"""
# What a rule says may be anything at all.
HOSTILE = "\x1b[2J\x1b]0;owned\x07 <b> 中文"
RULES = f"""
table inet filter {{
  chain input {{
    type filter hook input priority 0;
    udp dport 5353 counter drop comment "{HOSTILE}"
  }}
}}
"""


def send_dropped(namespace, packets):
    import socket

    with namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.9", 0))
        for _ in range(packets):
            sender.sendto(b"x", ("127.0.0.1", 5353))


class Staged:
    """Sources of 10.0.0.0/8 with 100 connections each, dropped packets of 127.0.0.9."""

    def __enter__(self):
        self.namespace = Namespace().__enter__()
        self.namespace.nft(RULES)
        self.daemon = Daemon(self.namespace, CONFIG)
        self.daemon.start()
        self.daemon.wait_ready()
        ct_load(self.namespace, "create", "--count", 2_000, "--sources", 20)
        self.daemon.wait_equal(5)
        self.daemon.wait_for_log("eBPF counts")
        wait_for_polls(self.daemon)  # drops from before the first reading cannot be told whose they are
        send_dropped(self.namespace, 30)
        wait_until(lambda: "127.0.0.9" in self.daemon.get("/api/v1/sources?sort=drops&limit=1").text, 15, "drops")
        return self

    def __exit__(self, *_):
        self.daemon.close()
        self.namespace.close()

    def top(self, *arguments, **options):
        return Terminal(self.namespace, BINARY, "top", "--interval", "200ms", *arguments, **options)


def test_one_screen_shows_the_table_the_sources_and_how_far_to_trust_it():
    with Staged() as staged, staged.top() as terminal:
        text = terminal.wait_for("2,0", f"of {limit_of_entries():,}", "10.0.0.1", "50% 200", "udp/", "data", "exact", "0 events lost")
        assert "unreplied" in text and "opened" in text and "evicted 0 early" in text, text
        terminal.press("q")
        assert terminal.wait_end() == 0
        assert terminal.was_given_back()


def connections_shown(terminal, source):
    return next(line.split()[1] for line in terminal.screen.display if line.startswith(source + " "))


def test_keys_sort_filter_open_freeze_and_show_rules():
    with Staged() as staged, staged.top(columns=120, rows=30) as terminal:
        terminal.wait_for("10.0.0.1", "CONN▼")
        terminal.press("d")
        terminal.wait_for("DROP/S▼", "127.0.0.9", "udp dport 5353")
        terminal.press("/10.0.0.4/30" + ENTER)
        terminal.wait_for("10.0.0.4", "10.0.0.7", "within 10.0.0.4/30", gone=("127.0.0.9", "10.0.0.8 "))
        terminal.press("/nonsense" + ENTER)
        terminal.wait_for('"nonsense" does not begin with an IP address')
        terminal.press(ESCAPE)
        terminal.wait_for("127.0.0.9")
        terminal.press("r")
        terminal.wait_for("PACKETS/S", "udp dport 5353", "drop")
        terminal.press(ESCAPE + "c" + DOWN + ENTER)
        terminal.wait_for("100 connections", "PROTOCOL", "unreplied", "100 of 200 (50%)")
        terminal.press(ESCAPE + "f")
        terminal.wait_for("FROZEN")
        ct_load(staged.namespace, "create", "--count", 500, "--sources", 1, "--first", 5_000)
        staged.daemon.wait_equal(5)
        terminal.wait_for("as of 2 s ago")  # a few answers later
        assert connections_shown(terminal, "10.0.0.1") == "100", terminal.text
        terminal.press(" ")
        terminal.wait_for("every 0.2 s", gone=("FROZEN",))
        terminal.wait_that(lambda: connections_shown(terminal, "10.0.0.1") == "600", "it goes on")
        terminal.press("?")
        terminal.wait_for("sort by connections")
        terminal.press("q")
        assert terminal.wait_end() == 0


def test_a_hostile_rule_comment_cannot_command_the_terminal():
    with Staged() as staged, staged.top(columns=200, rows=30) as terminal:
        terminal.wait_for("10.0.0.1")
        terminal.press("d")
        terminal.wait_for("comment", "?[2J?]0;owned?", "中文")
        terminal.press("r")
        terminal.wait_for("PACKETS/S", "?[2J?]0;owned?")
        assert b"]0;owned\x07" not in terminal.output


def test_each_kind_of_terminal_shows_it_by_its_own_entry_of_terminfo():
    with Staged() as staged:
        for kind in "xterm-256color", "screen", "linux":
            down = run("tput", "-T", kind, "kcud1").stdout
            with staged.top(columns=100, environment={"TERM": kind}) as terminal:
                terminal.wait_for("10.0.0.1", "50% 200", "CONN▼", "data", "exact", "quit q")
                assert is_filled(terminal), f"{kind}:\n{terminal.text}"
                assert terminal.style_of("exact").fg == "green", f"{kind}: {terminal.style_of('exact')}"
                assert terminal.style_of("SOURCE").bold, kind
                terminal.press(down)
                terminal.wait_that(lambda: terminal.style_of("10.0.0.1").reverse, f"{kind}: the first source is selected")
                terminal.resize(60, 20)
                terminal.wait_that(lambda: is_filled(terminal), f"{kind}: filled at another size")
                terminal.press("q")
                assert terminal.wait_end() == 0 and terminal.was_given_back(), kind


def test_a_terminal_that_cannot_be_drawn_on_is_told_what_to_do():
    with Staged() as staged:
        for kind in "dumb", "no-such-terminal", "":
            with staged.top(environment={"TERM": kind}) as terminal:
                assert terminal.wait_end() == 1, kind
                assert b"TERM" in terminal.output and b"conntally top --once" in terminal.output, terminal.output
                assert b"\x1b" not in terminal.output and terminal.was_given_back(), terminal.output
            with staged.top("--once", environment={"TERM": kind}) as terminal:
                assert terminal.wait_end() == 0, kind
                assert b"\x1b" not in terminal.output and b"10.0.0.1" in terminal.output, terminal.output


def test_a_terminal_without_utf8_gets_ascii_only():
    with Staged() as staged, staged.top(columns=200, environment={"LC_ALL": "C"}) as terminal:
        terminal.wait_for("10.0.0.1", "exact")
        terminal.press("d")
        terminal.wait_for("DROP/S", "udp dport", "<b> ????")
        assert terminal.output.isascii(), terminal.output


def is_filled(terminal):
    shown = [line for line in terminal.screen.display if line.strip()]
    if terminal.screen.columns < 40:
        return len(shown) == 1 and "too small" in terminal.text
    return "table" in terminal.text and "quit" in terminal.screen.display[-1]


def test_every_size_is_filled_and_none_is_exceeded():
    with Staged() as staged, staged.top() as terminal:
        terminal.wait_for("10.0.0.1")
        for columns, rows in ((132, 50), (60, 12), (20, 5), (80, 24)):
            terminal.resize(columns, rows)
            terminal.wait_that(lambda: is_filled(terminal), f"{columns} x {rows} are filled")
        terminal.wait_for("10.0.0.1", "rules r")


def test_it_says_when_nobody_answers_and_comes_back_by_itself():
    with Staged() as staged, staged.top() as terminal:
        terminal.wait_for("10.0.0.1")
        staged.daemon.kill()
        terminal.wait_for("NO ANSWER", "10.0.0.1")
        staged.daemon.start()
        terminal.wait_for("every 0.2 s", "10.0.0.1", gone=("NO ANSWER",))
    with Namespace() as namespace, Terminal(namespace, BINARY, "top", "--config", "/dev/null") as terminal:
        terminal.wait_for("No daemon answers", "systemctl status conntally")
        terminal.press("q")
        assert terminal.wait_end() == 0 and terminal.was_given_back()


def test_signals_end_it_and_give_the_terminal_back():
    with Staged() as staged:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with staged.top() as terminal:
                terminal.wait_for("10.0.0.1")
                terminal.process.send_signal(number)
                assert terminal.wait_end() == 0
                assert terminal.was_given_back(), number
        with staged.top() as terminal:
            terminal.wait_for("10.0.0.1")
            terminal.press("\x03")  # Ctrl-C
            assert terminal.wait_end() == 0
            assert terminal.was_given_back()
        with staged.top() as terminal:
            terminal.wait_for("10.0.0.1")
            terminal.hang_up()
            assert terminal.process.wait(5 * SLOWNESS) == 0


def test_once_writes_one_frame_without_escapes_into_a_pipe():
    with Staged() as staged:
        text = staged.namespace.run(BINARY, "top", "--once").stdout
        assert "\x1b" not in text and "10.0.0.1" in text and "50% 200" in text and "exact" in text, text
        assert "10.0.0.1 " in text and "udp/" in text, text
        assert max(map(len, text.splitlines())) <= 100 and len(text.splitlines()) <= 40, text
        piped = staged.namespace.run(BINARY, "top", check=False)
        assert piped.returncode == 1 and "--once" in piped.stderr
    with Namespace() as namespace:
        nobody = namespace.run(BINARY, "top", "--once", check=False)
        assert nobody.returncode == 1 and not nobody.stdout and "no answer from http://127.0.0.1:9105" in nobody.stderr


main()

#!/usr/bin/env python3
"""The page at / in a real Chromium, beside a real daemon, both in one network namespace."""

import sys
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "netns"))

from browser import Browser, find_chromium
from firewall import wait_for_polls
from harness import *

PAGE = "http://127.0.0.1:9105/"
CONFIG = """
limits: [{source: "10.0.0.0/8", connections: 120}]
rules: {poll_interval: 200ms}
drops: {nflog_groups: [5]}
"""
SCRIPT = "<script>document.title='owned'</script>"
IMAGE = "<img src=x onerror=alert(1)>"
INTERFACE = "<b>&'x"
# Text that rules bring along: comments, log prefixes, interface names.
RULES = f"""
table inet filter {{
  chain input {{
    type filter hook input priority 0;
    udp dport 5353 counter drop comment "{SCRIPT}"
    udp dport 5354 log prefix "{IMAGE}" group 5
    udp dport 5354 counter drop comment "{IMAGE}"
    iifname != "{INTERFACE}" udp dport 5355 counter drop
  }}
}}
"""
NAMES = "[...document.querySelectorAll('#source-rows tr')].map(row => row.cells[0].innerText)"


def send(namespace, source, port, packets):
    import contextlib
    import socket

    with namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((source, 0))
        for _ in range(packets):
            with contextlib.suppress(OSError):
                sender.sendto(b"x", ("127.0.0.1", port))


class Staged:
    """19 sources of 10.0.0.0/8 with 100 connections, one with 300, 127.0.0.9 whose packets are dropped."""

    def __enter__(self):
        self.namespace = Namespace().__enter__()
        self.namespace.nft(RULES)
        self.daemon = Daemon(self.namespace, CONFIG)
        self.daemon.start()
        self.daemon.wait_ready()
        ct_load(self.namespace, "create", "--count", 2_000, "--sources", 20)
        ct_load(self.namespace, "create", "--count", 200, "--first", 200_000, "--sources", 1)
        self.daemon.wait_for_log("eBPF counts")
        wait_for_polls(self.daemon)
        for port, packets in ((5353, 40), (5354, 20), (5355, 10)):
            send(self.namespace, "127.0.0.9", port, packets)
        wait_until(lambda: len(self.daemon.sources(sort="drops", limit=1)["sources"][0]["drops"]) >= 3, 20, "drops and their rules")
        return self

    def __exit__(self, *_):
        self.daemon.close()
        self.namespace.close()


def loaded(browser):
    browser.open(PAGE)
    browser.wait("typeof byId === 'function' && byId('liveness').innerText.startsWith('live')")


def check_quiet(browser, allowed=()):
    """Nothing on the console, no request elsewhere, no dialog."""
    errors = [error for error in browser.errors if not any(part in error for part in allowed)]
    assert not errors, errors
    elsewhere = [url for url in browser.requests if not url.startswith((PAGE, "data:", "about:"))]
    assert not elsewhere, elsewhere
    assert not browser.dialogs, browser.dialogs


def test_it_shows_a_staged_source_sorts_filters_and_opens_a_detail():
    with Staged() as staged, Browser(staged.namespace) as browser:
        loaded(browser)
        first = browser.wait(f"{NAMES}[0] === '10.0.0.1' && document.querySelector('#source-rows tr').innerText")
        assert "300" in first and "250 % of 120" in first and "udp/" in browser.wait("document.querySelector('#source-rows tr').innerText.includes('udp/') && document.querySelector('#source-rows tr').innerText"), first
        assert browser.text("#entries").startswith("2,2"), browser.text("#entries")
        assert browser.text("#trust-line").startswith("Yes"), browser.text("#trust-line")
        assert "udp unreplied" in browser.text("#states")

        browser.click("button[data-sort=drops]")
        browser.wait(f"{NAMES}[0] === '127.0.0.9'")
        assert browser.evaluate("document.querySelector('button[data-sort=drops]').closest('th').ariaSort") == "descending"
        assert browser.evaluate("document.querySelectorAll('th[aria-sort=descending]').length") == 1
        assert "70" in browser.text("#source-rows tr") and SCRIPT in browser.text("#source-rows tr")

        browser.type("#filter", "10.0.0.5/30")
        browser.wait(f"{NAMES}.sort().join() === '10.0.0.4,10.0.0.5,10.0.0.6,10.0.0.7'")
        browser.type("#filter", "10.0.0.300")
        browser.wait("byId('filter-trouble').innerText.includes('address')")
        browser.type("#filter", "10.0.0.1")
        browser.wait(f"{NAMES}.join() === '10.0.0.1' && !byId('filter-trouble').innerText")

        browser.click("#source-rows button")
        browser.wait("byId('detail').open && !byId('kind-table').hidden && byId('kind-rows').rows.length > 3")
        text = browser.text("#detail")
        for part in ("10.0.0.1", "300 connections", "300 of 120", "udp", "8000", "unreplied"):
            assert part in text, (part, text)
        browser.press("Escape", 27)
        browser.wait("!byId('detail').open")
        # The console tells of the filter that was refused on purpose.
        check_quiet(browser, allowed=("source=10.0.0.300",))


def test_it_works_by_keyboard_alone():
    with Staged() as staged, Browser(staged.namespace) as browser:
        loaded(browser)
        browser.wait(f"{NAMES}.length > 5")
        browser.press("Tab", 9)
        assert browser.evaluate("document.activeElement.id") == "filter"
        browser.press("Tab", 9)
        assert browser.evaluate("document.activeElement.dataset.sort") == "connections"
        for _ in range(4):
            browser.press("Tab", 9)
        assert browser.evaluate("document.activeElement.innerText") == "10.0.0.1"
        # Refreshing leaves the focus where it is.
        browser.listen(5)
        assert browser.evaluate("document.activeElement.innerText") == "10.0.0.1"
        browser.press("Enter", 13)
        browser.wait("byId('detail').open")
        assert browser.evaluate("byId('detail').contains(document.activeElement)")
        unlabelled = browser.evaluate("""[...document.querySelectorAll('input, button, section, dialog')].filter(element =>
            !(element.labels && element.labels.length) && !element.getAttribute('aria-labelledby') && !element.innerText.trim()).length""")
        assert unlabelled == 0
        check_quiet(browser)


def test_what_rules_say_is_text_whatever_it_looks_like():
    with Staged() as staged:
        with Browser(staged.namespace) as browser:
            loaded(browser)
            browser.click("button[data-sort=drops]")
            browser.wait(f"{NAMES}[0] === '127.0.0.9'")
            shown = browser.wait(f"byId('rule-rows').innerText.includes({json.dumps(INTERFACE)}) && byId('rule-rows').innerText")
            assert SCRIPT in shown and IMAGE in shown, shown
            browser.click("#source-rows button")
            browser.wait(f"byId('detail-facts').innerText.includes({json.dumps(IMAGE)})")
            assert SCRIPT in browser.text("#detail-facts") and IMAGE in browser.text("#detail-facts"), browser.text("#detail-facts")
            browser.listen(3)
            assert browser.evaluate("document.title").endswith("conntally")
            assert browser.evaluate("document.querySelectorAll('main img, main b:not(li b), main script, dialog img, dialog script').length") == 0
            check_quiet(browser)
        # Should markup get in nonetheless, the policy lets no script of it run.
        with Browser(staged.namespace) as browser:
            loaded(browser)
            browser.evaluate(f"document.body.insertAdjacentHTML('beforeend', {json.dumps(IMAGE)}); "
                             "const made = document.createElement('script'); made.textContent = \"document.title='owned'\"; document.body.append(made)")
            browser.listen(1)
            assert browser.evaluate("document.title") != "owned" and not browser.dialogs
            assert any("Content Security Policy" in error for error in browser.errors), browser.errors
        policy = staged.daemon.get("/").headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "sha256-" in policy, policy


def test_it_says_when_the_daemon_is_gone_and_recovers_by_itself():
    with Staged() as staged, Browser(staged.namespace) as browser:
        loaded(browser)
        browser.wait(f"{NAMES}.length > 5")
        assert not browser.errors, browser.errors
        staged.daemon.kill()
        browser.wait("byId('trouble').innerText.includes('does not answer') && byId('liveness').innerText === 'no answer'")
        assert browser.evaluate(f"{NAMES}.length") > 5  # the last figures stay
        staged.daemon.start()
        browser.wait("byId('trouble').hidden && byId('liveness').innerText.startsWith('live')")
        browser.wait(f"{NAMES}[0] === '10.0.0.1'")
        check_quiet(browser, allowed=("ERR_CONNECTION", "ERR_EMPTY", "ERR_SOCKET", "503"))


def test_without_a_script_it_still_tells_the_main_figures():
    with Staged() as staged, Browser(staged.namespace, scripts=False) as browser:
        browser.open(PAGE)
        parts = ("<td>10.0.0.1</td>", "Yes: the tallies are as the kernel's table", "reload for newer ones")

        text = ""

        def is_whole():
            nonlocal text
            root = browser.call("DOM.getDocument", depth=-1)["root"]["nodeId"]
            text = browser.call("DOM.getOuterHTML", nodeId=root)["outerHTML"]
            return all(part in text for part in parts)

        wait_until(is_whole, 15, lambda: f"{parts} in {text}", every=0.2)
        assert SCRIPT not in text and "&lt;script&gt;" in text


def test_nothing_overflows_on_a_phone_and_it_follows_the_dark():
    with Staged() as staged, Browser(staged.namespace, columns=360, rows=740, dark=True) as browser:
        loaded(browser)
        browser.wait(f"{NAMES}.length > 5")
        assert browser.evaluate("document.documentElement.scrollWidth") <= 360
        red, green, blue = map(int, browser.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).join()").split(","))
        assert red + green + blue < 150
        for columns in (800, 2560):
            browser.resize(columns, 1000)
            browser.listen(0.3)
            assert browser.evaluate("document.documentElement.scrollWidth") <= columns


def test_the_last_hour_becomes_a_chart():
    with Staged() as staged, Browser(staged.namespace) as browser:
        loaded(browser)
        browser.wait("byId('chart-entries').querySelector('path.l0').getAttribute('d').length > 10", seconds=40)
        assert browser.text("#chart-entries").startswith("last "), browser.text("#chart-entries")


if not find_chromium():
    print("SKIPPED: needs Chromium, of the Debian package chromium")
    sys.exit(77)
main()

#!/usr/bin/env python3
"""`conntally diagnose` before faults that are harder than a closed port, and before healthy hosts that look like some of them: each is staged
with real packets, and the table says what was told first and how certainly. A third of them by default, all with CONNTALLY_FULL=1."""

import pty
import subprocess

import diagnose_staged_beyond
import diagnose_staged_detours
import diagnose_staged_doubts
import diagnose_staged_flows
import diagnose_staged_healthy
import diagnose_staged_links
import diagnose_staged_rules
import diagnose_staged_ways
import diagnose_staged_wire
from diagnosis import *
from harness import *

# Each lists its stages as it is imported.
SUITES = (diagnose_staged_ways, diagnose_staged_flows, diagnose_staged_rules, diagnose_staged_beyond,
          diagnose_staged_detours, diagnose_staged_doubts, diagnose_staged_healthy, diagnose_staged_links,
          diagnose_staged_wire)


def test_each_staged_cause_is_named_first_and_healthy_hosts_accuse_nobody():
    print(f"  stages of {', '.join(suite.__name__ for suite in SUITES)}")
    tell_all(os.environ.get("CONNTALLY_STAGES", "").split(), every=1 if FULL else 3)


def test_on_a_terminal_it_says_what_it_sees_and_an_interrupt_ends_it_with_the_findings_so_far():
    with Stage() as stage:
        host, client = stage.pair("table inet f { chain i { type filter hook input priority 0; tcp dport 80 counter reject with tcp reset; } }")
        terminal, its_end = pty.openpty()
        begun = time.monotonic()
        process = host.spawn(BINARY, "diagnose", "--json", "--config", "/dev/null", "--source", "10.0.0.2", "--dport", "80", "--observe", "300s",
                             stdout=subprocess.PIPE, stderr=its_end, text=True)
        os.close(its_end)
        told = ""
        while "1 refused" not in told and time.monotonic() - begun < 20 * SLOWNESS:
            try_to_connect(client, "10.0.0.1", 80)
            told += os.read(terminal, 4096).decode()
        assert "s left: " in told and "1 refused" in told, told
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20 * SLOWNESS)
        report = json.loads(said)
        assert report["findings"][0]["id"] == "reject-rule", report["findings"]
        assert any("interrupted" in line for line in report["checked"]), report["checked"]


main()

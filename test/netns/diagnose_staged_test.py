#!/usr/bin/env python3
"""`conntally diagnose` before faults that are harder than a closed port, and before healthy hosts that look like some of them: each is staged
with real packets, and the table says what was told first and how certainly. A third of them by default, all with CONNTALLY_FULL=1."""

import diagnose_staged_flows
import diagnose_staged_healthy
import diagnose_staged_rules
import diagnose_staged_ways
from diagnosis import *
from harness import *

# Each lists its stages as it is imported.
SUITES = (diagnose_staged_ways, diagnose_staged_flows, diagnose_staged_rules, diagnose_staged_healthy)


def test_each_staged_cause_is_named_first_and_healthy_hosts_accuse_nobody():
    print(f"  stages of {', '.join(suite.__name__ for suite in SUITES)}")
    tell_all(os.environ.get("CONNTALLY_STAGES", "").split(), every=1 if FULL else 3)


main()

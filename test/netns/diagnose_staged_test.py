#!/usr/bin/env python3
"""`conntally diagnose` before faults that are harder than a closed port, and before healthy hosts that look like some of them: each is staged
with real packets, and the table says what was told first and how certainly. A third of them by default, all with CONNTALLY_FULL=1."""

import diagnose_staged_flows  # noqa: F401: each of these lists its stages
import diagnose_staged_healthy  # noqa: F401
import diagnose_staged_rules  # noqa: F401
import diagnose_staged_ways  # noqa: F401
from diagnosis import *
from harness import *


def test_each_staged_cause_is_named_first_and_healthy_hosts_accuse_nobody():
    tell_all(os.environ.get("CONNTALLY_STAGES", "").split(), every=1 if FULL else 3)


main()

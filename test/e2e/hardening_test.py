#!/usr/bin/env python3
"""What the binary was built with against its own mistakes, as its file tells."""

import os
import platform
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../netns"))
from harness import *


def readelf(*flags):
    return run("readelf", "--wide", *flags, BINARY).stdout


def test_every_call_of_a_library_is_bound_and_sealed_before_the_first():
    dynamic, header, segments = readelf("-d"), readelf("-h"), readelf("-l")
    assert "BIND_NOW" in dynamic and "PIE" in dynamic, dynamic
    assert "DYN" in header and "GNU_RELRO" in segments, segments
    stack = next(line for line in segments.splitlines() if "GNU_STACK" in line)
    assert "RWE" not in stack, stack
    assert not any("LOAD" in line and "RWE" in line for line in segments.splitlines()), segments


def test_copies_are_checked_and_stacks_are_guarded():
    symbols = readelf("--dyn-syms")
    assert "__stack_chk_fail" in symbols
    checked = set(re.findall(r"__\w+_chk(?=@)", symbols))
    print(f"  {len(checked)} functions with a check of their own: {', '.join(sorted(checked))}")
    assert checked


def test_jumps_go_where_they_may():
    if platform.machine() != "x86_64":
        raise Skip("needs x86_64: the instruction is its own")
    # The whole file is not marked: Debian's own start files are not.
    landings = run("objdump", "-d", "--no-show-raw-insn", BINARY, timeout=300).stdout.count("endbr64")
    print(f"  {landings} places to land on")
    assert landings > 1000, landings


main()

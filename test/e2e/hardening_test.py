#!/usr/bin/env python3
"""What the binary was built with against its own mistakes, as its file tells."""

import os
import platform
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
    checked = {line.split()[-1].split("@")[0] for line in symbols.splitlines() if "_chk@" in line} - {"__stack_chk_fail"}
    print(f"  {len(checked)} functions with a check of their own: {', '.join(sorted(checked))}")
    assert len(checked) >= 5, checked


def test_jumps_go_where_they_may():
    if platform.machine() != "x86_64":
        raise Skip("needs x86_64: readelf tells it of no other machine")
    assert "IBT" in readelf("-n") and "SHSTK" in readelf("-n"), "a file without the marks is linked in"


main()

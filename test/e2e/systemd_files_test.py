#!/usr/bin/env python3
"""What systemd itself says of the files it is given."""

import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../netns"))
from harness import *

UNIT = ROOT / "systemd/conntally.service"
EXPOSURE_MOST = 1.5


def test_the_unit_is_understood_whole():
    with tempfile.TemporaryDirectory() as folder:
        unit = pathlib.Path(folder, UNIT.name)
        # The binary isn't installed here; any other will do.
        unit.write_text(UNIT.read_text().replace("/usr/bin/conntally", "/bin/true"))
        told = run("systemd-analyze", "verify", "--man=no", unit)
        assert not [line for line in told.stderr.splitlines() if UNIT.name in line], told.stderr


def test_the_unit_is_exposed_no_more_than_it_must():
    told = run("systemd-analyze", "security", "--offline=true", "--no-pager", UNIT).stdout
    exposure = float(re.search(r"exposure level for \S+: ([0-9.]+)", told)[1])
    print(f"  exposure {exposure}")
    assert exposure <= EXPOSURE_MOST, told


def test_the_sysctl_file_makes_every_entry_announce_its_end():
    tool = pathlib.Path("/lib/systemd/systemd-sysctl")
    with Namespace() as namespace:
        namespace.sysctl("net.netfilter.nf_conntrack_events", 2)
        namespace.run(tool, ROOT / "systemd/sysctl.d/30-conntally.conf")
        assert namespace.run("sysctl", "-n", "net.netfilter.nf_conntrack_events").stdout == "1\n"


main()

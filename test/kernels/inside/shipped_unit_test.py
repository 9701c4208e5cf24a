"""The unit as shipped, on a machine that systemd booted with what `cmake --install` made. Run inside an emulated machine (see
../on_kernel.py)."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../netns"))
from harness import *
from metrics import Metrics

URL = "http://127.0.0.1:9105"


def show(what):
    return run("systemctl", "show", "conntally", f"--property={what}", "--value").stdout.strip()


def journal():
    return run("journalctl", "--unit=conntally", "--no-pager", "--output=cat", check=False).stdout


def test_systemd_loaded_ip_tables_whose_names_are_roots():
    assert pathlib.Path("/proc/net/ip_tables_names").stat().st_mode & 0o7777 == 0o440


def test_the_shipped_settings_are_in_force():
    assert pathlib.Path("/proc/sys/net/netfilter/nf_conntrack_events").read_text() == "1\n"


def test_it_is_enabled_and_started():
    done = run("systemctl", "enable", "--now", "conntally", check=False, timeout=300)
    print(f"  {show('StatusText')}")
    assert done.returncode == 0 and show("ActiveState") == "active", done.stderr + journal()
    assert show("NRestarts") == "0"


def test_it_is_quiet_for_two_minutes():
    assert show("ActiveState") == "active", "it does not run"
    time.sleep(120)
    metrics = Metrics(run("curl", "--silent", "--fail", f"{URL}/metrics").stdout)
    firing = [dict(labels) for labels, value in metrics.series("conntally_alert_firing").items() if value == 1]
    assert not firing, f"{firing}\n{journal()}"
    failed = [dict(labels)["collector"] for labels, value in metrics.series("conntally_collector_success").items() if value != 1]
    assert not failed, f"collectors that fail: {failed}\n{journal()}"
    assert show("NRestarts") == "0", journal()


main()

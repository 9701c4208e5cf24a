#!/usr/bin/env python3
"""conntally.service under a real systemd: booted in a container over this machine's own /usr, read-only.

`--volatile=yes` gives it an empty /etc and /var in memory, so nothing has to be installed, downloaded or removed.
The unit is the shipped one; the container runs the script below as its only service and hands back its report.
"""

import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../netns"))
from harness import *

CAP_NET_ADMIN = "0000000000001000"

TARGET = """
[Unit]
Requires=basic.target inside.service
AllowIsolate=yes
"""

SERVICE = """
[Service]
Type=oneshot
ExecStart=/bin/bash /report/inside
ExecStopPost=/bin/systemctl --no-block exit 0
"""

# Each line it writes is KEY=VALUE.
INSIDE = r"""
exec >/report/report 2>/report/errors
show() { systemctl show conntally --property="$1" | sed "s/^/$2/"; }
now() { date +%s%N; }

ct_load create --count 500 >/dev/null
systemctl start conntally; echo "start=$?"
for property in ActiveState SubState WatchdogUSec NotifyAccess; do show $property started_; done
pid=$(systemctl show conntally --property=MainPID --value)
grep -E '^(CapEff|CapBnd|NoNewPrivs|Uid|Seccomp):' /proc/$pid/status | sed -E 's/:\s+/=/; s/\s.*//'
echo "readyz=$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:9105/readyz)"
sum() {  # without awk, which is a link into /etc
  local sum=0 value
  for value in $(curl -s http://127.0.0.1:9105/metrics | sed -n 's/^conntally_connections{.*} //p'); do
    sum=$((sum + value))
  done
  echo "$sum"
}
echo "counted_at_start=$(sum)"
ct_load create --first 500 --count 250 >/dev/null; sleep 0.5
echo "counted=$(sum)"

systemctl reload conntally; echo "reload=$?"; sleep 0.5
echo "same_pid=$([ "$pid" = "$(systemctl show conntally --property=MainPID --value)" ] && echo yes)"
show ActiveState reloaded_
before=$(now); systemctl stop conntally; echo "stop=$?"
echo "stop_ms=$(( ($(now) - before) / 1000000 ))"
show Result stopped_

# A daemon that hangs is started again.
mkdir -p /run/systemd/system/conntally.service.d
printf '[Service]\nWatchdogSec=2\n' >/run/systemd/system/conntally.service.d/hasty.conf
systemctl daemon-reload; systemctl start conntally; sleep 5
echo "idle_restarts=$(systemctl show conntally --property=NRestarts --value)"
kill -STOP "$(systemctl show conntally --property=MainPID --value)"
for _ in $(seq 60); do
  sleep 0.25
  [ "$(systemctl show conntally --property=NRestarts --value)" != 0 ] && break
done
for _ in $(seq 40); do
  [ "$(systemctl is-active conntally)" = active ] && break
  sleep 0.25
done
echo "hung_restarts=$(systemctl show conntally --property=NRestarts --value)"
show ActiveState hung_
journalctl --unit=conntally --output=cat --no-pager >/report/journal
"""


def boot(folder):
    """Boots, runs INSIDE, and returns its report."""
    programs, units, report = (pathlib.Path(folder, name) for name in ("programs", "units", "report"))
    for made in (programs, units, report):
        made.mkdir()
        made.chmod(0o755)
    shutil.copy(BINARY, programs / "conntally")
    shutil.copy(CT_LOAD, programs / "ct_load")
    shutil.copy(ROOT / "systemd/conntally.service", units)
    (units / "inside.target").write_text(TARGET)
    (units / "inside.service").write_text(SERVICE)
    (report / "inside").write_text(INSIDE)
    command = ["systemd-nspawn", "--quiet", "--directory=/", "--volatile=yes", "--private-network", "--register=no",
               "--keep-unit", "--console=pipe", f"--machine=conntally-test-{os.getpid()}",
               f"--overlay-ro=/usr/bin:{programs}:/usr/bin", f"--bind={report}:/report"]
    command += [f"--bind-ro={unit}:/etc/systemd/system/{unit.name}" for unit in units.iterdir()]
    done = run(*command, "--boot", "--", "--unit=inside.target", timeout=150, check=False)
    if not (report / "report").exists():
        raise AssertionError(f"the container did not boot: exit {done.returncode}\n{done.stdout}{done.stderr}")
    lines = (report / "report").read_text().splitlines()
    journal = (report / "journal").read_text() if (report / "journal").exists() else ""
    errors = (report / "errors").read_text()
    return dict(line.split("=", 1) for line in lines if "=" in line), journal, errors


def test_the_shipped_unit_starts_is_confined_reloads_stops_and_is_revived():
    if not shutil.which("systemd-nspawn"):
        raise Skip("needs systemd-nspawn, of the Debian package systemd-container")
    with tempfile.TemporaryDirectory(prefix="conntally-test-") as folder:
        os.chmod(folder, 0o755)
        told, journal, errors = boot(folder)
    print("  " + " ".join(f"{key}={value}" for key, value in told.items()))
    expected = {
        "start": "0", "started_ActiveState": "active", "started_SubState": "running", "started_WatchdogUSec": "30s",
        "started_NotifyAccess": "main", "CapEff": CAP_NET_ADMIN, "CapBnd": CAP_NET_ADMIN, "NoNewPrivs": "1",
        "Seccomp": "2", "readyz": "200", "counted_at_start": "500", "counted": "750", "reload": "0",
        "same_pid": "yes", "reloaded_ActiveState": "active", "stop": "0", "stopped_Result": "success",
        "idle_restarts": "0", "hung_restarts": "1", "hung_ActiveState": "active",
    }
    wrong = {key: (told.get(key), value) for key, value in expected.items() if told.get(key) != value}
    assert not wrong, f"(is, should be): {wrong}\n{errors}\n{journal}"
    assert told["Uid"] != "0", "it runs as root"
    assert journal.strip(), "the journal has no line of it"
    claim("stopped", int(told["stop_ms"]) / 1000, 2)


main()

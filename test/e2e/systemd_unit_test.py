#!/usr/bin/env python3
"""conntally.service under a real systemd: booted in a container over this machine's own /usr, read-only.

`--volatile=yes` gives it an empty /etc and /var in memory, and what the README's own commands install goes to a folder that lies over
/usr there: nothing of the machine changes. The container runs the script below as its only service and hands back its report.
"""

import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../netns"))
from harness import *

CAP_NET_ADMIN = "0000000000001000"
# Seconds: past every alert's `for`, and what comes before it.
QUIET = 120 if FULL else 70

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

nft 'table inet filter { chain input { type filter hook input priority 0; udp dport 1 counter drop; }; }'
/report/ct_load create --count 500 >/dev/null
sudo() { "$@"; }
@COMMANDS@
echo "start=$?"; started=$(date +%s)
show FragmentPath ""
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
/report/ct_load create --first 500 --count 250 >/dev/null; sleep 0.5
echo "counted=$(sum)"

systemctl reload conntally; echo "reload=$?"; sleep 0.5
echo "same_pid=$([ "$pid" = "$(systemctl show conntally --property=MainPID --value)" ] && echo yes)"
show ActiveState reloaded_
sleep $((started + @QUIET@ - $(date +%s)))
show StatusText ""
curl -s http://127.0.0.1:9105/api/v1/alerts >/report/alerts
curl -s http://127.0.0.1:9105/api/v1/status >/report/status
curl -s http://127.0.0.1:9105/metrics >/report/metrics
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

# A collector that fails, a configuration that is refused, and a journal that takes nothing for a while.
systemctl stop conntally
mkdir -p /etc/conntally; echo 'drops: {ebpf: on}' >/etc/conntally/conntally.yaml
systemctl start conntally; echo "failing_start=$?"
echo 'nonsense: 1' >/etc/conntally/conntally.yaml
systemctl reload conntally
kill -STOP "$(systemctl show systemd-journald --property=MainPID --value)"
echo "stuck_journal_readyz=$(curl -s -m 2 -o /dev/null -w '%{http_code}' http://127.0.0.1:9105/readyz)"
kill -CONT "$(systemctl show systemd-journald --property=MainPID --value)"
systemctl stop conntally; journalctl --sync
journalctl --unit=conntally --output=json --no-pager >/report/fields
"""


def readme_commands():
    """Those of "To run it for good", but for the building, which is done: to install, from the build tree under test, and to start."""
    section = (ROOT / "README.md").read_text().split("## To run it for good")[1]
    building, *others = section.split("```sh\n")[1].split("```")[0].splitlines()
    assert building == "cmake --preset release && cmake --build --preset release", building
    installing = [line for line in others if "cmake --install build/release" in line]
    assert len(installing) == 1 and len(others) > 1, others
    return (installing[0].replace("build/release", f"'{BINARY.resolve().parent}'"),
            " && ".join(line for line in others if line not in installing))


def boot(folder):
    """Boots, runs INSIDE, and returns its report."""
    stage, units, report = (pathlib.Path(folder, name) for name in ("stage", "units", "report"))
    for made in (stage, units, report):
        made.mkdir()
        made.chmod(0o755)
    shutil.copy(CT_LOAD, report / "ct_load")
    (units / "inside.target").write_text(TARGET)
    (units / "inside.service").write_text(SERVICE)
    install, start = readme_commands()
    run("env", f"DESTDIR={stage}", "bash", "-ec", 'sudo() { "$@"; }; ' + install)
    inside = INSIDE.replace("@COMMANDS@", start).replace("@QUIET@", str(QUIET))
    (report / "inside").write_text(inside)
    command = ["systemd-nspawn", "--quiet", "--directory=/", "--volatile=yes", "--private-network", "--register=no",
               "--keep-unit", "--console=pipe", f"--machine=conntally-test-{os.getpid()}",
               f"--overlay-ro=/usr:{stage}/usr:/usr", f"--bind={report}:/report"]
    command += [f"--bind-ro={unit}:/etc/systemd/system/{unit.name}" for unit in units.iterdir()]
    done = run(*command, "--boot", "--", "--unit=inside.target", timeout=300, check=False)
    if not (report / "report").exists():
        raise AssertionError(f"the container did not boot: exit {done.returncode}\n{done.stdout}{done.stderr}")
    lines = (report / "report").read_text().splitlines()
    journal = (report / "journal").read_text() if (report / "journal").exists() else ""
    errors = (report / "errors").read_text()
    told = dict(line.split("=", 1) for line in lines if "=" in line)
    answers = {name: (report / name).read_text() for name in ("alerts", "status", "metrics", "fields") if (report / name).exists()}
    return told, answers, journal, errors


def check_journal_fields(entries):
    """Each line has its priority, and no time of its own beside the journal's; what it is about is in fields."""
    ours = [entry for entry in entries if entry.get("SYSLOG_IDENTIFIER") == "conntally" and "_EXE" in entry]
    assert {entry["_TRANSPORT"] for entry in ours} == {"journal"}, ours
    stamped = [entry["MESSAGE"] for entry in ours if re.match(r"\d{4}-\d\d-\d\d", entry["MESSAGE"])]
    assert not stamped, stamped
    failing = [entry for entry in ours if entry.get("COLLECTOR") == "ebpf" and " fails: " in entry["MESSAGE"]]
    assert failing and failing[0]["PRIORITY"] == "3", [(entry["PRIORITY"], entry["MESSAGE"]) for entry in ours]
    priorities = {entry["MESSAGE"]: entry["PRIORITY"] for entry in ours}
    assert priorities["reload: the configuration has faults; the old one still applies"] == "3", priorities
    assert priorities["stopped"] == "6", priorities


def test_the_unit_as_installed_starts_is_confined_is_quiet_reloads_stops_and_is_revived():
    if not shutil.which("systemd-nspawn"):
        raise Skip("needs systemd-nspawn, of the Debian package systemd-container")
    with tempfile.TemporaryDirectory(prefix="conntally-test-") as folder:
        os.chmod(folder, 0o755)
        told, answers, journal, errors = boot(folder)
    print("  " + " ".join(f"{key}={value}" for key, value in told.items()))
    expected = {
        "start": "0", "StatusText": "tallies follow the kernel", "started_ActiveState": "active", "started_SubState": "running", "started_WatchdogUSec": "30s",
        "started_NotifyAccess": "main", "CapEff": CAP_NET_ADMIN, "CapBnd": CAP_NET_ADMIN, "NoNewPrivs": "1",
        "Seccomp": "2", "readyz": "200", "counted_at_start": "500", "counted": "750", "reload": "0",
        "same_pid": "yes", "reloaded_ActiveState": "active", "stop": "0", "stopped_Result": "success",
        "idle_restarts": "0", "hung_restarts": "1", "hung_ActiveState": "active",
        "failing_start": "0", "stuck_journal_readyz": "200",
    }
    wrong = {key: (told.get(key), value) for key, value in expected.items() if told.get(key) != value}
    assert not wrong, f"(is, should be): {wrong}\n{errors}\n{journal}"
    assert told["FragmentPath"] in [f"{prefix}/lib/systemd/system/conntally.service" for prefix in ("", "/usr")], told
    assert told["Uid"] != "0", "it runs as root"
    assert journal.strip(), "the journal has no line of it"
    alerts = [alert for alert in json.loads(answers["alerts"])["alerts"] if alert["state"] != "pending"]
    assert not alerts, f"a healthy host has alerts: {alerts}"
    assert "alert firing" not in journal, journal
    collectors = json.loads(answers["status"])["collectors"]
    print("  " + ", ".join(f"{name}: {'works' if of['success'] else of}" for name, of in collectors.items()))
    failing = {name: of for name, of in collectors.items() if not of["success"] and "off" not in of}
    assert not failing, failing
    check_invariants(Metrics(answers["metrics"]))
    assert set(Metrics(answers["metrics"]).series("conntally_collector_success").values()) == {1}
    check_journal_fields([json.loads(line) for line in answers["fields"].splitlines()])
    claim("stopped", int(told["stop_ms"]) / 1000, 2)


main()

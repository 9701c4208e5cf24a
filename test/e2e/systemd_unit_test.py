#!/usr/bin/env python3
"""The package under a real systemd: installed, started, confined, quiet, reloaded, revived, upgraded, removed."""

import re

from container import *

CAP_NET_ADMIN = "0000000000001000"
# Seconds: past every alert's `for`, and what comes before it.
QUIET = 120 if FULL else 70

# Each line it writes is KEY=VALUE.
INSIDE = r"""
show() { systemctl show conntally --property="$1" | sed "s/^/$2/"; }
now() { date +%s%N; }

nft 'table inet filter { chain input { type filter hook input priority 0; udp dport 1 counter drop; }; }'
/report/ct_load create --count 500 >/dev/null
sudo() { "$@"; }
@INSTALL@ >/report/apt
echo "install=$?"; started=$(date +%s)
echo "enabled=$(systemctl is-enabled conntally)"
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


def readme_installs():
    """The README's own command that installs the package."""
    section = (ROOT / "README.md").read_text().split("## To run it for good")[1]
    build, install = section.split("```sh\n")[1].split("```")[0].splitlines()
    assert build == "sudo ./quickstart package", build
    return install.replace("./build/", "/report/")


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
    with tempfile.TemporaryDirectory() as folder:
        inside = INSIDE.replace("@INSTALL@", readme_installs()).replace("@QUIET@", str(QUIET))
        told, left = boot(inside, [build_package(folder), CT_LOAD])
    journal, errors = left.get("journal", ""), left["errors"] + left.get("apt", "")
    print("  " + " ".join(f"{key}={value}" for key, value in told.items()))
    expected = {
        "install": "0", "enabled": "enabled", "StatusText": "tallies follow the kernel", "started_ActiveState": "active", "started_SubState": "running", "started_WatchdogUSec": "30s",
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
    alerts = [alert for alert in json.loads(left["alerts"])["alerts"] if alert["state"] != "pending"]
    assert not alerts, f"a healthy host has alerts: {alerts}"
    assert "alert firing" not in journal, journal
    collectors = json.loads(left["status"])["collectors"]
    print("  " + ", ".join(f"{name}: {'works' if of['success'] else of}" for name, of in collectors.items()))
    failing = {name: of for name, of in collectors.items() if not of["success"] and "off" not in of}
    assert not failing, failing
    check_invariants(Metrics(left["metrics"]))
    assert set(Metrics(left["metrics"]).series("conntally_collector_success").values()) == {1}
    check_journal_fields([json.loads(line) for line in left["fields"].splitlines()])
    claim("stopped", int(told["stop_ms"]) / 1000, 2)


# What an administrator does with a package over its life.
LIFE = r"""
show() { systemctl show conntally --property="$1" --value; }
answers() { curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:9105/$1"; }
until_ready() { for _ in $(seq 100); do [ "$(answers readyz)" = 200 ] && return; sleep 0.1; done; }

apt-get install -y /report/conntally_0.1.0_*.deb >/report/apt 2>&1; echo "install=$?"
until_ready; echo "ready=$(answers readyz)"
before=$(show MainPID); kill -9 "$before"; sleep 1.5; until_ready
echo "revived=$(answers readyz) $([ "$before" != "$(show MainPID)" ] && echo anew)"

echo 'log: {level: debug}' >/etc/conntally/conntally.yaml
echo 'ARGS="--log.format json"' >/etc/default/conntally
before=$(show MainPID)
apt-get install -y /report/conntally_0.2.0.deb >>/report/apt 2>&1; echo "upgrade=$?"
until_ready
echo "upgraded=$(dpkg-query -W -f='${Version}' conntally) $(answers readyz) $([ "$before" != "$(show MainPID)" ] && echo anew)"
echo "kept=$(cat /etc/conntally/conntally.yaml) $(cat /etc/default/conntally)"
# A version whose default file differs: whoever says nothing keeps what was edited.
apt-get install -y -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold /report/conntally_0.3.0.deb >>/report/apt 2>&1
echo "other_default=$? $(cat /etc/conntally/conntally.yaml)"
until_ready
echo "json=$(journalctl -u conntally -o cat --no-pager | grep -q '^{' && echo yes)"

# The port by systemd: no connection is refused while the daemon starts anew.
mkdir -p /etc/systemd/system/conntally.service.d
ln -s /usr/share/conntally/systemd/socket.conf /etc/systemd/system/conntally.service.d/
systemctl stop conntally; systemctl daemon-reload
systemctl enable --now conntally.socket >/dev/null 2>&1; systemctl start conntally; echo "by_socket=$?"
until_ready; echo "served=$(answers metrics)"
( while [ ! -e /run/enough ]; do answers healthz; echo; done ) >/report/asked &
for _ in 1 2 3; do systemctl restart conntally; done; echo "restart=$?"
touch /run/enough; wait
echo "exposure_socket=$(systemd-analyze security --no-pager conntally | sed -nE 's/.*level for conntally.service: ([0-9.]+).*/\1/p')"

apt-get remove -y conntally >>/report/apt 2>&1; echo "remove=$?"
echo "removed=$(systemctl is-active conntally) $(systemctl is-active conntally.socket) $(cat /etc/conntally/conntally.yaml)"
rm -r /etc/systemd/system/conntally.service.d
apt-get purge -y conntally >>/report/apt 2>&1; echo "purge=$?"
find /etc /usr /lib /var /run /sys/fs/bpf -xdev -path /usr/src -prune -o -iname '*conntally*' -print >/report/left
journalctl -u conntally -o cat --no-pager >/report/journal
"""


def other_default(tree):
    (tree / "etc/conntally/conntally.yaml").write_text("log: {level: info}\n")


def test_the_package_lives_through_kill_upgrade_socket_activation_and_purge():
    with tempfile.TemporaryDirectory() as folder:
        package = build_package(folder)
        told, left = boot(LIFE, [package, repack(package, "0.2.0"), repack(package, "0.3.0", other_default)])
    print("  " + " ".join(f"{key}={value}" for key, value in told.items()))
    edited = "log: {level: debug}"
    expected = {"install": "0", "ready": "200", "revived": "200 anew", "upgrade": "0", "upgraded": "0.2.0 200 anew",
                "kept": edited + ' ARGS="--log.format json"', "other_default": "0 " + edited, "json": "yes", "by_socket": "0",
                "served": "200", "restart": "0", "remove": "0", "removed": "inactive inactive " + edited, "purge": "0"}
    wrong = {key: (told.get(key), value) for key, value in expected.items() if told.get(key) != value}
    assert not wrong, f"(is, should be): {wrong}\n{left['errors']}\n{left['apt'][-3000:]}\n{left.get('journal', '')[-3000:]}"
    asked = left["asked"].split()
    print(f"  asked {len(asked)} times over three restarts")
    assert len(asked) > 5 and set(asked) == {"200"}, {code: asked.count(code) for code in set(asked)}
    assert not left["left"].strip(), "purging leaves: " + left["left"]


main()

"""What is run on each of Debian's kernels: tests of test/netns, and of inside/ what needs a machine of its own. A test's script calls main()."""

import hashlib
import json
import os
import shutil
import signal
import sys

from debian import CACHE, ROOT, Missing, alone, require, run
from machine import BINARY, CT_LOAD, Machine

FULL = os.environ.get("CONNTALLY_FULL") == "1"
# Emulation, and a host with other work, take this many times as long; a slow host the more.
HOST_SLOWNESS = float(os.environ.get("CONNTALLY_TEST_SLOWNESS", "1"))
SLOWNESS = 20 * HOST_SLOWNESS
FIRST_START = ["test/kernels/inside/first_start_test.py"]
# Of test/netns, what takes seconds in an emulated machine.
SHORT = [
    FIRST_START,
    ["test/kernels/inside/events_by_bpf_test.py", "test_every_form_is_as_the_kernel_lists_it",
     "test_real_connections_are_told_as_netlink_tells_them", "test_what_a_small_ring_loses_is_counted_one_by_one_and_mended",
     "test_without_the_administrators_capability", "test_where_it_cannot_be_had_bpf_is_an_error_and_auto_is_netlink"],
    ["test/netns/entries_older_than_the_daemon_test.py", "test_entries_on_both_sides_of_the_start_are_told_apart"],
    ["test/netns/rule_counters_match_the_tools_test.py", "test_native_rules", "test_iptables_over_nftables", "test_iptables_legacy"],
    ["test/netns/drops_are_attributed_to_their_source_test.py", "test_each_form_of_drop_and_reject_is_exact_by_ebpf",
     "test_rules_that_count_nothing_are_named_in_an_ordinary_firewall", "test_nflog_is_exact_with_its_prefix"],
    ["test/netns/overrun_is_repaired_test.py", "test_an_overrun_amid_traffic_is_repaired_while_the_traffic_goes_on"],
    ["test/netns/diagnose_findings_test.py", "test_each_staged_cause_is_named_first_and_healthy_hosts_accuse_nobody"],
]
# Of the stages of diagnosis, what is short enough.
TEN_STAGES = """table_full_of_one_source far_too_few_buckets gateway_does_not_forward gateway_knows_no_way_on no_route_back
strict_reverse_path_filter_has_dropped nobody_listens_on_tcp packets_of_no_connection one_client_never_closes ended_connections_kept_for_an_hour"""
# What a kernel must give, and the tests that show it: as they are named in the results.
CAPABILITIES = {
    "no module loaded before": ["first start: with no module loaded it loads what it listens to"],
    "events": ["first start: under the kernels default each end is told"],
    "exactness": ["first start: spoken connections rules and drops are the kernels",
                  "entries older than the daemon: entries on both sides of the start are told apart"],
    "overrun": ["overrun is repaired: an overrun amid traffic is repaired while the traffic goes on"],
    "clock set by an hour": ["first start: a clock that is set by an hour changes no tally and wakes nobody"],
    "full table": ["first start: a full table is told"],
    "nft": ["rule counters match the tools: native rules"],
    "iptables-nft": ["rule counters match the tools: iptables over nftables"],
    "iptables-legacy": ["rule counters match the tools: iptables legacy"],
    "eBPF": ["drops are attributed to their source: each form of drop and reject is exact by ebpf"],
    "NFLOG": ["drops are attributed to their source: nflog is exact with its prefix"],
    "kernel log": ["drops are attributed to their source: the kernels log tells who was dropped"],
    "ten diagnoses": ["diagnose findings: each staged cause is named first and healthy hosts accuse nobody"],
    "unit as shipped": ["shipped unit: it is enabled and started", "shipped unit: it is quiet for two minutes"],
}
SHORT_SECONDS, SCRIPT_SECONDS, NETNS_SECONDS, UNIT_SECONDS = (int(seconds * HOST_SLOWNESS) for seconds in (2_400, 1_500, 15_000, 900))

# Boots systemd as the machine's first process, over what `cmake --install` made.
UNIT_START = """
cp -a /host/install/. /
cat >/etc/systemd/system/inside.service <<'TEXT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
Environment={environment}
ExecStart=/bin/sh -c "python3 -B /tree/test/kernels/inside/shipped_unit_test.py >>/host/report 2>&1; echo === exit $$? >>/host/report"
ExecStopPost=/bin/systemctl poweroff --force --force
[Install]
WantedBy=multi-user.target
TEXT
mkdir -p /etc/systemd/system/multi-user.target.wants
ln -sf ../inside.service /etc/systemd/system/multi-user.target.wants/
echo === test/kernels/inside/shipped_unit_test.py >>/host/report
exec /lib/systemd/systemd
"""


class Results:
    """{test: what came of it} of one kernel, from the lines that test/netns/harness.py prints. Beside it those of the kernels that the same
    conntally ran on before."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.cells = {}
        self._script = self._test = None
        program = hashlib.sha256(BINARY.read_bytes()).hexdigest()[:16]
        self._file = CACHE / f"results-{program}.json"

    def hear(self, line):
        print(line, flush=True)
        if line.startswith("=== exit "):
            self._close(line.removeprefix("=== exit "))
        elif line.startswith("=== "):
            self._script, self._test = line.removeprefix("=== "), None
        elif line.startswith("- "):
            self._test = line.removeprefix("- ")
            self._set("did not end")
        elif line.startswith("  ok, "):
            self._set(line.strip())
        elif line.startswith("FAILED  "):
            self._set("FAILED")
        elif line.startswith("SKIPPED: "):
            self._set(line)

    def _set(self, what):
        name = self._script.split()[0].rpartition("/")[2].removesuffix("_test.py").replace("_", " ")
        self.cells[f"{name}: {self._test or 'all'}"] = what

    def _close(self, code):
        heard = any(key.endswith(f": {self._test}") for key in self.cells)
        if code not in ("0", "1", "77") or not heard:
            self._set(f"FAILED, exit {code}")

    @property
    def wrong(self):
        return [test for test, what in self.cells.items() if not what.startswith("ok")]

    def print_table(self):
        with alone():
            kernels = json.loads(self._file.read_text()) if self._file.exists() else {}
            kernels.setdefault(self.kernel, {}).update(self.cells)
            self._file.write_text(json.dumps(kernels))
        tests = dict.fromkeys(test for cells in kernels.values() for test in cells)
        width = max(map(len, tests), default=0)
        print(f"\n{'':{width}}  " + "  ".join(f"{kernel:24}" for kernel in kernels))
        for test in tests:
            print(f"{test:{width}}  " + "  ".join(f"{cells.get(test, '-'):24.24}" for cells in kernels.values()))
        print(f"\n{'':24}  " + "  ".join(f"{kernel:24}" for kernel in kernels))
        for capability, shown_by in CAPABILITIES.items():
            print(f"{capability:24}  " + "  ".join(f"{capability_of(cells, shown_by):24}" for cells in kernels.values()))


def capability_of(cells, tests):
    """One word for it: shown, not shown, or the part that shows it was not run (CONNTALLY_FULL=1 runs all)."""
    results = [cells.get(test) for test in tests]
    if None in results:
        return "not run"
    return "shown" if all(result.startswith("ok") for result in results) else "FAILED"


def in_namespaces(machine, results, scripts, seconds):
    """One boot, the scripts one after another."""
    lines = [f"export CONNTALLY_TEST_SLOWNESS={SLOWNESS} PATH=$PATH:/host"]
    if scripts is SHORT:
        lines.append(f"export CONNTALLY_STAGES='{' '.join(TEN_STAGES.split())}'")
    for script in scripts:
        command = " ".join(script)
        lines.append(f"echo === {command} >>/host/report")
        lines.append(f"timeout {SCRIPT_SECONDS} python3 -B /tree/{command} >>/host/report 2>&1; echo === exit $? >>/host/report")
    machine.run("\n".join(lines), seconds, results.hear)


def shipped_unit(machine, results):
    if not (BINARY.parent / "cmake_install.cmake").exists():
        raise Missing(f"{BINARY} is not in a folder that CMake built")
    install = machine.share / "install"
    run("cmake", "--install", BINARY.parent, "--prefix", "/usr", env=os.environ | {"DESTDIR": str(install)})
    environment = f"CONNTALLY_BIN=/usr/bin/conntally CT_LOAD_BIN=/host/ct_load CONNTALLY_TEST_SLOWNESS={SLOWNESS}"
    machine.boot(UNIT_START.format(environment=environment), UNIT_SECONDS, results.hear)


def lend_promtool(machine):
    """Where it is: quickstart only unpacks it."""
    if promtool := shutil.which("promtool", path=f"{os.environ['PATH']}:{ROOT}/build/tools/usr/bin"):
        shutil.copy(promtool, machine.share)


def whole():
    """But for the field of hosts: dozens at a time are more than an emulated machine can do in real time."""
    scripts = sorted(set((ROOT / "test/netns").glob("*_test.py")) - set((ROOT / "test/netns").glob("alert_field_*")))
    return [[str(script.relative_to(ROOT))] for script in scripts]


def _interrupt(number, _):
    raise SystemExit(f"interrupted: {signal.Signals(number).name}")


def main(release):
    """Of Debian "12" or "13". Arguments choose among `short`, `netns` (all of test/netns) and `unit`; CONNTALLY_FULL=1 chooses all."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    os.nice(10)  # other tests run beside this one, and are judged in real time; CI's builds can wait for it
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, _interrupt)
    # Before ctest's own timeout, whose SIGKILL would leave no time to clean up.
    signal.alarm(int(os.environ.get("CONNTALLY_TEST_SECONDS", "0")))
    parts = sys.argv[1:] or (["short", "unit", "netns"] if FULL else ["short"])
    try:
        require()
        for program in (BINARY, CT_LOAD):
            if not program.exists():
                raise Missing(f"{program} is not built")
        wrong = run_parts(release, parts)
    except Missing as reason:
        print(f"SKIPPED: {reason}")
        sys.exit(77)
    sys.exit(1 if wrong else 0)


def run_parts(release, parts):
    results = None
    failures = []
    for part in parts:
        with Machine(release, 2560 if part == "netns" else 1024) as machine:
            results = results or Results(machine.kernel.version)
            try:
                if part == "unit":
                    shipped_unit(machine, results)
                elif part == "netns":
                    lend_promtool(machine)
                    in_namespaces(machine, results, whole(), NETNS_SECONDS)
                else:
                    in_namespaces(machine, results, SHORT, SHORT_SECONDS)
            except AssertionError as error:
                print(error)
                failures.append(part)
    results.print_table()
    print(f"{len(results.cells) - len(results.wrong)} passed, {len(results.wrong)} failed")
    return failures + results.wrong

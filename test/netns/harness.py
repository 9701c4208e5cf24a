"""What a namespace test imports. A test file is a script with functions named test_…, run one after another:

    from harness import *

    def test_that_something_holds():
        with Namespace() as namespace, Daemon(namespace) as daemon:
            daemon.wait_ready()
            ...

    main()

Exit code 0: all held. 1: some did not; the daemons' logs are printed. 77: it cannot run here, and the line
`SKIPPED: reason` says why.
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import sys
import time
import traceback

from daemon import BINARY, ROOT, Daemon, forget_logs, print_logs, scraped_all_along
from kernel_table import KernelTable, count, differences
from metrics import Metrics, check_invariants
from namespaces import PREFIX, SLOWNESS, Namespace, NotThere, alone_on_this_machine, machine_sysctls, run, veth, wait_until

# The whole size of each claim; otherwise smaller where time asks for it.
FULL = os.environ.get("CONNTALLY_FULL") == "1"
CT_LOAD = pathlib.Path(os.environ.get("CT_LOAD_BIN", BINARY.parent / "test/support/ct_load"))
NOISE = 3  # machines are shared and noisy: a timed claim fails only this many times over
# Connections that tests may make at a time; the kernel's own limit is as much on a host of 8 GiB and less on a smaller one.
ENTRIES_MOST = 262_144

__all__ = """BINARY CT_LOAD Daemon FULL KernelTable Metrics Namespace NotThere ROOT SLOWNESS Skip check_invariants claim count
ct_load differences json limit_of_entries long_form machine_sysctls main os pathlib run scraped_all_along shutil signal sys time veth
wait_until""".split()


class Skip(Exception):
    """This test cannot run here."""


class _Interrupted(BaseException):
    pass


def ct_load(namespace, *arguments, check=True, timeout=300):
    """Runs ct_load in the namespace; returns the figures that it printed."""
    done = namespace.run(CT_LOAD, *arguments, check=check, timeout=timeout)
    return json.loads(done.stdout.splitlines()[-1])


def claim(what, seconds, most_seconds):
    """Prints a timed figure beside what is claimed; fails only well beyond it."""
    print(f"  {what}: {seconds:.3f} s (claimed: at most {most_seconds} s)")
    assert seconds <= most_seconds * NOISE * SLOWNESS, f"{what} took {seconds:.3f} s, claimed {most_seconds} s"


def limit_of_entries():
    return int(pathlib.Path("/proc/sys/net/netfilter/nf_conntrack_max").read_text())


@contextlib.contextmanager
def _room():
    """For as many entries as the tests make."""
    if limit_of_entries() >= ENTRIES_MOST:
        yield
        return
    try:
        with machine_sysctls(net__netfilter__nf_conntrack_max=ENTRIES_MOST):
            yield
    except OSError as error:
        raise Skip(f"needs room for {ENTRIES_MOST} entries, and nf_conntrack_max cannot be raised: {error}") from error


def _require():
    if os.geteuid() != 0:
        raise Skip("needs root to make network namespaces")
    for tool in ("ip", "nft", "conntrack", "sysctl"):
        if not shutil.which(tool):
            raise Skip(f"needs the command {tool}")
    for binary in (BINARY, CT_LOAD):
        if not binary.exists():
            raise Skip(f"{binary} is not built")
    try:
        with Namespace("probe") as namespace:
            count(namespace)
    except (RuntimeError, ValueError) as error:
        # In one line, and the same for each test, without the name that was tried.
        why = re.sub(rf"{PREFIX}\S+", "NAMESPACE", " ".join(str(error).split()))
        raise Skip(f"cannot make a namespace with conntrack here: {why}") from error


def _interrupt(number, _):
    raise _Interrupted(f"{'out of time' if number == signal.SIGALRM else signal.Signals(number).name}")


def long_form(test):
    """In the long form alone, or by its name."""
    test.is_long = True
    return test


def main():
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    sys.stdout.reconfigure(line_buffering=True)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, _interrupt)
    # Before ctest's own timeout, whose SIGKILL would leave no time to clean up.
    signal.alarm(int(os.environ.get("CONNTALLY_TEST_SECONDS", "0")))
    scope = vars(sys.modules["__main__"])
    wanted = sys.argv[1:]
    if unknown := [name for name in wanted if name not in scope]:
        sys.exit(f"no such test: {' '.join(unknown)}")
    in_short = [name for name, value in scope.items() if name.startswith("test_") and (FULL or not hasattr(value, "is_long"))]
    tests = [scope[name] for name in wanted or in_short]
    failed = 0
    try:
        with alone_on_this_machine():
            _require()
            with _room():
                for test in tests:
                    failed += not _passes(test)
    except Skip as reason:
        print(f"SKIPPED: {reason}")
        sys.exit(77)
    except (_Interrupted, KeyboardInterrupt) as reason:
        traceback.print_exc()
        print_logs()
        sys.exit(f"interrupted: {reason or 'Ctrl-C'}")
    print(f"{len(tests) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def _passes(test):
    name = test.__name__.removeprefix("test_").replace("_", " ")
    print(f"- {name}")
    start = time.monotonic()
    try:
        test()
    except Skip:
        raise
    except Exception:
        traceback.print_exc(file=sys.stdout)
        print_logs()
        print(f"FAILED  {name}")
        return False
    forget_logs()
    print(f"  ok, {time.monotonic() - start:.1f} s")
    return True

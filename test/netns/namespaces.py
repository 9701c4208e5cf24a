"""Throw-away network namespaces, and the few machine-wide settings that tests must touch.

Everything made here goes away again: on success, on failure, on Ctrl-C, on a timeout; and what a killed run
left behind goes when the next one starts (names carry the pid; changed sysctls are noted in a file).
"""

import atexit
import contextlib
import ctypes
import fcntl
import json
import os
import pathlib
import secrets
import signal
import subprocess
import threading
import time

PREFIX = "conntally-test-"
# How much slower than a release build on an ordinary machine things may be: a slow machine, times what a sanitizer costs.
SLOWNESS = float(os.environ.get("CONNTALLY_TEST_SLOWNESS", "1")) * float(os.environ.get("CONNTALLY_BUILD_SLOWNESS", "1"))
LOCK_FILE = pathlib.Path("/run/lock/conntally-test.lock")
SYSCTL_NOTE = pathlib.Path("/run/conntally-test-sysctls.json")

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def run(*command, check=True, input=None, timeout=120):
    """Runs a command to its end; what it printed is in the error when it fails."""
    command = [str(word) for word in command]
    done = subprocess.run(command, input=input, text=True, capture_output=True, timeout=timeout * SLOWNESS)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def die_with_parent():
    """For preexec_fn: whatever ends the test ends its children, SIGKILL included."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Namespace:
    """A network namespace with `lo` up. Use as a context manager.

    Conntrack sees no packet in it until a rule there asks for it; ctnetlink makes entries all the same.
    """

    def __init__(self, role="ns"):
        self.name = f"{PREFIX}{os.getpid()}-{role}-{secrets.token_hex(2)}"

    def __enter__(self):
        run("ip", "netns", "add", self.name)
        atexit.register(self.close)
        self.ip("link", "set", "lo", "up")
        # Link-local addresses are usable at once, without a second of looking for duplicates; and nobody asks for routers,
        # which a rule would drop and a test would count.
        self.sysctl("net.ipv6.conf.default.accept_dad", 0)
        self.sysctl("net.ipv6.conf.default.router_solicitations", 0)
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        atexit.unregister(self.close)
        _remove_namespace(self.name)

    def command(self, *command):
        return ["ip", "netns", "exec", self.name, *map(str, command)]

    def run(self, *command, **options):
        return run(*self.command(*command), **options)

    def spawn(self, *command, **options):
        """Starts a command; `ip netns exec` becomes it, so the pid is its own."""
        return subprocess.Popen(self.command(*command), preexec_fn=die_with_parent, **options)

    def ip(self, *arguments):
        return run("ip", "-n", self.name, *map(str, arguments))

    def nft(self, ruleset):
        return self.run("nft", "-f", "-", input=ruleset)

    def sysctl(self, key, value):
        """A setting of this namespace alone: it goes away with it."""
        return self.run("sysctl", "-q", "-w", f"{key}={value}")

    def socket(self, *arguments):
        """A socket of this namespace, usable from any thread: made by a thread that entered it for that."""
        import socket

        result = []

        def make():
            try:
                with open(f"/run/netns/{self.name}", "rb") as entrance:
                    if _libc.setns(entrance.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), f"enter {self.name}")
                result.append(socket.socket(*arguments))
            except BaseException as error:  # handed to the caller, below
                result.append(error)

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if isinstance(result[0], BaseException):
            raise result[0]
        return result[0]

    def connect(self, host, port, timeout=5.0):
        import socket

        made = self.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        made.settimeout(timeout)
        try:
            made.connect((host, port))
        except BaseException:
            made.close()
            raise
        return made


def veth(left, left_name, left_addresses, right, right_name, right_addresses):
    """A cable between two namespaces, addressed and up."""
    left.ip("link", "add", left_name, "type", "veth", "peer", "name", right_name, "netns", right.name)
    for namespace, name, addresses in ((left, left_name, left_addresses), (right, right_name, right_addresses)):
        for address in addresses:
            namespace.ip("addr", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
        namespace.ip("link", "set", name, "up")


def know_each_other(left, left_name, left_addresses, right, right_name, right_addresses):
    """Both ends of a cable have the other's addresses as neighbours for ever: nobody asks for one while drops are counted."""
    for namespace, name, other, other_name, addresses in (
        (left, left_name, right, right_name, right_addresses), (right, right_name, left, left_name, left_addresses)):
        link = json.loads(other.ip("-json", "link", "show", other_name).stdout)[0]["address"]
        for address in addresses:
            namespace.ip("neigh", "replace", address, "lladdr", link, "dev", name, "nud", "permanent")


def _remove_namespace(name):
    pids = run("ip", "netns", "pids", name, check=False)
    for pid in pids.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    run("ip", "netns", "del", name, check=False)


def _is_alive(pid):
    return pathlib.Path(f"/proc/{pid}").exists()


def _write_sysctls(values):
    for key, value in values.items():
        pathlib.Path("/proc/sys", *key.split(".")).write_text(f"{value}\n")


def _noted_sysctls():
    return json.loads(SYSCTL_NOTE.read_text()) if SYSCTL_NOTE.exists() else {}


def _restore_sysctls():
    _write_sysctls(_noted_sysctls())
    SYSCTL_NOTE.unlink(missing_ok=True)


@contextlib.contextmanager
def machine_sysctls(**values):
    """Changes settings of the whole machine for a while, e.g. net__netfilter__nf_conntrack_max=2_000_000.

    The machine's own values are on disk before anything changes: should this process be killed, the next run restores them.
    Such changes may be nested.
    """
    wanted = {key.replace("__", "."): value for key, value in values.items()}
    old = {key: pathlib.Path("/proc/sys", *key.split(".")).read_text().strip() for key in wanted}
    noted = _noted_sysctls()
    SYSCTL_NOTE.write_text(json.dumps({**old, **noted}))
    atexit.register(_restore_sysctls)
    try:
        _write_sysctls(wanted)
        yield
    finally:
        _write_sysctls(old)
        if noted:
            SYSCTL_NOTE.write_text(json.dumps(noted))
        else:
            SYSCTL_NOTE.unlink(missing_ok=True)
            atexit.unregister(_restore_sysctls)


@contextlib.contextmanager
def alone_on_this_machine():
    """Tests share one conntrack hash table and one limit, so they run one after another, whoever starts them."""
    LOCK_FILE.parent.mkdir(parents=True, exist_ok=True)
    with open(LOCK_FILE, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _restore_sysctls()
        for line in run("ip", "netns", "list").stdout.splitlines():
            name = line.split()[0]
            if name.startswith(PREFIX) and not _is_alive(name[len(PREFIX) :].split("-")[0]):
                _remove_namespace(name)
        yield


class NotThere(AssertionError):
    """What was asked for is not there: perhaps not yet, for whoever waits for it."""


def wait_until(condition, seconds, doing, every=0.02):
    """Polls until condition() is true and returns the seconds it took. What it asks for may be missing for a while: a series
    before the first poll, a key, an element. `doing` is what is waited for, or gives it when it has not come."""
    seconds *= SLOWNESS
    start = time.monotonic()
    while True:
        missing = None
        try:
            if condition():
                return time.monotonic() - start
        except (NotThere, LookupError, StopIteration) as error:
            missing = error
        if time.monotonic() - start > seconds:
            raise AssertionError(f"{doing() if callable(doing) else doing}: not within {seconds:.0f} s") from missing
        time.sleep(every)

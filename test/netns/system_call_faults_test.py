#!/usr/bin/env python3
"""Every system call that the daemon makes fails with each error that it can, at its start and while it runs: it recovers, or it ends with a
reason. What it counted never falls, no alert is false, no thread dies silently. And the n-th allocation of its start fails.

In short a sample, which CONNTALLY_SEED chooses; all with CONNTALLY_FULL=1.
"""

import functools
import http.client
import subprocess
import tempfile

from fault_outcomes import SEED, Outcomes, in_parallel, is_well, reason_in, sample, taken_from
from harness import *

# The errors of each that a kernel under pressure, another program or an administrator can bring about.
FAULTS = {name: errors.split() for name, errors in {
    "accept4": "EMFILE ENFILE ECONNABORTED ENOBUFS EINTR", "bind": "EADDRINUSE EACCES ENOMEM", "bpf": "EPERM ENOMEM EINVAL E2BIG",
    "capget": "EPERM", "clone3": "EAGAIN ENOMEM", "close": "EIO EINTR", "connect": "ECONNREFUSED EACCES ENOENT",
    "epoll_create1": "EMFILE ENOMEM", "epoll_ctl": "ENOMEM ENOSPC", "epoll_wait": "EINTR", "eventfd2": "EMFILE ENOMEM", "faccessat2": "EACCES EIO",
    "fcntl": "EMFILE", "fsync": "EIO ENOSPC EDQUOT", "getdents64": "EIO ENOENT", "getrandom": "EINTR", "getsockname": "ENOBUFS",
    "getsockopt": "ENOPROTOOPT ENOMEM EPERM", "ioctl": "EPERM ENODEV", "listen": "EADDRINUSE", "lseek": "EINVAL", "mkdir": "EACCES ENOSPC EROFS",
    "mmap": "ENOMEM", "mprotect": "ENOMEM", "newfstatat": "EACCES ENOENT EIO", "openat": "EMFILE ENFILE EACCES ENOENT EIO ENOMEM EINTR",
    "perf_event_open": "EACCES", "poll": "EINTR ENOMEM", "ppoll": "EINTR ENOMEM", "prctl": "EPERM EINVAL", "pread64": "EIO", "prlimit64": "EPERM",
    "pselect6": "EINTR", "read": "EIO EINTR EAGAIN", "recvfrom": "EINTR ENOMEM ENOBUFS", "recvmmsg": "EINTR ENOMEM ENOBUFS",
    "recvmsg": "EINTR ENOMEM ENOBUFS", "rename": "ENOSPC EACCES EIO", "rt_sigtimedwait": "EINTR EAGAIN", "sendmsg": "EAGAIN ENOBUFS ECONNREFUSED ENOMEM",
    "sendto": "ENOBUFS EINTR ENOMEM EPERM ECONNRESET", "setns": "EPERM ENOMEM", "setsockopt": "EPERM ENOPROTOOPT ENOMEM", "shutdown": "ENOTCONN",
    "socket": "EMFILE ENFILE EACCES ENOMEM EAFNOSUPPORT", "socketpair": "EMFILE", "statfs": "EIO", "fstatfs": "EIO", "statx": "EIO EACCES",
    "sysinfo": "EFAULT", "unlink": "EACCES EROFS", "write": "EIO ENOSPC EAGAIN EINTR EPIPE", "writev": "EAGAIN EPIPE",
    "wait4": "EINTR", "pipe2": "EMFILE", "vfork": "EAGAIN ENOMEM", "getcwd": "ENOENT", "ftruncate": "EIO", "readlink": "EACCES",
    "memfd_create": "EMFILE", "clock_nanosleep": "EINTR", "sched_getaffinity": "EINVAL", "readlinkat": "EACCES", "access": "EACCES", "timerfd_create": "EMFILE",
    "setpriority": "EACCES", "unshare": "EPERM ENOSPC ENOMEM",
}.items()}
# Of one call: nothing is interrupted, or given up by its client, for ever.
FLEETING = {"EINTR", "ECONNABORTED"}
# What the kernel fails for a mistake of the caller's alone, and what an error would break in the C library before any code of ours. brk tells a
# failure by its result, and no errno: see start_up_faults_test.py for memory that is refused.
NEVER_FAIL = set("""arch_prctl brk dup2 execve exit exit_group futex getegid geteuid getgid getpid getppid gettid getuid madvise munmap restart_syscall
rseq rt_sigaction rt_sigprocmask rt_sigreturn sched_yield set_robust_list set_tid_address uname tgkill kill sigaltstack mremap umask setsid dup dup3
capset pidfd_open close_range sched_setaffinity getpeername clock_gettime""".split())

CONFIG = "conntrack: {reconcile_interval: 3s}\nrules: {poll_interval: 300ms}\n"
FAULT_SECONDS = 1.5
RECOVERY_SECONDS = 15  # a round of the slowest collector, and the pause after a failure
START_SECONDS = 12
# Of an alert on what was done to the daemon itself there is nothing false.
DUE = {"ConntallyDegraded"}


def require_strace():
    if not shutil.which("strace"):
        raise Skip("needs the command strace")
    print(f"  CONNTALLY_SEED={SEED}")


@functools.cache
def calls_made():
    """{system call: how often} of a start, and of a while of running."""
    with tempfile.NamedTemporaryFile("r") as counts, Namespace() as namespace:
        namespace.nft("table inet filter {\n chain input {\n type filter hook input priority 0\n udp dport 5353 counter drop\n }\n}")
        prefix = ["strace", "--daemonize=grandchild", "-f", "-qq", "-c", "-U", "name,calls", "-o", counts.name]
        with tempfile.TemporaryDirectory() as state, Daemon(namespace, CONFIG, [f"--state.directory={state}"], prefix) as daemon:
            daemon.wait_ready()
            ct_load(namespace, "create", "--count", 20, "--sources", 4)
            daemon.wait_equal(10)
            daemon.signal(signal.SIGHUP)
            namespace.nft("table inet other {\n chain input {\n type filter hook input priority 0\n udp dport 5354 counter drop\n }\n}")
            for path in "/", "/api/v1/sources", "/api/v1/sources/detail?source=10.0.0.1", "/api/v1/rules":
                daemon.get(path)
            time.sleep(2)
        lines = [line.split() for line in counts.read().splitlines()]
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdigit() and words[0] != "total"}


def test_every_system_call_that_it_makes_is_among_those_that_are_failed():
    require_strace()
    made = calls_made()
    unknown = sorted(set(made) - set(FAULTS) - NEVER_FAIL)
    assert not unknown, f"neither in FAULTS nor in NEVER_FAIL: {unknown}"
    print(f"  {len(made)} system calls made, {len(set(made) & set(FAULTS))} of them can fail")


def out_of_memory(daemon):
    """What ends the process, with its reason: a destructor that finds no memory, such as the JSON library's, since no exception may
    leave it; and what is set up before main."""
    reasons = ("ends by a fault of its own: out of memory", "what():  std::bad_alloc")
    return daemon.process.returncode == -signal.SIGABRT and any(reason in daemon.log for reason in reasons)


def try_start(case, outcomes, prefix, transient):
    """`prefix` of the command, given the folder of its state."""
    with Namespace() as namespace, tempfile.TemporaryDirectory() as state:
        daemon = Daemon(namespace, CONFIG, [f"--state.directory={state}"], prefix(state))
        daemon.start()
        process, end = daemon.process, time.monotonic() + START_SECONDS * SLOWNESS
        try:
            well = False
            while time.monotonic() < end and process.poll() is None and not (well := is_well(daemon)):
                time.sleep(0.05)
            seconds = time.monotonic() - daemon.started_at
            if process.poll() is None:
                daemon.signal(signal.SIGTERM)
                try:
                    process.wait(5 * SLOWNESS)
                except subprocess.TimeoutExpired:
                    if transient:
                        return outcomes.fail(case, f"does not end on SIGTERM\n{daemon.log}")
                    return outcomes.add(case, "not to be ended while it lasted")
                if out_of_memory(daemon):
                    return outcomes.add(case, "ended with a reason", seconds)
                if process.returncode < 0 and "libmicrohttpd" not in daemon.log:
                    return outcomes.fail(case, f"ended by signal {-process.returncode} on SIGTERM\n{daemon.log}")
                if well:
                    return outcomes.add(case, "recovered", seconds)
                if not transient and " ready: " in daemon.log:
                    return outcomes.add(case, "worked, and answered nobody while it lasted")
                told = any(word in daemon.log for word in (" warning ", " error "))
                if transient or not told:
                    return outcomes.fail(case, f"not ready after {seconds:.0f} s, {'told' if told else 'and silent'}\n{daemon.log}")
                return outcomes.add(case, "ran without, and told it")
            if process.returncode == -signal.SIGSEGV and not daemon.log and case[0] == "mmap":
                return outcomes.add(case, "ended in the dynamic linker", seconds)
            if out_of_memory(daemon):
                return outcomes.add(case, "ended with a reason", seconds)
            if process.returncode <= 0 and "libmicrohttpd" not in daemon.log:
                return outcomes.fail(case, f"ended with {process.returncode}\n{daemon.log}")
            if not reason_in(daemon.log):
                return outcomes.fail(case, f"ended with {process.returncode} and no reason\n{daemon.log}")
            outcomes.add(case, "ended with a reason", seconds)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def test_at_its_start_each_error_is_survived_or_told():
    require_strace()
    made = calls_made()
    cases = []
    for name, errors in FAULTS.items():
        for error in errors if name in made else ():
            cases += [(name, error, str(when)) for when in (1, 2, 3, 5, 8, 13, 34, 89) if when <= made[name]]
            if error not in FLEETING:
                cases.append((name, error, "1+"))
    outcomes = Outcomes()

    def work(waiting):
        for case in taken_from(waiting):
            name, error, when = case
            inject = f"--inject={name}:error={error}:when={when}"

            # Of files: an eventfd takes every write, and the threads are told by one to end.
            def prefix(state):
                files = [f"--trace-path={state}/state.json.new"] if name == "write" else []
                return ["strace", "--daemonize=grandchild", "-f", "-qq", "-o", "/dev/null", *files, inject]

            try_start(case, outcomes, prefix, transient=when != "1+")

    in_parallel(sample(cases, 16), work, outcomes)
    outcomes.tell()


class Running:
    """A daemon that one fault after another comes over; a new one where the last has ended."""

    def __init__(self, namespace, state):
        self.namespace, self.arguments = namespace, [f"--state.directory={state}"]
        self.daemon = None

    def be_well(self):
        if self.daemon is None or self.daemon.process.poll() is not None:
            self.daemon = Daemon(self.namespace, CONFIG, self.arguments)
            self.daemon.start()
            self.daemon.wait_ready()
            wait_until(lambda: is_well(self.daemon), 20, "all collectors work")
        return self.daemon

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.daemon is not None:
            self.daemon.close()


def is_equal(daemon):
    try:
        return is_well(daemon) and not daemon.differences()
    except (OSError, http.client.HTTPException, LookupError, AssertionError, ValueError):
        return False


def threads_of(process):
    return {pathlib.Path(task, "comm").read_text().strip() for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir()}


def try_running(case, running, outcomes):
    name, error, when = case
    daemon = running.be_well()
    process, before, threads = daemon.process, daemon.metrics(), threads_of(daemon.process)
    plan = ["--count", 40, "--sources", 5, "--protocol", "mixed"]
    tracer = subprocess.Popen(["strace", "-f", "-qq", "-o", "/dev/null", f"--inject={name}:error={error}:when={when}", "-p", str(process.pid)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.4)
        ct_load(running.namespace, "create", *plan)
        running.namespace.nft("add table inet changed; delete table inet changed")
        daemon.signal(signal.SIGHUP)
        for path in "/metrics", "/api/v1/sources":
            try:
                daemon.get(path, timeout=0.5)
            except (OSError, http.client.HTTPException):
                pass  # it may not be able to answer now
        time.sleep(FAULT_SECONDS - 0.4)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
    over = time.monotonic()
    try:
        while process.poll() is None and not is_equal(daemon) and time.monotonic() < over + RECOVERY_SECONDS * SLOWNESS:
            time.sleep(0.1)
        seconds = time.monotonic() - over
        if process.poll() is not None:
            reason = reason_in(daemon.log)
            if (process.returncode <= 0 and "libmicrohttpd" not in daemon.log) or not reason:
                return outcomes.fail(case, f"ended with {process.returncode}, reason {reason}\n{daemon.log}")
            return outcomes.add(case, "ended with a reason")
        if not is_equal(daemon):
            return outcomes.fail(case, f"not well {seconds:.0f} s after the fault\n{daemon.log[-3000:]}")
        after = daemon.metrics()
        check_invariants(after, before)
        firing = {dict(labels)["alert"] for labels, value in after.series("conntally_alert_firing").items()
                  if value == 1 and dict(labels)["severity"] != "info"}
        if firing - DUE:
            return outcomes.fail(case, f"false alerts: {firing}")
        if gone := threads - threads_of(process):
            return outcomes.fail(case, f"threads that are gone: {gone}")
        outcomes.add(case, "recovered", seconds)
    except AssertionError as error:
        outcomes.fail(case, str(error))
    finally:
        ct_load(running.namespace, "delete", *plan, check=False)


def test_while_it_runs_each_error_is_survived_or_told():
    require_strace()
    cases = [(name, error, when) for name in sorted(set(FAULTS) & set(calls_made())) for error in FAULTS[name] for when in ("1+", "1+3")
             if when != "1+" or error not in FLEETING]
    outcomes = Outcomes()

    def work(waiting):
        with Namespace() as namespace, tempfile.TemporaryDirectory() as state, Running(namespace, state) as running:
            for case in taken_from(waiting):
                try_running(case, running, outcomes)

    in_parallel(sample(cases, 12), work, outcomes)
    outcomes.tell()


def failing_allocations():
    library = CT_LOAD.parent / "libfailing_allocation.so"
    if not library.exists():
        raise Skip(f"{library} is not built")
    return library


def test_whichever_allocation_of_its_start_fails_it_is_survived_or_told():
    if SLOWNESS > 1 and os.environ.get("CONNTALLY_BUILD_SLOWNESS", "1") != "1":
        print("  not with a sanitizer, which allocates itself")
        return
    library = failing_allocations()
    with tempfile.NamedTemporaryFile("r") as counted, Namespace() as namespace:
        with Daemon(namespace, CONFIG, prefix=["env", f"LD_PRELOAD={library}", f"FAILING_ALLOCATION_COUNT={counted.name}"]) as daemon:
            daemon.wait_ready()
            wait_until(lambda: is_well(daemon), 20, "all collectors work")
            daemon.signal(signal.SIGTERM)
            daemon.process.wait(5)
        most = int(counted.read())
    print(f"  {most} allocations until it was well and had ended")
    outcomes = Outcomes()

    def work(waiting):
        for number in taken_from(waiting):
            try_start(f"allocation {number}", outcomes, lambda _: ["env", f"LD_PRELOAD={library}", f"FAILING_ALLOCATION={number}"], transient=True)

    in_parallel(sample(range(1, most + 1), 40), work, outcomes)
    outcomes.tell()


main()

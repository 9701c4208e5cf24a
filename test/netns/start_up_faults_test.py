#!/usr/bin/env python3
"""What the system refuses the daemon at its start or later: the reason is told and the start fails, or it is tried again."""

import re

from harness import *


def refusing(*what):
    """A prefix of the daemon's command line, under which system calls fail. strace is a bystander: the daemon keeps its own pid."""
    if not shutil.which("strace"):
        raise Skip("needs the command strace")
    # Under strace LeakSanitizer cannot look, and would end the daemon otherwise than it ends.
    return ["env", "ASAN_OPTIONS=detect_leaks=0", "strace", "--daemonize=grandchild", "-f", "-qq", "-o", "/dev/null", *what]


def start(prefix):
    """Whether it starts; if not, the reason, which it tells before it ends."""
    with Namespace() as namespace, Daemon(namespace, prefix=prefix) as daemon:
        wait_until(lambda: daemon.process.poll() is not None or daemon.status_of("/healthz") == 200, 10, "it starts or ends")
        if daemon.process.poll() is None:
            # It answers before its last thread is there. Only when all are does it listen to signals.
            daemon.signal(signal.SIGTERM)
            if daemon.process.wait(5 * SLOWNESS) == 0:
                return None
        claim("ended", time.monotonic() - daemon.started_at, 1)
        told = "; ".join(line.split(" error ")[1] for line in daemon.log.splitlines() if " error " in line)
        assert daemon.process.returncode == 1 and "cannot start: " in told, (daemon.process.returncode, daemon.log)
        print(f"  {told}")
        return told


def test_an_eventfd_that_is_refused_is_told():
    assert "Too many open files" in start(refusing("--inject=eventfd,eventfd2:error=EMFILE"))


def test_signals_are_heard_without_a_descriptor_for_them():
    assert start(refusing("--inject=signalfd,signalfd4,timerfd_create:error=EMFILE")) is None


def test_a_thread_that_is_refused_is_told_whichever_it_is():
    refused = set()
    for number in range(1, 30):
        reason = start(refusing(f"--inject=clone,clone3:error=EAGAIN:when={number}"))
        if reason is None:
            break
        refused.update(re.findall("cannot start the thread '([a-z]+)'", reason))
    assert refused >= {"log", "file", "http", "conntrack", "rules", "drops", "alerts", "details", "answers"}, refused


def test_it_starts_with_few_files_or_tells_that_they_are_too_few():
    too_few = (4, 63) if SLOWNESS == 1 else (63,)  # UBSan itself opens a pipe now and then
    for files in too_few:
        assert "ulimit -n" in start(["prlimit", f"--nofile={files}"])
    assert start(["prlimit", "--nofile=64"]) is None


def test_it_starts_with_little_memory_or_tells_that_it_is_too_little():
    if SLOWNESS > 1:
        print("  not with a sanitizer, which wants more memory than there is")
        return
    reasons = [start(["prlimit", f"--as={mebibytes << 20}"]) for mebibytes in (60, 84, 600)]
    assert "ulimit -v" in reasons[0] and reasons[-1] is None, reasons


def test_memory_that_is_refused_later_is_tried_for_again():
    if SLOWNESS > 1:
        print("  not with a sanitizer, which wants more memory than there is")
        return
    # Without it the C library has address space in hand for each thread.
    with Namespace() as namespace, Daemon(namespace, prefix=["env", "MALLOC_ARENA_MAX=1"]) as daemon:
        daemon.wait_ready()
        status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
        # Less than it has, so that the next block is refused, whatever it gave back meanwhile.
        has = int(re.search(r"VmSize:\s+(\d+) kB", status)[1]) << 10
        run("prlimit", f"--as={has // 2}:", "--pid", daemon.process.pid)
        ct_load(namespace, "create", "--count", 50_000, "--sources", 5_000)
        daemon.wait_for_log("conntrack fails: out of memory; trying again", 10)
        run("prlimit", "--as=unlimited:", "--pid", daemon.process.pid)
        claim("equal again", daemon.wait_equal(20), 10)
        check_invariants(daemon.metrics())


def test_a_kernel_log_that_is_not_handed_over_for_a_moment_is_read_again():
    prefix = refusing("--trace-path=/dev/kmsg", "--inject=read:error=EIO:when=5..6")
    with Namespace() as namespace, Daemon(namespace, prefix=prefix) as daemon:
        daemon.wait_listening()

        def reads():
            return daemon.metrics().value("conntally_collector_success", collector="kernel_log")

        daemon.wait_for_log("cannot read the kernel's log: Input/output error")
        failed = time.monotonic()
        wait_until(lambda: reads() == 1, 10, "it is read again")
        claim("read again after two failures", time.monotonic() - failed, 3)


main()

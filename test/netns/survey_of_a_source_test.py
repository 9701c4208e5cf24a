#!/usr/bin/env python3
"""What the connections of one source are is the kernel's own account of them, read without the rest of its table."""

import pathlib
import re
import shutil
import subprocess
import tempfile

from harness import *

# A /64 would be a group, of which the kernel cannot be asked.
CONFIG = "sources: {ipv6_prefix: 128}\n"


def survey(daemon, source):
    def row():
        return daemon.get(f"/api/v1/sources/detail?source={source}").json()["sources"][0]

    wait_until(lambda: not row()["pending"], 10, f"the connections of {source} were looked at")
    return row()


class ReadBytes:
    """What one thread of a process receives meanwhile."""

    def __init__(self, pid, thread):
        tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
        (self._thread,) = [task.name for task in tasks if (task / "comm").read_text().strip() == thread]
        self._log = tempfile.NamedTemporaryFile("r")

    def __enter__(self):
        what = ["-qq", "-p", self._thread, "-e", "trace=recvmsg", "-o", self._log.name]
        self._strace = subprocess.Popen(["strace", *what])
        status = pathlib.Path(f"/proc/{self._thread}/status")
        wait_until(lambda: f"TracerPid:\t{self._strace.pid}" in status.read_text(), 5, "strace watches")
        return self

    def __exit__(self, *_):
        self._strace.terminate()
        self._strace.wait(5)

    def sum(self):
        return sum(int(received) for received in re.findall(r"= (\d+)$", self._log.read(), re.M))


def test_one_source_is_read_without_the_rest_of_the_table():
    if not shutil.which("strace"):
        raise Skip("needs the command strace")
    with Namespace() as namespace, Daemon(namespace, CONFIG) as daemon:
        daemon.wait_ready()
        ct_load(namespace, "create", "--count", 6_000, "--sources", 200, "--ipv6-share", 0.5, "--protocol", "mixed")
        wait_until(lambda: daemon.metrics().sum("conntally_connections") == 6_000, 10, "all are counted")
        kernels = KernelTable(namespace).connections
        kernels_ipv6 = sum(connections for source, connections in kernels.items() if ":" in source)
        for is_ipv6 in False, True:
            source = next(source for source in kernels if (":" in source) == is_ipv6)
            with ReadBytes(daemon.process.pid, "details") as read:
                row = survey(daemon, source)
            assert row["connections"] == kernels[source], (row, kernels[source])
            received = read.sum()
            print(f"  {received} bytes for {row['connections']} of 6000 connections")
            # Of one IPv6 source the kernel cannot be asked rightly, but of the family.
            read_for = kernels_ipv6 if is_ipv6 else row["connections"]
            assert 0 < received < 350 * read_for, (received, row)


main()

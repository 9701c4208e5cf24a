#!/usr/bin/env python3
"""In a container's user namespace the kernel grants less buffer than asked: said, exported, and lived with."""

import subprocess

from harness import *
from namespaces import die_with_parent


class UserNamespace(Namespace):
    """A network namespace that belongs to a user namespace: root there is root of nothing else."""

    def __enter__(self):
        self.holder = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--net", "sleep", "infinity"], preexec_fn=die_with_parent
        )
        mine = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != mine, 5, "the namespace is made")
        run("ip", "netns", "attach", self.name, self.holder.pid)
        self.ip("link", "set", "lo", "up")
        return self

    def close(self):
        super().close()
        self.holder.kill()
        self.holder.wait()


def test_a_smaller_buffer_than_asked_is_warned_of_and_exported():
    with UserNamespace() as namespace:
        inside = ["nsenter", "--user", "--target", str(namespace.holder.pid)]
        rmem_max = int(pathlib.Path("/proc/sys/net/core/rmem_max").read_text())
        asked = max(33_554_432, 4 * rmem_max)
        with Daemon(namespace, f"conntrack: {{receive_buffer_bytes: {asked}}}\n", prefix=inside) as daemon:
            daemon.wait_ready()
            granted = daemon.metrics().value("conntally_netlink_receive_buffer_bytes")
            print(f"  granted {granted:.0f} bytes of {asked}")
            assert 0 < granted < asked
            daemon.wait_for_log("rmem_max")
            ct_load(namespace, "create", "--count", 1_000, "--rate", 5_000)
            daemon.wait_equal(5)
            # Far more at once than such a buffer holds.
            ct_load(namespace, "create", "--first", 1_000, "--count", 50_000)
            daemon.wait_equal(10)


main()

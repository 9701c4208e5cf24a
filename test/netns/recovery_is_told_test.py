#!/usr/bin/env python3
"""What fails is told with its reason, and that it works again is told as well: in the log, to systemd, on the page, by top and status."""

import socket
import tempfile

from harness import *


class ServiceManager:
    """Hears what the daemon tells systemd, as sd_notify(3) describes it."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="conntally-test-")
        path = os.path.join(self.folder.name, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.setblocking(False)
        self.heard = []
        os.environ["NOTIFY_SOCKET"] = path
        return self

    def __exit__(self, *_):
        del os.environ["NOTIFY_SOCKET"]
        self.socket.close()
        self.folder.cleanup()

    def lines(self):
        try:
            while True:
                self.heard += self.socket.recv(65536).decode().splitlines()
        except BlockingIOError:
            return self.heard

    def status(self):
        return ([line.removeprefix("STATUS=") for line in self.lines() if line.startswith("STATUS=")] or [""])[-1]


def shown(namespace, daemon):
    """What people are shown, by where."""
    address = ["--config", daemon.config_file]
    return {
        "page": daemon.get("/").text,
        "status": namespace.run(BINARY, "status", *address).stdout,
        "top": namespace.run(BINARY, "top", "--once", *address).stdout,
        "API": daemon.get("/api/v1/status").json()["verdict"],
    }


def test_of_a_namespace_that_comes_later():
    later = Namespace("later")
    with ServiceManager() as systemd, Namespace() as namespace, \
            Daemon(namespace, arguments=["--netns", later.name]) as daemon:
        daemon.wait_listening()
        daemon.wait_for_log("collector conntrack fails: ")
        daemon.wait_for_log("collector table fails: ")
        wait_until(lambda: "conntrack fails: " in systemd.status(), 5, "systemd is told of the failure")
        assert "READY=1" in systemd.lines() and systemd.status().startswith("degraded: "), systemd.lines()
        for where, text in shown(namespace, daemon).items():
            assert "conntrack fails: " in text, f"{where}: {text}"
            assert "being read for the first time" not in text, f"{where}: {text}"
        with later:
            daemon.wait_for_log("collector conntrack works again, after ", 15)
            daemon.wait_for_log("collector table works again, after ")
            daemon.wait_for_log("ready: 0 connections")
            wait_until(lambda: "conntrack fails" not in systemd.status(), 5, "systemd is told of the recovery")
            for where, text in shown(namespace, daemon).items():
                assert "conntrack fails" not in text, f"{where}: {text}"
            assert daemon.get("/api/v1/status").json()["verdict"].startswith("Yes: ")
        for told in ("collector conntrack fails: ", "collector conntrack works again", "collector table fails: "):
            assert daemon.log.count(told) == 1, f"{told}: {daemon.log}"
        assert systemd.lines().count("READY=1") == 1, systemd.lines()


main()

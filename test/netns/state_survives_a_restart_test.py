#!/usr/bin/env python3
"""What fires survives a restart, by the daemon's own state file; a file that is of no use is put aside and said."""

import contextlib
import re
import subprocess
import tempfile

from harness import *

NEAR = "SourceNearConnectionLimit"
CONFIG = """
limits: [{source: "10.0.0.1/32", connections: 100}]
alerts: {source_limit_usage: {for: 2s}}
"""
LOAD = ("--sources", 1, "--protocol", "udp", "--replied-every", 1, "--timeout", 600)


@contextlib.contextmanager
def keeping(namespace, folder, config=CONFIG):
    with Daemon(namespace, config, arguments=("--state.directory", folder)) as daemon:
        yield daemon


def folder_of(stack):
    return pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conntally-state-")), "kept")


def firing(daemon):
    return daemon.metrics().series("conntally_alert_firing", alert=NEAR, source="10.0.0.1")


def since(daemon):
    [alert] = [each for each in daemon.get("/api/v1/alerts").json()["alerts"] if each["state"] == "firing"]
    return alert["fired"]


@long_form
def test_a_restart_neither_loses_nor_doubles_what_fires():
    with contextlib.ExitStack() as stack, Namespace() as namespace:
        folder = folder_of(stack)
        daemon = stack.enter_context(keeping(namespace, folder))
        daemon.wait_ready()
        ct_load(namespace, "create", "--count", 90, *LOAD)
        wait_until(lambda: firing(daemon), 10, "it fires")
        fired = since(daemon)
        for end in (daemon.close, daemon.kill):
            if end == daemon.kill:
                time.sleep(6)  # changes are saved within 5 s
            time.sleep(1.1)  # `fired` is told in whole seconds
            end()
            daemon.start()
            daemon.wait_ready()
            wait_until(lambda: firing(daemon), 3, "it fires from the first look on")
            time.sleep(4)
            assert firing(daemon) and since(daemon) == fired, (since(daemon), fired)
            assert len(re.findall(f"alert firing: alert={NEAR}", daemon.log)) == 1, daemon.log
        daemon.close()
        ct_load(namespace, "delete", "--count", 90, *LOAD)
        daemon.start()
        daemon.wait_ready()
        assert firing(daemon), "a restart alone ends nothing"
        wait_until(lambda: not firing(daemon), 90, "what has ended meanwhile clears once the data are there")
        assert len(re.findall(f"alert resolved: alert={NEAR}", daemon.log)) == 1, daemon.log
        assert (folder / "state.json").stat().st_mode & 0o777 == 0o600


def test_a_state_that_is_of_no_use_is_put_aside_and_said_and_the_daemon_runs():
    with contextlib.ExitStack() as stack, Namespace() as namespace, Namespace() as other:
        folder = folder_of(stack)
        with keeping(other, folder) as daemon:
            daemon.wait_ready()
        foreign = (folder / "state.json").read_bytes()
        state, bad = folder / "state.json", folder / "state.json.bad"

        def pipe():
            state.unlink()
            os.mkfifo(state)

        def huge():
            with open(state, "wb") as file:
                file.truncate(1 << 40)

        for prepare, reason in (
            (lambda: state.write_bytes(foreign), "another network namespace"),
            (lambda: state.write_bytes(foreign[: len(foreign) // 2]), "no JSON object"),
            (lambda: state.write_text('{"conntally-state": 999}'), "not of version"),
            (pipe, "a pipe"),
            (huge, "too long"),
        ):
            prepare()
            with keeping(namespace, folder) as daemon:
                daemon.wait_ready()
                daemon.wait_for_log(reason)
                assert bad.exists() or bad.is_fifo(), reason
            assert "conntally-state" in state.read_text(), reason


def test_a_full_disk_is_said_once_and_stops_nothing():
    with contextlib.ExitStack() as stack, Namespace() as namespace:
        folder = folder_of(stack)
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder], check=True)
        stack.callback(subprocess.run, ["umount", "-l", folder], check=True)
        with contextlib.suppress(OSError), open(folder / "filler", "wb") as file:
            file.write(b"x" * 65536)
        with keeping(namespace, folder) as daemon:
            daemon.wait_ready()
            ct_load(namespace, "create", "--count", 90, *LOAD)
            daemon.wait_for_log("a restart will forget", 20)
            ct_load(namespace, "delete", "--count", 90, *LOAD)
            wait_until(lambda: not firing(daemon), 20, "it clears")
            assert daemon.log.count("a restart will forget") == 1, daemon.log
            assert {each.name for each in folder.iterdir()} == {"filler"}
            (folder / "filler").unlink()
            daemon.wait_for_log("is written again", 45)


main()

#!/usr/bin/env python3
"""SIGHUP, SIGTERM, check-config and flags, as an operator meets them."""

import contextlib
import ctypes
import tempfile

from harness import *

RELOADED = "conntally_config_last_reload_successful"
RELOADED_AT = "conntally_config_last_reload_success_timestamp_seconds"


def exported(daemon):
    return len(daemon.metrics().series("conntally_source_connections"))


def test_a_good_file_takes_effect_on_sighup_and_a_bad_one_leaves_the_old():
    with Namespace() as namespace, Daemon(namespace, "sources: {export_top: 5, export_hold: 1s}\n") as daemon:
        daemon.wait_ready()
        ct_load(namespace, "create", "--count", 210, "--sources", 20)
        daemon.wait_equal(5)
        wait_until(lambda: exported(daemon) >= 5, 5, "the top is exported")

        started_at = daemon.metrics().value(RELOADED_AT)
        assert 0 <= time.time() - started_at < 60, started_at
        daemon.write_config("sources: {export_top: 2, export_hold: 1s}\n")
        daemon.signal(signal.SIGHUP)
        few = exported(daemon)
        wait_until(lambda: exported(daemon) < few or exported(daemon) == 2, 15, "fewer are exported")
        assert daemon.metrics().value(RELOADED) == 1
        reloaded_at = daemon.metrics().value(RELOADED_AT)
        assert started_at < reloaded_at < time.time(), (started_at, reloaded_at)

        daemon.write_config("sources:\n  export_tops: 2\n")
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: daemon.metrics().value(RELOADED) == 0, 5, "the bad file is told")
        daemon.wait_for_log("export_top")
        assert daemon.metrics().value(RELOADED_AT) == reloaded_at
        found = daemon.differences()
        assert not found, found

        daemon.write_config("sources: {export_top: 20}\n")
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: daemon.metrics().value(RELOADED) == 1, 5, "the repaired file is taken")
        check_invariants(daemon.metrics())


def test_a_reload_names_the_keys_that_it_leaves_to_a_restart():
    with Namespace() as namespace, Daemon(namespace, "sources: {export_top: 5}\n", ["--web.listen-address", "127.0.0.1:9105"]) as daemon:
        daemon.wait_ready()
        # The address is the flag's in both.
        daemon.write_config("web: {listen_address: '127.0.0.1:9333'}\nsources: {export_top: 6, tracked_max: 9}\ndrops: {kernel_log: false}\n")
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_log("reload: the change of sources.tracked_max, drops.kernel_log needs a restart;")


def test_counters_survive_a_reload():
    with Namespace() as namespace, Daemon(namespace) as daemon:
        daemon.wait_ready()
        ct_load(namespace, "create", "--count", 100)
        daemon.wait_equal(5)
        before = daemon.metrics()
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_log("reload: the new configuration applies")
        check_invariants(daemon.metrics(), before)
        assert daemon.metrics().sum("conntally_connections_opened_total") == 100


def test_sigterm_ends_it_within_two_seconds_under_load():
    with Namespace() as namespace, Daemon(namespace) as daemon:
        daemon.wait_ready()
        with namespace.spawn(CT_LOAD, "churn", "--rate", "50000", "--seconds", "30", stdout=-3) as load:
            wait_until(lambda: daemon.metrics().sum("conntally_connections_opened_total") > 1_000, 10, "the load is there")
            start = time.monotonic()
            daemon.signal(signal.SIGTERM)
            assert daemon.process.wait(30 * SLOWNESS) == 0
            claim("ended", time.monotonic() - start, 2)
            load.kill()


def test_check_config_tells_every_fault_with_its_place():
    with Namespace() as namespace:
        daemon = Daemon(namespace, "log: {level: debug}\n")
        good = run(BINARY, "check-config", daemon.config_file)
        assert good.stdout.strip() == "OK", good
        daemon.write_config("web:\n  listen_address: 5\nsources:\n  ipv4_prefix: 33\n  idle_retentoin: 5m\n")
        bad = run(BINARY, "check-config", daemon.config_file, check=False)
        told = bad.stdout + bad.stderr
        assert bad.returncode == 1
        for place in ("4:16: ", "5:3: "):
            assert f"{daemon.config_file}:{place}" in told, told
        assert "idle_retention" in told, told


def test_an_unknown_flag_names_the_nearest():
    bad = run(BINARY, "--web.listen-adress", "127.0.0.1:1", check=False)
    assert bad.returncode != 0 and "--web.listen-address" in bad.stdout + bad.stderr, bad


def test_the_address_is_taken_from_the_flag():
    with Namespace() as namespace:
        daemon = Daemon(namespace, arguments=["--web.listen-address", "[::1]:9200"], host="::1", port=9200)
        with daemon:
            daemon.wait_ready()
            assert daemon.get("/metrics").status == 200


def standard_error_to(path):
    """A prefix of the daemon's command line."""
    return ["sh", "-c", f'exec "$@" 2>{path}', "sh"]


class StuckReader:
    """A FIFO that is full, and that nobody reads until `read`."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder, "pipe")
        os.mkfifo(self.path)
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self.filling = 0
        try:
            while True:
                self.filling += os.write(self.descriptor, b"x" * 4096)
        except BlockingIOError:
            pass

    def read(self):
        """What has been written since it was filled, up to now."""
        text = b""
        try:
            while True:
                text += os.read(self.descriptor, 1 << 20)
        except BlockingIOError:
            skipped, self.filling = min(self.filling, len(text)), max(0, self.filling - len(text))
            return text[skipped:].decode()


def test_who_does_not_read_the_log_holds_up_nothing():
    with tempfile.TemporaryDirectory() as folder, Namespace() as namespace:
        reader = StuckReader(folder)
        with Daemon(namespace, prefix=standard_error_to(reader.path)) as daemon:
            daemon.wait_ready()
            assert daemon.metrics().value("conntally_overflow_total", what="log_lines") == 0

            # A thousand lines each time, that differ in more than their numbers: soon more than are kept.
            letters = str.maketrans("0123456789", "abcdefghij")
            daemon.write_config("".join(f"key_{i}: {{}}\n".translate(letters) for i in range(999)))

            def lost():
                daemon.signal(signal.SIGHUP)
                return daemon.metrics().value("conntally_overflow_total", what="log_lines")

            wait_until(lost, 10, "lost lines are counted", every=0.2)
            assert daemon.metrics().value(RELOADED) == 0

            told = []
            wait_until(lambda: told.append(reader.read()) or told[-1] == "", 5, "what was kept is read", every=0.2)
            daemon.write_config("{}\n")
            daemon.signal(signal.SIGHUP)
            wait_until(lambda: told.append(reader.read()) or "the new configuration applies" in told[-1], 5, "the log goes on")
            lines = "".join(told).splitlines()
            assert all(line.startswith("20") and "Z " in line for line in lines), "a line is torn"
            assert any("lines of this log could not be written so far" in line for line in lines), lines[-3:]


def test_sigterm_ends_it_while_nobody_reads_the_log():
    with tempfile.TemporaryDirectory() as folder, Namespace() as namespace:
        reader = StuckReader(folder)
        with Daemon(namespace, prefix=standard_error_to(reader.path)) as daemon:
            daemon.wait_ready()
            start = time.monotonic()
            daemon.signal(signal.SIGTERM)
            assert daemon.process.wait(5 * SLOWNESS) == 0
            claim("ended", time.monotonic() - start, 2)


def test_a_log_that_takes_nothing_holds_up_nothing():
    for place in ("/dev/full", "&-"):
        with Namespace() as namespace, Daemon(namespace, prefix=standard_error_to(place)) as daemon:
            daemon.wait_ready()
            lost = daemon.metrics().value("conntally_overflow_total", what="log_lines")
            assert (lost > 0) == (place == "/dev/full"), lost
            daemon.signal(signal.SIGTERM)
            assert daemon.process.wait(5 * SLOWNESS) == 0


def test_what_is_no_regular_file_is_no_configuration_and_is_not_waited_for():
    with Namespace() as namespace, Daemon(namespace) as daemon:
        daemon.wait_ready()
        for make, told in (
            (os.mkfifo, "it is a pipe"),
            (os.mkdir, "it is a directory"),
            (lambda path: os.symlink("/dev/zero", path), "it is a device"),
            (lambda path: path.write_bytes(b"") or os.truncate(path, 1 << 30), "it is too long"),
        ):
            daemon.config_file.unlink()
            make(daemon.config_file)
            daemon.signal(signal.SIGHUP)
            daemon.wait_for_log(told)
            assert daemon.metrics().value(RELOADED) == 0
            bad = run(BINARY, "check-config", daemon.config_file, check=False, timeout=10)
            assert bad.returncode == 1 and told in bad.stderr, bad
            daemon.config_file.rmdir() if daemon.config_file.is_dir() else daemon.config_file.unlink()
            daemon.write_config("{}\n")
            daemon.signal(signal.SIGHUP)
            wait_until(lambda: daemon.metrics().value(RELOADED) == 1, 5, "the file is taken")


@contextlib.contextmanager
def silent_file_system(folder):
    """A FUSE file system that answers nobody, on `folder`: what is asked of it waits."""
    libc = ctypes.CDLL(None, use_errno=True)
    server = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0".encode()
    try:
        if libc.mount(b"silent", str(folder).encode(), b"fuse", 0, options) != 0:
            raise OSError(ctypes.get_errno(), f"mount on {folder}")
        yield
    finally:
        os.close(server)  # which ends all waiting
        libc.umount2(str(folder).encode(), 2)  # MNT_DETACH


def test_a_file_system_that_does_not_answer_is_not_waited_for():
    if not os.path.exists("/dev/fuse"):
        print("  not here: there is no /dev/fuse")
        return
    # Mounted first: the daemon has the mounts that there are when `ip netns exec` starts it.
    # LeakSanitizer would wait at the end for the thread that waits for the file system.
    with tempfile.TemporaryDirectory() as folder, silent_file_system(folder), Namespace() as namespace, \
            Daemon(namespace, prefix=["env", "ASAN_OPTIONS=detect_leaks=0"]) as daemon:
        daemon.wait_ready()
        daemon.config_file.unlink()
        daemon.config_file.symlink_to(f"{folder}/conntally.yaml")
        for told in 4 * ["reading it takes longer than 1 s"] + ["the files asked for earlier are still being read"]:
            before = daemon.log.count(told)
            daemon.signal(signal.SIGHUP)
            wait_until(lambda: daemon.log.count(told) > before, 5, told)
        start = time.monotonic()
        daemon.signal(signal.SIGTERM)
        assert daemon.process.wait(5 * SLOWNESS) == 0
        claim("ended", time.monotonic() - start, 2)


main()

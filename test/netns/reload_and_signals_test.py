#!/usr/bin/env python3
"""SIGHUP, SIGTERM, check-config and flags, as an operator meets them."""

from harness import *

RELOADED = "conntally_config_last_reload_successful"


def exported(daemon):
    return len(daemon.metrics().series("conntally_source_connections"))


def test_a_good_file_takes_effect_on_sighup_and_a_bad_one_leaves_the_old():
    with Namespace() as namespace, Daemon(namespace, "sources: {export_top: 5, export_hold: 1s}\n") as daemon:
        daemon.wait_ready()
        ct_load(namespace, "create", "--count", 210, "--sources", 20)
        daemon.wait_equal(5)
        wait_until(lambda: exported(daemon) >= 5, 5, "the top is exported")

        daemon.write_config("sources: {export_top: 2, export_hold: 1s}\n")
        daemon.signal(signal.SIGHUP)
        few = exported(daemon)
        wait_until(lambda: exported(daemon) < few or exported(daemon) == 2, 15, "fewer are exported")
        assert daemon.metrics().value(RELOADED) == 1

        daemon.write_config("sources:\n  export_tops: 2\n")
        daemon.signal(signal.SIGHUP)
        wait_until(lambda: daemon.metrics().value(RELOADED) == 0, 5, "the bad file is told")
        daemon.wait_for_log("export_top")
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
        daemon.wait_for_log("reload: sources.tracked_max, drops.kernel_log changed, which takes a restart;")


def test_counters_survive_a_reload():
    with Namespace() as namespace, Daemon(namespace) as daemon:
        daemon.wait_ready()
        ct_load(namespace, "create", "--count", 100)
        daemon.wait_equal(5)
        before = daemon.metrics()
        daemon.signal(signal.SIGHUP)
        daemon.wait_for_log("reload: configuration taken over")
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


main()

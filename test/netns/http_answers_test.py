#!/usr/bin/env python3
"""The one port, as Prometheus and people ask it."""

import contextlib
import re
import socket

from harness import *


def test_every_path_answers_as_documented():
    with Namespace() as namespace, Daemon(namespace) as daemon:
        daemon.wait_ready()
        ct_load(namespace, "create", "--count", 1_000, "--sources", 100)
        daemon.wait_equal(5)
        metrics = daemon.get("/metrics")
        assert metrics.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        packed = daemon.get("/metrics", headers={"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert "conntally_connections{" in packed.text
        assert daemon.get("/").headers["Content-Type"].startswith("text/html")
        assert daemon.get("/api/v1/status").json()
        assert daemon.get("/nothing-here").status == 404
        assert daemon.get("/metrics", method="POST").status == 405
        for query in ("limit=0", "limit=1000001", "limit=x", "sort=colour", "source=300.0.0.0/8"):
            answer = daemon.get(f"/api/v1/sources?{query}")
            assert answer.status == 400 and "error" in answer.json(), (query, answer.status, answer.text)
        for path in ("/api/v1/alerts?x=1", "/api/v1/status?limit=1", "/api/v1/rules?x=1", "/api/v1/history?x=1"):
            answer = daemon.get(path)
            assert answer.status == 400 and "error" in answer.json(), (path, answer.status, answer.text)
        few = daemon.sources(limit=3, source="10.0.0.0/28")
        assert len(few["sources"]) == 3 and few["total"] == 15 and few["synced"] is True, few
        assert set(few["sources"][0]) >= {"source", "connections", "unreplied", "opened", "closed", "new_rate",
                                          "destination_ports", "first_seen", "last_seen"}
        in_order = [row["connections"] for row in daemon.sources(sort="connections")["sources"]]
        assert in_order == sorted(in_order, reverse=True)


def test_long_lists_are_packed_for_who_allows_it_and_are_the_same():
    with Namespace() as namespace, Daemon(namespace) as daemon:
        daemon.wait_ready()
        ct_load(namespace, "create", "--count", 10_000, "--sources", 10_000)
        daemon.wait_equal(5)
        path = "/api/v1/sources?limit=1000000"
        plain = daemon.get(path)
        packed = daemon.get(path, headers={"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip" and "Content-Encoding" not in plain.headers
        assert int(packed.headers["Content-Length"]) * 5 < int(plain.headers["Content-Length"]) == len(plain.body)
        connections = lambda answer: {row["source"]: row["connections"] for row in answer.json()["sources"]}
        assert len(connections(plain)) == 10_000 and connections(packed) == connections(plain)


@contextlib.contextmanager
def hosts_file(namespace, text):
    """What `ip netns exec` shows there as /etc/hosts."""
    folder = pathlib.Path("/etc/netns", namespace.name)
    folder.mkdir(parents=True)
    try:
        (folder / "hosts").write_text(text)
        yield
    finally:
        shutil.rmtree(folder)
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


def test_by_loopback_only_our_own_names_are_answered():
    names = "127.0.0.1 localhost\n127.0.1.1 gateway.example.com gateway\n192.0.2.9 other.example.com\n"
    with Namespace() as namespace, Namespace("client") as client, hosts_file(namespace, names):
        veth(namespace, "wan", ["192.0.2.1/24"], client, "cable", ["192.0.2.2/24"])
        config = "web: {listen_address: ':9105', allowed_hosts: [monitoring.example.com]}\n"
        with Daemon(namespace, config=config) as daemon:
            daemon.wait_ready()
            assert "serving http://127.0.0.1:9105/metrics" in daemon.log
            for host, status in {"localhost": 200, "127.0.0.1:9105": 200, "monitoring.example.com": 200,
                                 socket.gethostname(): 200, "gateway.example.com": 200, "other.example.com": 421,
                                 "rebound.example": 421}.items():
                answer = daemon.get("/metrics", headers={"Host": host})
                assert answer.status == status, (host, answer.status)
                assert answer.headers["X-Frame-Options"] == "DENY" and answer.headers["Cache-Control"] == "no-store"
            # A Prometheus comes by whatever name it knows.
            asked = client.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: any.example",
                               "http://192.0.2.1:9105/metrics")
            assert asked.stdout == "200", asked.stdout


def test_a_link_local_address_with_its_zone_is_listened_on():
    with Namespace() as namespace, Namespace("client") as client:
        veth(namespace, "wan", ["fe80::1/64"], client, "cable", ["fe80::2/64"])
        with Daemon(namespace, arguments=["--web.listen-address", "[fe80::1%wan]:9105"]) as daemon:
            daemon.wait_for_log("serving http://[fe80::1%25wan]:9105/metrics")
            told = client.run("curl", "-s", "http://[fe80::1%25cable]:9105/healthz")
            assert told.stdout == "ok\n", told
            status = namespace.run(BINARY, "status", "--web.listen-address", "[fe80::1%wan]:9105", check=False)
            assert "no answer" not in status.stdout + status.stderr, status


def test_promtool_finds_no_fault_with_the_metrics():
    if not shutil.which("promtool"):
        raise Skip("needs promtool, of the Debian package prometheus")
    with Namespace() as namespace, Daemon(namespace) as daemon:
        daemon.wait_ready()
        ct_load(namespace, "create", "--count", 1_000)
        daemon.wait_equal(5)
        told = run("promtool", "check", "metrics", input=daemon.metrics().text, check=False)
        assert told.returncode == 0 and not told.stderr.strip(), told.stdout + told.stderr


def test_the_list_of_metrics_has_every_one_there_is_and_no_other():
    name = r"(?:conntally|process)_[a-z_]+"
    named_in_code = set()
    for file in [*(ROOT / "daemon").rglob("*.cpp"), *(ROOT / "collectors").rglob("*.cpp")]:
        named_in_code.update(re.findall(f'"({name})"', file.read_text()))
    rows = "\n".join(line for line in (ROOT / "config/prometheus/METRICS.md").read_text().splitlines() if line.startswith("|"))
    listed = set(re.findall(f"`({name})`", rows))
    assert listed == named_in_code, f"not listed: {named_in_code - listed}; not there: {listed - named_in_code}"


main()

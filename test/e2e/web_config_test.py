#!/usr/bin/env python3
"""Who may look: the web configuration file of Prometheus' exporters, with the clients that people use."""

import os
import re
import ssl
import statistics
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../netns"))
from harness import *
from prometheus_server import Prometheus
from web_config import TLS, Folder, ask, basic, bcrypt, refused

HASH = bcrypt("open sesame")
SUITES = """TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256 TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA
TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA""".split()


def tls(**keys):
    return TLS + "".join(f"  {key}: {value}\n" for key, value in keys.items())


def header(name, value):
    return f"http_server_config: {{headers: {{{name}: {value}}}}}\n"


def indented(text):
    return "".join(f"\n    {line}" for line in text.splitlines())


# What the toolkit's documentation and tests have, one row each: the file, the line of its first fault (None: it is good), and what
# the fault must name.
def rows(folder):
    certificate, key = indented(folder.text("server.crt")), indented(folder.text("server.key"))
    return [
        ("empty", "", None, ""),
        ("only a comment", "# nothing\n", None, ""),
        ("certificate and key", TLS, None, ""),
        ("both inline", f"tls_server_config:\n  cert: |{certificate}\n  key: |{key}\n", None, ""),
        ("one inline", f"tls_server_config:\n  cert_file: server.crt\n  key: |{key}\n", None, ""),
        ("absolute paths", TLS.replace("server.", f"{folder.path}/server."), None, ""),
        *[(f"policy {word}", tls(client_auth_type=word), None, "") for word in
          ("NoClientCert", "RequestClientCert", "RequireAnyClientCert", "RequireClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")],
        ("clients' CA", tls(client_auth_type="RequireAndVerifyClientCert", client_ca_file="client.crt"), None, ""),
        ("clients' CA inline", tls(client_auth_type="RequireAndVerifyClientCert", client_ca="|" + indented(folder.text("client.crt"))), None, ""),
        ("allowed names", tls(client_auth_type="RequireAndVerifyClientCert", client_ca_file="client.crt", client_allowed_sans="[one, two]"), None, ""),
        *[(f"from {word}", tls(min_version=word), None, "") for word in ("TLS10", "TLS11", "TLS12", "TLS13")],
        ("up to TLS 1.2", tls(max_version="TLS12"), None, ""),
        ("all suites", tls(cipher_suites=f"[{', '.join(SUITES)}]"), None, ""),
        ("all curves", tls(curve_preferences="[CurveP256, CurveP384, CurveP521, X25519]"), None, ""),
        ("the client chooses", tls(prefer_server_cipher_suites="false"), None, ""),
        ("no HTTP/2", tls(cipher_suites="[TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]", max_version="TLS12") + "http_server_config: {http2: false}\n", None, ""),
        ("headers", header("X-Frame-Options", "deny") + "", None, ""),
        ("all headers", "http_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n    Strict-Transport-Security: max-age=31536000; includeSubDomains\n"
         "    X-Content-Type-Options: nosniff\n    X-XSS-Protection: 1\n    Content-Security-Policy: \"default-src 'self'\"\n", None, ""),
        ("users", TLS + f"basic_auth_users:\n  alice: {HASH}\n  bob: {bcrypt('b', 5)}\n", None, ""),
        ("users without TLS", f"basic_auth_users: {{alice: {HASH}}}\n", None, ""),
        ("no users", "basic_auth_users:\n", None, ""),
        ("no rate limit", "rate_limit: {interval: 0, burst: 0}\n", None, ""),
        ("a rate limit", "rate_limit: {interval: 1m0.5s, burst: 20}\n", None, ""),

        ("no such file", None, 1, "cannot be read"),
        ("no map", "hWkNKCp3fvIx3jKnsaBI\nTuEjdwNS8A2vYdFbiKqr\n", 1, "allowed: a map"),
        ("mistyped key", "tls_server_config:\n  cert_filse: server.crt\n", 2, "the nearest is tls_server_config.cert_file"),
        ("mistyped section", "\nbasic_auth_user: {}\n", 2, "the nearest is basic_auth_users"),
        ("no certificate", TLS.replace("server.crt", '""'), 4, "there is no certificate"),
        ("an empty certificate", "tls_server_config:\n  cert: ''\n  key_file: server.key\n", 3, "there is no certificate"),
        ("no key", TLS.replace("server.key", '""'), 4, "there is no key"),
        ("an empty key", "tls_server_config:\n  cert_file: server.crt\n  key: ''\n", 3, "there is no key"),
        ("neither, and no policy", "tls_server_config:\n  cert_file: ''\n  key_file: ''\n  client_auth_type: x\n", 4, "\"x\" is unknown"),
        ("certificate's file is absent", TLS.replace("server.crt", "somefile"), 3, "somefile cannot be read"),
        ("key's file is absent", TLS.replace("server.key", "somefile"), 4, "somefile cannot be read"),
        ("a key of another certificate", TLS.replace("server.key", "client.key"), 4, "cannot be used"),
        ("a certificate that is none", TLS.replace("server.crt", "server.key"), 3, "the certificate cannot be used"),
        ("a key that is none", TLS.replace("server.key", "server.crt"), 4, "the key cannot be used: it is none"),
        ("clients' CA without a policy", tls(client_ca_file="client.crt"), 5, "RequireAndVerifyClientCert"),
        ("clients' CA is absent", tls(client_auth_type="RequireAndVerifyClientCert", client_ca_file="somefile"), 6, "somefile cannot be read"),
        ("unknown policy", tls(client_auth_type="RequireCertMaybe"), 5, "RequireAndVerifyClientCert"),
        ("unknown suite", tls(cipher_suites="[TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA2048]"), 5, "is unknown"),
        ("unknown curve", tls(curve_preferences="[CurveP257]"), 5, "CurveP256"),
        ("unknown version", tls(min_version="TLS111"), 5, "TLS12"),
        ("password instead of its hash", "basic_auth_users:\n  john: doe\n", 2, "bcrypt"),
        ("a hash of another kind", "basic_auth_users:\n  john: $6$rounds=5000$abcdefgh$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", 2, "bcrypt"),
        ("unknown header", header("Content-Type", "foo"), 1, "Content-Security-Policy"),
        ("header with an unknown value", header("X-Content-Type-Options", "sniff"), 1, "nosniff"),
        ("another", header("X-Frame-Options", "foo"), 1, "sameorigin"),
        ("an interval that is none", "rate_limit: {interval: soon}\n", 1, "is not a time"),
        ("a negative burst", "rate_limit: {interval: 1s, burst: -1}\n", 1, "is negative"),
    ]


# What only newer ones of promtool understand, they say so.
UNKNOWN_TO_PROMTOOL = "not found in type"


def test_files_are_judged_as_the_toolkit_judges_them():
    older = 0
    with Folder() as folder:
        for what, text, line, named in rows(folder):
            path = folder.path / "absent.yaml" if text is None else folder.write(text)
            ours = run(BINARY, "check-config", "--web.config.file", path, "/dev/null", check=False)
            theirs = run("promtool", "check", "web-config", path, check=False)
            said = f"{what}: {ours.stdout}{ours.stderr}\npromtool: {theirs.stdout}{theirs.stderr}"
            assert ours.returncode == (line is not None), said
            is_older = UNKNOWN_TO_PROMTOOL in theirs.stderr and line is None
            older += is_older
            assert is_older or (theirs.returncode != 0) == (line is not None), said
            if line is None:
                assert ours.stdout == "OK\n", said
            else:
                assert ours.stderr.startswith(f"{path}:{line}:") and named in ours.stderr, said
                assert "doe" not in ours.stderr, "what may be a password is printed"
        print(f"  {len(rows(folder))} files, one verdict, but for {older} that this promtool is too old for")


def test_http2_without_its_suite_ends_the_start_as_it_does_the_toolkits():
    with Folder() as folder, Namespace() as namespace:
        path = folder.write(tls(cipher_suites="[TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]", max_version="TLS12"))
        ended = namespace.run(BINARY, "--config", "/dev/null", "--web.config.file", path, check=False, timeout=20)
        assert ended.returncode == 1 and f"{path}:3:" in ended.stdout + ended.stderr, ended


class Protected:
    """A daemon under this web configuration, by its own configuration file or by the flag."""

    def __init__(self, text, by_flag=False, config="web: {config_file: WEB}\n", **options):
        self.text, self.by_flag, self.config, self.options = text, by_flag, config, options

    def __enter__(self):
        self.folder = Folder().__enter__()
        self.namespace = Namespace().__enter__()
        path = self.folder.write(self.text)
        arguments = ["--web.config.file", path] if self.by_flag else []
        self.daemon = Daemon(self.namespace, config="{}\n" if self.by_flag else self.config.replace("WEB", str(path)), arguments=arguments, **self.options)
        self.daemon.__enter__()
        self.daemon.wait_for_log("serving http")
        return self.daemon, self.folder

    def __exit__(self, *error):
        self.daemon.__exit__(*error)
        self.namespace.__exit__(*error)
        self.folder.__exit__(*error)


def curl(daemon, *arguments):
    return daemon.namespace.run("curl", "-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code} %{ssl_verify_result}", *arguments, check=False)


def test_it_speaks_tls_and_nothing_else():
    with Protected(TLS, by_flag=True) as (daemon, folder):
        trusting = ("--cacert", folder.path / "server.crt")
        assert curl(daemon, *trusting, "https://localhost:9105/metrics").stdout == "200 0"
        assert curl(daemon, "http://localhost:9105/metrics").stdout.startswith("000"), "plain HTTP is answered"
        assert curl(daemon, "https://localhost:9105/metrics").returncode == 60, "any certificate will do"
        assert curl(daemon, *trusting, "--tls-max", "1.1", "https://localhost:9105/").returncode == 35
        for version in "--tls-max", "--tlsv1.3":
            assert curl(daemon, *trusting, version, *(["1.2"] if version == "--tls-max" else []), "https://localhost:9105/").stdout == "200 0"
        # Behind TLS another's name does not make us his site.
        assert ask(daemon, context=folder.trusting(), headers={"Host": "elsewhere.example"})[0] == 200
        assert "https://127.0.0.1:9105/metrics" in daemon.log


def agreed(daemon, *arguments):
    """What openssl and the daemon agree upon."""
    done = daemon.namespace.run("openssl", "s_client", "-connect", "127.0.0.1:9105", *arguments, check=False, input="")
    return done.stdout + done.stderr


def test_versions_ciphers_and_curves_are_those_of_the_file():
    chosen = tls(max_version="TLS12", cipher_suites="[TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]", curve_preferences="[CurveP384]")
    with Protected(chosen) as (daemon, _):
        assert "Cipher is ECDHE-RSA-AES256-GCM-SHA384" in agreed(daemon, "-cipher", "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"), "the server's order does not count"
        assert "ECDHE-RSA-AES128-GCM-SHA256" in agreed(daemon, "-cipher", "ECDHE-RSA-AES128-GCM-SHA256")
        assert re.search("P-384|secp384r1", agreed(daemon))
        for other in (("-cipher", "ECDHE-RSA-CHACHA20-POLY1305"), ("-cipher", "ECDHE-RSA-AES128-SHA"), ("-cipher", "AES128-GCM-SHA256"), ("-groups", "P-256"), ("-tls1_3",)):
            assert "Cipher is (NONE)" in agreed(daemon, *other), f"{other} is spoken"
    with Protected(tls(min_version="TLS13", curve_preferences="[CurveP521]")) as (daemon, _):
        assert re.search("P-521|secp521r1", agreed(daemon)) and "TLSv1.3" in agreed(daemon)
        assert "Cipher is (NONE)" in agreed(daemon, "-tls1_2")


def test_clients_show_the_certificate_that_the_policy_wants():
    # The policy, and who is let in: without a certificate, with a stranger's, with the client's.
    policies = {"NoClientCert": (1, 1, 1), "RequestClientCert": (1, 1, 1), "RequireAnyClientCert": (0, 1, 1), "VerifyClientCertIfGiven": (1, 0, 1),
                "RequireAndVerifyClientCert": (0, 0, 1)}
    with Protected(TLS) as (daemon, folder):
        for policy, welcome in policies.items():
            authority = {} if policy == "NoClientCert" else {"client_ca_file": "client.crt"}
            folder.write(tls(client_auth_type=policy, **authority))
            daemon.signal(signal.SIGHUP)
            wait_until(lambda: daemon.log.count("the new configuration applies") == list(policies).index(policy) + 1, 10, "a reload")
            for client, is_welcome in zip((None, "stranger", "client"), welcome):
                assert refused(daemon, context=folder.trusting(client)) == (not is_welcome), f"{policy}, {client}"
        names = {"one": 1, "two@example.com": 1, "spiffe://three": 1, "192.0.2.4": 1, "client": 0, "on": 0, "ONE": 0}
        for count, (name, is_welcome) in enumerate(names.items()):
            folder.write(tls(client_auth_type="RequireAndVerifyClientCert", client_ca_file="client.crt", client_allowed_sans=f"[nobody, '{name}']"))
            daemon.signal(signal.SIGHUP)
            wait_until(lambda: daemon.log.count("the new configuration applies") == len(policies) + count + 1, 10, "a reload")
            assert refused(daemon, context=folder.trusting("client")) == (not is_welcome), name


PATHS = ("/", "/metrics", "/healthz", "/readyz", "/api/v1/status", "/api/v1/sources", "/nothing")


def test_everything_is_behind_the_password():
    users = f"basic_auth_users:\n  alice: {HASH}\n  empty: {bcrypt('')}\n  old: {HASH.replace('$2y$', '$2a$')}\n"
    with Protected(users) as (daemon, _):
        for path in PATHS:
            for headers in ({}, basic("alice", "wrong"), basic("nobody", "open sesame"), basic("alice", "open sesame\0and more"), {"Authorization": "Bearer open"},
                            {"Authorization": "Basic !!"}, {"Authorization": "Basic " + "QQ=="}):
                status, answered, body = ask(daemon, path, headers=headers)
                assert status == 401 and answered["WWW-Authenticate"].startswith("Basic") and b"connections" not in body, (path, headers, status)
        for user, password in ("alice", "open sesame"), ("empty", ""), ("old", "open sesame"):
            assert ask(daemon, "/metrics", headers=basic(user, password))[0] == 200, user
        assert ask(daemon, "/nothing", headers=basic("alice", "open sesame"))[0] == 404
        posted = daemon.get("/metrics", method="POST", headers={"Content-Length": "3"})
        assert posted.status == 401, posted.status
        log = daemon.log
        assert "sesame" not in log and "$2y$" not in log, "secrets are logged"


def test_the_file_is_read_again_and_a_bad_one_changes_nothing():
    with Protected(TLS) as (daemon, folder):
        def successful():
            text = ask(daemon, "/metrics", context=folder.trusting(), headers=basic("alice", "open sesame"))[2].decode()
            return "conntally_config_last_reload_successful 1\n" in text

        assert successful()
        folder.write(TLS + f"basic_auth_users: {{alice: {HASH}}}\n")
        wait_until(lambda: ask(daemon, context=folder.trusting())[0] == 401, 5, "a password is asked for")
        folder.write(TLS.replace("server.key", "absent.key"))
        daemon.wait_for_log("absent.key cannot be read")
        wait_until(lambda: not successful(), 5, "the metric tells of it")
        assert ask(daemon, context=folder.trusting())[0] == 401, "a bad file opens the door"
        (folder.path / "server.key").rename(folder.path / "absent.key")
        wait_until(successful, 5, "the file that was absent is found")
        # A renewed certificate, under the same names: certificate first, as most tools write them.
        before = ssl.DER_cert_to_PEM_cert(peer(daemon))
        folder.make("absent", "localhost", "DNS:localhost")
        (folder.path / "absent.crt").rename(folder.path / "server.crt")
        wait_until(lambda: ssl.DER_cert_to_PEM_cert(peer(daemon)) == folder.text("server.crt"), 5, "the new certificate is shown")
        assert before != folder.text("server.crt")
        # And back to plain HTTP, when that is what the file says.
        folder.write("")
        wait_until(lambda: daemon.status_of("/healthz") == 200, 5, "the file asks for nothing")


def test_a_reload_to_a_bad_file_changes_nothing_and_one_to_none_warns():
    config = "web: {config_file: %s}\nsources: {groups: {%s: [10.0.0.0/8]}}\n"
    users = f"basic_auth_users: {{alice: {HASH}}}\n"
    with Protected(users, config=config % ("WEB", "before")) as (daemon, folder):
        def metrics():
            return ask(daemon, "/metrics", headers=basic("alice", "open sesame"))[2].decode()

        def reload(path, group):
            daemon.write_config(config % (path, group))
            daemon.signal(signal.SIGHUP)

        absent = folder.path / "absent.yml"
        reload(absent, "after")
        daemon.wait_for_log("reload: the configuration has faults; the old one still applies")
        wait_until(lambda: "conntally_config_last_reload_successful 0\n" in metrics(), 5, "the metric tells of it")
        assert 'group="before"' in metrics() and 'group="after"' not in metrics(), "a part of it applies"
        # What was refused is not taken in parts later, and what is in force is read again.
        absent.write_text("")
        folder.write(users + "rate_limit: {interval: 0, burst: 0}\n")
        time.sleep(2.5)
        assert ask(daemon)[0] == 401 and 'group="before"' in metrics()
        reload("''", "after")
        daemon.wait_for_log("the port is protected no more")
        wait_until(lambda: ask(daemon, "/metrics")[0] == 200, 5, "nobody is asked for a password")
        assert 'group="after"' in ask(daemon, "/metrics")[2].decode()


def peer(daemon):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(daemon.namespace.connect(daemon.host, daemon.port, 10)) as wrapped:
        return wrapped.getpeercert(binary_form=True)


def test_a_bad_file_ends_the_start_and_names_the_line():
    with Folder() as folder, Namespace() as namespace:
        path = folder.write(TLS.replace("key_file", "key_fil"))
        ended = namespace.run(BINARY, "--config", "/dev/null", "--web.config.file", path, check=False, timeout=20)
        assert ended.returncode == 1 and f"{path}:4:3: " in ended.stdout + ended.stderr, ended


def test_headers_and_the_rate_limit_are_those_of_the_file():
    text = "rate_limit: {interval: 1h, burst: 3}\n" + header("X-Frame-Options", "sameorigin").rstrip("}\n") + ", Strict-Transport-Security: max-age=9, Content-Security-Policy: ''}}\n"
    with Protected(text) as (daemon, _):
        answers = [ask(daemon, "/") for _ in range(4)]
        assert [status for status, _, _ in answers] == [200, 200, 200, 429], [status for status, _, _ in answers]
        for _, headers, _ in answers:
            assert headers.get_all("X-Frame-Options") == ["sameorigin"] and headers.get_all("Strict-Transport-Security") == ["max-age=9"]
            assert headers["Content-Security-Policy"] is None and headers.get_all("X-Content-Type-Options") == ["nosniff"]


def test_a_real_prometheus_scrapes_over_tls_with_a_password():
    text = TLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: client.crt\n" + f"basic_auth_users: {{prometheus: {HASH}}}\n"
    with Protected(text) as (daemon, folder):
        (folder.path / "password").write_text("open sesame\n")
        shipped = (ROOT / "config/prometheus/prometheus.yml").read_text()
        job = "    scheme: https\n    basic_auth: {username: prometheus, password_file: F/password}\n    tls_config: {ca_file: F/server.crt, cert_file: F/client.crt, key_file: F/client.key}\n"
        at = shipped.index("    static_configs")
        configuration = folder.write(shipped[:at] + job.replace("F/", f"{folder.path}/") + shipped[at:], "prometheus.yml")
        with Prometheus(daemon.namespace, configuration) as prometheus:
            wait_until(lambda: prometheus.query('up{job="conntally"} == 1'), 20, "it is up", every=0.2)
            wait_until(lambda: prometheus.query('conntally_up{job="conntally"} == 1'), 20, "its figures are there", every=0.2)


def test_our_own_commands_ask_over_tls_with_a_password():
    with Protected(TLS + f"basic_auth_users: {{me: {HASH}}}\n") as (daemon, folder):
        def command(*arguments):
            done = daemon.namespace.run(BINARY, *arguments, "--config", daemon.config_file, check=False)
            return done.returncode, done.stdout + done.stderr

        code, said = command("status")
        assert code == 1 and "401" in said and "--http.config.file" in said, said
        (folder.path / "password").write_text("open sesame\n")
        client = folder.write("basic_auth: {username: me, password_file: password}\n", "client.yaml")
        for arguments in (("status",), ("status", "--json"), ("top", "--once")):
            code, said = command(*arguments, "--http.config.file", client)
            assert code == 0, (arguments, said)
        code, said = command("diagnose", "--http.config.file", client)
        assert "without a running daemon" not in said and "the running daemon's history" in said, said
        # By its address, as from another host: its certificate is looked at.
        code, said = command("status", "--http.config.file", client, "--url", "https://localhost:9105")
        assert code == 1 and "ca_file" in said, said
        full = folder.write("basic_auth: {username: me, password: open sesame}\ntls_config: {ca_file: server.crt, server_name: localhost}\n", "full.yaml")
        code, said = command("status", "--http.config.file", full, "--url", "https://127.0.0.2:9105")
        assert code == 1 and "127.0.0.2" in said, "it asks elsewhere than it is told"
        code, said = command("status", "--http.config.file", full, "--url", "https://127.0.0.1:9105")
        assert code == 0, said
        code, said = command("status", "--url", "http://127.0.0.1:9105")
        assert code == 1 and "TLS" in said, said
        code, said = command("status", "--http.config.file", folder.write("basic_auth: {user: me}\n", "bad.yaml"))
        assert code == 1 and "bad.yaml:1:" in said and "username" in said, said


def test_it_serves_at_several_addresses_and_warns_where_strangers_reach_it():
    with Namespace() as namespace:
        namespace.ip("address", "add", "192.0.2.1/24", "dev", "lo")
        warning = "others than this host may reach the port"
        with Daemon(namespace, arguments=["--web.listen-address", "127.0.0.1:9105", "--web.listen-address", "192.0.2.1:9106"]) as daemon:
            daemon.wait_ready()
            assert daemon.log.count(warning) == 1, daemon.log
            daemon.host, daemon.port = "192.0.2.1", 9106
            assert daemon.status_of("/healthz") == 200
        with Daemon(namespace, config="web: {listen_address: ['127.0.0.1:9105', '127.0.0.3:9107']}\n") as daemon:
            daemon.wait_ready()
            assert warning not in daemon.log
            daemon.host, daemon.port = "127.0.0.3", 9107
            assert daemon.status_of("/healthz") == 200
        with Folder() as folder, Daemon(namespace, arguments=["--web.listen-address", "[::]:9105", "--web.config.file", folder.write(f"basic_auth_users: {{a: {HASH}}}\n")]) as daemon:
            wait_until(lambda: daemon.status_of("/healthz") == 401, 10, "it listens")
            assert warning not in daemon.log


def scrape_seconds(daemon, headers, count=60):
    return statistics.median(timed(daemon, headers) for _ in range(count))


def timed(daemon, headers):
    start = time.monotonic()
    status, _, _ = ask(daemon, "/metrics", headers=headers)
    assert status == 200, status
    return time.monotonic() - start


FLOOD = """
import base64, collections, itertools, socket, sys, time
open_, start, sent, per_second = collections.deque(), time.monotonic(), 0, 1000
for number in itertools.count():
    time.sleep(max(0, start + number / per_second - time.monotonic()))
    if time.monotonic() > start + float(sys.argv[1]): break
    one = socket.socket(); one.settimeout(5)
    try:
        one.connect(("127.0.0.1", 9105))
        login = base64.b64encode(f"alice:{number}".encode()).decode()
        one.send(f"GET /metrics HTTP/1.1\\r\\nHost: localhost\\r\\nAuthorization: Basic {login}\\r\\n\\r\\n".encode())
        sent += 1
    except OSError: pass
    open_.append(one)
    if len(open_) > 500: open_.popleft().close()
print(sent / (time.monotonic() - start))
"""


def test_a_password_costs_a_scrape_once_and_wrong_ones_delay_none():
    with Protected(f"basic_auth_users: {{prometheus: {bcrypt('open sesame', 10)}, alice: {bcrypt('a', 10)}}}\n") as (daemon, folder):
        known = basic("prometheus", "open sesame")
        print(f"  the first scrape: {timed(daemon, known) * 1000:.0f} ms")
        with_password = scrape_seconds(daemon, known)
        seconds = 5
        flood = daemon.namespace.spawn(sys.executable, "-c", FLOOD, str(seconds), stdout=-1, text=True)
        time.sleep(1)
        during = []
        while flood.poll() is None:
            during.append(timed(daemon, known))
            time.sleep(0.05)
        print(f"  {float(flood.stdout.read()):.0f} wrong passwords a second; {len(during)} scrapes, the median {statistics.median(during) * 1000:.1f} ms")
        claim("the slowest scrape while wrong passwords come", max(during), 0.1)
        turned_away = ask(daemon, "/metrics", headers=known)[2].decode()
        assert 'conntally_overflow_total{what="http_passwords"} 0' not in turned_away, "nobody was turned away"
        folder.write("")
        wait_until(lambda: daemon.status_of("/healthz") == 200, 5, "the password is no longer asked for")
        without = scrape_seconds(daemon, {})
        print(f"  a scrape with a password takes {with_password / without:.2f} times one without")
        claim("a scrape with a password, after the first", with_password, round(1.1 * without, 4))


def test_a_hash_that_takes_long_holds_up_neither_the_others_nor_the_end():
    costly = "$2y$20$" + "a" * 53
    with Protected(f"basic_auth_users: {{slow: {costly}, quick: {HASH}}}\n") as (daemon, _):
        assert ask(daemon, headers=basic("quick", "open sesame"))[0] == 200
        assert "takes seconds to compare with" in daemon.log
        waiting = daemon.namespace.connect(daemon.host, daemon.port)
        login = basic("slow", "x")["Authorization"]
        waiting.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: {login}\r\n\r\n".encode())
        time.sleep(0.3)
        assert ask(daemon, headers=basic("quick", "open sesame"))[0] == 200
        start = time.monotonic()
        daemon.close()
        claim("the end while a password is being checked", time.monotonic() - start, 2)


main()

#!/usr/bin/env python3
"""Alertmanagers that let in whom they know, by certificate, password or token; and those that answer nobody."""

import contextlib
import http.server
import os
import ssl
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../netns"))
from alertmanager import Alertmanager, Webhook
from harness import *
from web_config import TLS, Folder, bcrypt

NEAR = "SourceNearConnectionLimit"
ALERT = """
limits: [{source: 10.0.0.1/32, connections: 100}]
alerts: {source_limit_usage: {for: 1s}}
"""
CLIENTS = TLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: client.crt\n"
USERS = f"basic_auth_users: {{conntally: '{bcrypt('open sesame')}'}}\n"
PLAIN, SAFE = "http://127.0.0.1:9093", "https://localhost:9093"


class Pushing(Daemon):
    """A daemon with an alert that it pushes to these Alertmanagers; `access` is the rest of that section of its configuration."""

    def __init__(self, namespace, *urls, **access):
        super().__init__(namespace, ALERT + f"alertmanager: {json.dumps({'urls': urls, **access})}\n")

    def __enter__(self):
        if not count(self.namespace):
            ct_load(self.namespace, "create", "--sources", 1, "--count", 85, "--protocol", "udp", "--replied-every", 1, "--timeout", 600)
        super().__enter__()
        self.wait_ready()
        return self

    def wait_until_refused(self, url):
        refused = frozenset({("alertmanager", url), ("result", "failure")})
        wait_until(lambda: self.metrics().series("conntally_alert_notifications_total").get(refused, 0) > 0, 15, f"{url} refuses")


def own_certificate(folder, client="client", trusted="server"):
    files = {"cert_file": f"{folder.path}/{client}.crt", "key_file": f"{folder.path}/{client}.key"} if client else {}
    return {"ca_file": f"{folder.path}/{trusted}.crt", **files}


def test_only_the_client_whose_certificate_is_wanted_is_heard():
    with Folder() as folder, Namespace() as namespace, Webhook(namespace) as webhook:
        with Alertmanager(namespace, web=folder.write(CLIENTS), context=folder.trusting("client")):
            for client, trusted in (None, "server"), ("stranger", "server"), ("client", "stranger"):
                with Pushing(namespace, SAFE, tls_config=own_certificate(folder, client, trusted)) as daemon:
                    daemon.wait_until_refused(SAFE)
                assert not webhook.heard, (client, trusted, webhook.all())
            with Pushing(namespace, SAFE, tls_config=own_certificate(folder)) as daemon:
                webhook.wait_for(NEAR, "firing", 20, source="10.0.0.1")


def test_a_password_is_told_over_tls_and_never_logged():
    with Folder() as folder, Namespace() as namespace, Webhook(namespace) as webhook:
        with Alertmanager(namespace, web=folder.write(CLIENTS + USERS), context=folder.trusting("client")):
            secret = folder.write("guessed\n", "password")
            with Pushing(namespace, SAFE, tls_config=own_certificate(folder), basic_auth={"username": "conntally", "password_file": str(secret)}) as daemon:
                daemon.wait_until_refused(SAFE)
                assert not webhook.heard, webhook.all()
                folder.write("open sesame\n", "password")
                webhook.wait_for(NEAR, "firing", 40, source="10.0.0.1")
                told = daemon.log + daemon.metrics().text
                assert "guessed" not in told and "sesame" not in told


@contextlib.contextmanager
def gate(namespace, folder, token, behind):
    """What stands before an Alertmanager, which knows no tokens itself: TLS at port 9095, and whoever has the token gets through."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = 401
            if self.headers["Authorization"] == f"Bearer {token}":
                status, _ = behind.request("POST", self.path, body, {"Content-Type": self.headers["Content-Type"]})
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    listener = namespace.socket()
    listener.bind(("127.0.0.1", 9095))
    listener.listen(8)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder.path / "server.crt", folder.path / "server.key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket.close()
    server.socket = context.wrap_socket(listener, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield "https://localhost:9095"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_token_is_read_from_its_file_for_each_push():
    with Folder() as folder, Namespace() as namespace, Webhook(namespace) as webhook, Alertmanager(namespace) as alertmanager:
        token = folder.write("guessed\n", "token")
        with gate(namespace, folder, "s3cr3t", alertmanager) as url:
            with Pushing(namespace, url, tls_config=own_certificate(folder, None), bearer_token_file=str(token)) as daemon:
                daemon.wait_until_refused(url)
                assert not webhook.heard, webhook.all()
                folder.write("s3cr3t\n", "token")
                webhook.wait_for(NEAR, "firing", 40, source="10.0.0.1")
                assert "s3cr3t" not in daemon.log + daemon.metrics().text


def test_credentials_come_from_files_and_a_peer_that_hangs_holds_up_nobody():
    with Folder() as folder, Namespace() as namespace, Webhook(namespace) as webhook, Alertmanager(namespace, web=folder.write(USERS)):
        hangs = namespace.socket()
        hangs.bind(("127.0.0.1", 9999))
        hangs.listen(8)
        secret = folder.write("guessed\n", "password")
        with Pushing(namespace, "http://127.0.0.1:9999", PLAIN, basic_auth={"username": "conntally", "password_file": str(secret)}) as daemon:
            daemon.wait_until_refused(PLAIN)
            assert not webhook.heard, webhook.all()
            folder.write("open sesame\n", "password")
            webhook.wait_for(NEAR, "firing", 40, source="10.0.0.1")
            start = time.monotonic()
            daemon.signal(signal.SIGTERM)
            assert daemon.process.wait(30 * SLOWNESS) == 0
            claim("ended beside a peer that hangs", time.monotonic() - start, 2)
        hangs.close()


main()

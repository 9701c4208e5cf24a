"""A real Alertmanager and a webhook receiver inside a namespace, and what the webhook heard."""

import contextlib
import ctypes
import http.server
import json
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from harness import Skip, wait_until

ALERTMANAGER_PORT = 9093
WEBHOOK_PORT = 9900

# Groups close quickly, so that tests are short. Each alert is a group of its own: what is told of one is told at once.
ALERTMANAGER_CONFIG = """
route:
  receiver: webhook
  group_by: ['...']
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 12h
receivers:
  - name: webhook
    webhook_configs:
      - {url: 'http://127.0.0.1:%d/', send_resolved: true}
inhibit_rules:
  - {source_matchers: [severity="critical"], target_matchers: [severity="warning"], equal: [alertname, source, rule]}
""" % WEBHOOK_PORT


class Alertmanager:
    """`with Alertmanager(namespace) as alertmanager:`; stop and start may be called in between, as an outage."""

    def __init__(self, namespace, port=ALERTMANAGER_PORT, password=None):
        self.namespace, self.port, self.password = namespace, port, password
        self.binary = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
        if not self.binary:
            raise Skip("needs prometheus-alertmanager")
        self.folder = tempfile.TemporaryDirectory(prefix="conntally-test-")
        self.url = f"http://127.0.0.1:{port}"
        self.process = None

    def __enter__(self):
        pathlib.Path(self.folder.name, "alertmanager.yml").write_text(ALERTMANAGER_CONFIG)
        users = "{}"
        if self.password:
            libcrypt = ctypes.CDLL("libcrypt.so.1")
            libcrypt.crypt.restype = ctypes.c_char_p
            hashed = libcrypt.crypt(self.password.encode(), b"$2b$04$abcdefghijklmnopqrstuu").decode()  # bcrypt, as Alertmanager wants it
            users = f"{{conntally: '{hashed}'}}"
        pathlib.Path(self.folder.name, "web.yml").write_text(f"basic_auth_users: {users}\n")
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        folder = self.folder.name
        with open(f"{folder}/log", "ab") as log:
            self.process = self.namespace.spawn(
                self.binary, f"--config.file={folder}/alertmanager.yml", f"--web.config.file={folder}/web.yml", f"--storage.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address=", "--log.level=debug",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )
        wait_until(self._is_ready, 30, "Alertmanager's readiness")

    def _is_ready(self):
        assert self.process.poll() is None, pathlib.Path(self.folder.name, "log").read_text()
        with contextlib.suppress(OSError), self.namespace.connect("127.0.0.1", self.port) as connection:
            connection.sendall(b"GET /-/ready HTTP/1.0\r\n\r\n")
            answer = connection.recv(64)
            return b" 200 " in answer or b" 401 " in answer
        return False

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(20)


class Webhook:
    """Keeps every notification: (seconds since the start, status, labels)."""

    def __init__(self, namespace):
        self.heard, self.started = [], time.monotonic()
        webhook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in body["alerts"]:
                    webhook.heard.append((time.monotonic() - webhook.started, alert["status"], alert["labels"], alert["annotations"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", WEBHOOK_PORT), Handler, bind_and_activate=False)
        self.server.socket.close()
        self.server.socket = namespace.socket()
        self.server.allow_reuse_address = True
        self.server.server_bind()
        self.server.server_activate()
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def told(self, alert, status=None, **labels):
        """The notifications of this alert, in order."""
        wanted = {"alertname": alert, **labels}.items()
        return [each for each in self.heard if wanted <= each[2].items() and status in (None, each[1])]

    def wait_for(self, alert, status, seconds, **labels):
        wait_until(lambda: self.told(alert, status, **labels), seconds, f"{alert} {labels} {status} at the webhook; heard {self.names()}")
        return self.told(alert, status, **labels)[0]

    def names(self):
        return [f"{when:.0f} s {labels['alertname']} {labels['severity']} {labels.get('source', '')} {status}" for when, status, labels, _ in self.heard]


@contextlib.contextmanager
def alerting(namespace):
    with Webhook(namespace) as webhook, Alertmanager(namespace) as alertmanager:
        yield alertmanager, webhook


def alerts_of(daemon, **wanted):
    answer = daemon.get("/api/v1/alerts")
    assert answer.status == 200, answer.text
    return [alert for alert in answer.json()["alerts"] if all(alert[key] == value for key, value in wanted.items())]


def firing(daemon):
    """{(alert, severity, source, rule)} of the metric."""
    return {
        tuple(dict(labels).get(name, "") for name in ("alert", "severity", "source", "rule"))
        for labels in daemon.metrics().series("conntally_alert_firing")
    }

"""A real Alertmanager in a namespace, and a webhook receiver for whom it tells."""

import contextlib
import http.server
import json
import socket
import threading
import time
from dataclasses import dataclass

from harness import wait_until
from server import Server

# Groups close quickly, so that tests are short. Each alert is a group of its own: what is told of one is told at once.
QUICK = """
route:
  receiver: webhook
  group_by: ['...']
  group_wait: 1s
  group_interval: 1s
  repeat_interval: 12h
receivers:
  - name: webhook
    webhook_configs:
      - {url: 'http://127.0.0.1:9094/', send_resolved: true}
inhibit_rules:
  - {source_matchers: [severity="critical"], target_matchers: [severity="warning"], equal: [alertname, source, rule]}
"""


class Alertmanager(Server):
    program = "prometheus-alertmanager"

    def __init__(self, namespace, configuration=QUICK, web=None, context=None):
        """`web` is its web configuration file; behind TLS, the context shows the test to it."""
        super().__init__(namespace, 9093)
        (self.home / "alertmanager.yml").write_text(configuration)
        self.context = context
        self.web = [f"--web.config.file={web}"] if web else []

    def arguments(self):
        return (f"--config.file={self.home}/alertmanager.yml", *self.web, f"--storage.path={self.home}/data",
                f"--web.listen-address=127.0.0.1:{self.port}", "--cluster.listen-address=")


@dataclass
class Told:
    """What the webhook was told of one alert."""

    seconds: float  # since the webhook listened
    path: str
    status: str
    labels: dict
    annotations: dict

    @property
    def name(self):
        return self.labels["alertname"]

    def __str__(self):
        return f"{self.seconds:.0f} s {self.name} {self.labels['severity']} {self.labels.get('source', '')} {self.status}"


class Webhook:
    """Listens where the configurations send to, and keeps what came, oldest first."""

    def __init__(self, namespace, port=9094):
        self.listener = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(16)
        self.heard, self.started = [], time.monotonic()

    def __enter__(self):
        webhook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                since = time.monotonic() - webhook.started
                webhook.heard += [Told(since, self.path, alert["status"], alert["labels"], alert["annotations"]) for alert in message["alerts"]]
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.server.socket.close()
        self.server.socket = self.listener
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def told(self, alert, status=None, path=None, **labels):
        return [each for each in list(self.heard) if each.name == alert and status in (None, each.status) and path in (None, each.path)
                and labels.items() <= each.labels.items()]

    def wait_for(self, alert, status, seconds, path=None, **labels):
        """The first telling of it."""
        try:
            wait_until(lambda: self.told(alert, status, path, **labels), seconds, f"{alert} {labels} {status} is told")
        except AssertionError as late:
            raise AssertionError(f"{late}; heard {self.all()}") from None
        return self.told(alert, status, path, **labels)[0]

    def names(self):
        return {each.name for each in list(self.heard)}

    def all(self):
        return [str(each) for each in list(self.heard)]


@contextlib.contextmanager
def alerting(namespace):
    with Webhook(namespace) as webhook, Alertmanager(namespace) as alertmanager:
        yield alertmanager, webhook

"""A real Alertmanager in a namespace, with the shipped configuration, and whom it tells."""

import http.server
import json
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading

from prometheus_server import hastened, needed, wait_until
from harness import ROOT, SLOWNESS

SHIPPED = ROOT / "config/alertmanager/alertmanager.yml"
PORT = 9093


class Webhook:
    """Listens where the shipped configuration sends to, and keeps what came."""

    def __init__(self, namespace, port=9094):
        self.listener = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(16)
        self.messages = []  # (path, Alertmanager's message)

    def __enter__(self):
        messages = self.messages

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                messages.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
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

    def told(self, status, path=None, **labels):
        """Each telling of an alert with these labels, oldest first."""
        return [
            alert for at, message in list(self.messages) for alert in message["alerts"]
            if alert["status"] == status and path in (None, at) and labels.items() <= alert["labels"].items()
        ]

    def names(self):
        return {alert["labels"]["alertname"] for _, message in list(self.messages) for alert in message["alerts"]}


class Alertmanager:
    def __init__(self, namespace):
        self.program = needed("prometheus-alertmanager")
        self.namespace = namespace
        self.folder = tempfile.TemporaryDirectory(prefix="conntally-test-")
        self.home = pathlib.Path(self.folder.name)
        (self.home / "alertmanager.yml").write_text(hastened(SHIPPED.read_text()))

    def __enter__(self):
        with open(self.home / "log", "w") as log:
            self.process = self.namespace.spawn(
                self.program, f"--config.file={self.home}/alertmanager.yml", f"--storage.path={self.home}/data",
                f"--web.listen-address=127.0.0.1:{PORT}", "--cluster.listen-address=",
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )
        wait_until(self._listens, 30, "Alertmanager listens", every=0.1)
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20 * SLOWNESS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if kind:
            print(f"--- log of Alertmanager\n{(self.home / 'log').read_text(errors='replace')}")
        self.folder.cleanup()

    def _listens(self):
        assert self.process.poll() is None, (self.home / "log").read_text()
        try:
            self.namespace.connect("127.0.0.1", PORT).close()
            return True
        except OSError:
            return False

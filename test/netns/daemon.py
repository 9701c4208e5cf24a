"""A running conntally inside a namespace, and what its users ask it."""

import contextlib
import gzip
import http.client
import ipaddress
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse

from kernel_table import KernelTable, differences
from metrics import Metrics, check_invariants
from namespaces import SLOWNESS, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("CONNTALLY_BIN", ROOT / "build/release/conntally"))

_started = []


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)


class Daemon:
    """`with Daemon(namespace, config="...") as daemon:` ends with the process gone."""

    def __init__(self, namespace, config=None, arguments=(), prefix=(), host="127.0.0.1", port=9105, binary=BINARY):
        self.namespace, self.host, self.port = namespace, host, port
        self.folder = tempfile.TemporaryDirectory(prefix="conntally-test-")
        os.chmod(self.folder.name, 0o755)
        self.config_file = pathlib.Path(self.folder.name, "conntally.yaml")
        self.log_file = pathlib.Path(self.folder.name, "log")
        # An absent file would mean the machine's own /etc/conntally/conntally.yaml.
        self.write_config(config or "{}\n")
        self.command = [*prefix, binary, "--config", self.config_file, *arguments]
        self.process = None

    def write_config(self, text):
        self.config_file.write_text(text)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        self.close()

    def start(self):
        self.started_at = time.monotonic()
        with open(self.log_file, "ab") as log:
            self.process = self.namespace.spawn(
                *self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        _started.append(self)

    def close(self):
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(10 * SLOWNESS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("conntally did not end on SIGTERM")
            finally:
                self.last_log = self.log
            assert "Sanitizer" not in self.last_log, "a sanitizer reported something"

    def kill(self):
        self.process.kill()
        self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)

    @property
    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def wait_for_log(self, text, seconds=5):
        return wait_until(lambda: text in self.log, seconds, f"log line with {text!r}")

    def get(self, path, timeout=30.0, method="GET", headers=None):
        timeout *= SLOWNESS
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        connection.sock = self.namespace.connect(self.host, self.port, timeout)
        try:
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            body = response.read()
            if response.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            return Answer(response.status, response.headers, body)
        finally:
            connection.close()

    def status_of(self, path):
        """The HTTP status, or None while nobody listens."""
        try:
            return self.get(path, timeout=5.0).status
        except (OSError, http.client.HTTPException):
            return None

    def wait_listening(self, seconds=10):
        return self._wait_for("/healthz", seconds)

    def wait_ready(self, seconds=30):
        """Seconds from the start of the process to readiness."""
        self._wait_for("/readyz", seconds)
        return time.monotonic() - self.started_at

    def _wait_for(self, path, seconds):
        def answered():
            assert self.process.poll() is None, f"conntally ended with {self.process.returncode}"
            return self.status_of(path) == 200

        return wait_until(answered, seconds, f"conntally's {path}")

    def metrics(self):
        answer = self.get("/metrics")
        assert answer.status == 200, answer.text
        return Metrics(answer.text)

    def sources(self, **query):
        query.setdefault("limit", 1_000_000)
        answer = self.get("/api/v1/sources?" + urllib.parse.urlencode(query), timeout=120.0)
        assert answer.status == 200, answer.text
        return answer.json()

    def peak_memory_kib(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
        raise AssertionError("no VmHWM")

    def differences(self, states=False):
        """Where conntally and the kernel disagree, source by source; [] when they don't."""
        ours = self.sources()
        metrics = self.metrics()
        kernel = KernelTable(self.namespace)
        mine = {_canonical(row["source"]): row for row in ours["sources"]}
        assert len(mine) == len(ours["sources"]), "a source is listed twice"
        assert ours["total"] == len(mine), f"total says {ours['total']}, listed {len(mine)}"
        result = differences({key: row["connections"] for key, row in mine.items()}, kernel.connections, "source")
        if metrics.sum("conntally_connections") != kernel.total:
            result.append(f"conntally_connections {metrics.sum('conntally_connections')}, kernel {kernel.total}")
        if metrics.value("conntally_sources") != len(kernel.connections):
            result.append(f"conntally_sources {metrics.value('conntally_sources')}, kernel {len(kernel.connections)}")
        for labels, value in metrics.series("conntally_source_connections").items():
            source = _canonical(dict(labels)["source"])
            if value != kernel.connections.get(source, 0):
                result.append(f"conntally_source_connections {source}: {value}, kernel {kernel.connections[source]}")
        if states:
            unreplied = {key: row["unreplied"] for key, row in mine.items()}
            result += differences(unreplied, kernel.unreplied, "unreplied of source")
            by_state = {
                (dict(labels)["protocol"], dict(labels)["state"]): value
                for labels, value in metrics.series("conntally_connections").items()
            }
            result += differences(by_state, kernel.states, "protocol and state")
        return result

    def wait_equal(self, seconds, states=False, pause=0.1):
        """Seconds until conntally equals the kernel; the differences are the failure."""
        start = time.monotonic()
        while found := self.differences(states):
            if time.monotonic() - start > seconds * SLOWNESS:
                raise AssertionError(f"not equal after {seconds * SLOWNESS:.0f} s:\n  " + "\n  ".join(found))
            time.sleep(pause)
        return time.monotonic() - start


def _canonical(source):
    return str(ipaddress.ip_address(source)) if ":" in source and "/" not in source else source


@contextlib.contextmanager
def scraped_all_along(daemon, every=0.1):
    """Scrapes in parallel and holds each answer to the invariants. Yields the list of durations in seconds."""
    durations, failures, stop = [], [], threading.Event()

    def scrape():
        before = None
        while not durations or not stop.wait(every):
            try:
                start = time.monotonic()
                metrics = daemon.metrics()
                durations.append(time.monotonic() - start)
                check_invariants(metrics, before)
                before = metrics
            except Exception as error:  # told at the end, by the thread that tests
                failures.append(error)
                return

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield durations
    finally:
        stop.set()
        thread.join()
    if failures:
        raise failures[0]
    assert durations, "not one scrape was made"
    print(f"  {len(durations)} scrapes, slowest {max(durations) * 1000:.1f} ms")


def print_logs(most_lines=60):
    """Every daemon's log since the last call: for a failure."""
    for daemon in _started:
        lines = getattr(daemon, "last_log", None) or daemon.log
        print(f"--- log of {' '.join(map(str, daemon.command))}")
        print("\n".join(lines.splitlines()[-most_lines:]))
    forget_logs()


def forget_logs():
    _started.clear()

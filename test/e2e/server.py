"""A Debian program that serves inside a namespace, from a folder of its own."""

import http.client
import pathlib
import shutil
import signal
import subprocess
import tempfile

from harness import SLOWNESS, Skip, wait_until


class Server:
    """`with` starts it and waits until it is ready; its log is printed when the block fails. start and stop may be called in between."""

    program = None  # the name of what to run
    context = None  # the SSL context to ask it with, where it speaks TLS

    def __init__(self, namespace, port):
        self.namespace, self.port, self.process = namespace, port, None
        self.binary = shutil.which(self.program)
        if not self.binary:
            raise Skip(f"needs {self.program}: quickstart unpacks it")
        self.folder = tempfile.TemporaryDirectory(prefix="conntally-test-")
        self.home = pathlib.Path(self.folder.name)

    def arguments(self):
        raise NotImplementedError

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if kind:
            print(f"--- log of {self.program}\n{self.log}")
        self.folder.cleanup()

    def command(self):
        """A package that is only unpacked sees what else it brings where it would be installed, in the namespace's own mounts."""
        unpacked = pathlib.Path(self.binary).resolve().parents[2]
        if unpacked == pathlib.Path("/"):
            return [self.binary]
        overlay = f"mount -t overlay overlay -o lowerdir={unpacked}/usr/share:/usr/share /usr/share"
        return ["sh", "-c", overlay + ' 2>/dev/null; exec "$@"', self.program, self.binary]

    def start(self):
        with open(self.home / "log", "ab") as log:
            self.process = self.namespace.spawn(*self.command(), *self.arguments(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        wait_until(self._is_ready, 30, f"{self.program} is ready", every=0.1)

    def stop(self):
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20 * SLOWNESS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    @property
    def log(self):
        return (self.home / "log").read_text(errors="replace")

    def get(self, path, timeout=10.0):
        return self.request("GET", path, timeout=timeout)

    def request(self, method, path, body=None, headers=None, timeout=10.0):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        plain = self.namespace.connect("127.0.0.1", self.port, timeout)
        connection.sock = self.context.wrap_socket(plain, server_hostname="localhost") if self.context else plain
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def _is_ready(self):
        assert self.process.poll() is None, f"{self.program} ended:\n{self.log}"
        try:
            return self.get("/-/ready")[0] in (200, 401)  # 401: it wants a password, and so it answers
        except (OSError, http.client.HTTPException):
            return False

"""Certificates, passwords and requests for a daemon behind a web configuration file."""

import base64
import contextlib
import ctypes
import http.client
import pathlib
import ssl
import tempfile

from harness import SLOWNESS, run

libcrypt = ctypes.CDLL("libcrypt.so.1")
libcrypt.crypt.restype = ctypes.c_char_p


def bcrypt(password, cost=4):
    """What `htpasswd -nBC COST` prints, behind the colon."""
    return libcrypt.crypt(password.encode(), f"$2y${cost:02}$abcdefghijklmnopqrstuu".encode()).decode()


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


class Folder:
    """`with Folder() as folder:` has a server's certificate for localhost, and two clients' that signed themselves."""

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="conntally-test-")
        self.path = pathlib.Path(self.temporary.name)
        self.path.chmod(0o755)
        self.make("server", "localhost", "DNS:localhost,IP:127.0.0.1")
        self.make("client", "client", "DNS:one,email:two@example.com,URI:spiffe://three,IP:192.0.2.4", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
        self.make("stranger", "stranger", "DNS:stranger", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
        return self

    def __exit__(self, *_):
        self.temporary.cleanup()

    def make(self, name, subject, names, *key):
        run("openssl", "req", "-x509", "-nodes", "-days", "2", *(key or ("-newkey", "rsa:2048")), "-subj", f"/CN={subject}",
            "-addext", f"subjectAltName={names}", "-keyout", self.path / f"{name}.key", "-out", self.path / f"{name}.crt")

    def write(self, text, name="web.yaml"):
        """As editors do: a new file in the place of the old one."""
        fresh = self.path / "fresh"
        fresh.write_text(text)
        return fresh.rename(self.path / name)

    def text(self, name):
        return (self.path / name).read_text()

    def trusting(self, client=None, trusted="server"):
        """An SSL context that trusts the server's certificate."""
        context = ssl.create_default_context(cafile=self.path / f"{trusted}.crt")
        if client:
            context.load_cert_chain(self.path / f"{client}.crt", self.path / f"{client}.key")
        return context


TLS = """
tls_server_config:
  cert_file: server.crt
  key_file: server.key
"""


def ask(daemon, path="/healthz", context=None, headers=None, timeout=10.0):
    """(status, headers, body) of a GET, over TLS if there is a context."""
    connection = http.client.HTTPConnection(daemon.host, daemon.port, timeout=timeout * SLOWNESS)
    raw = daemon.namespace.connect(daemon.host, daemon.port, timeout * SLOWNESS)
    with contextlib.closing(connection):
        connection.sock = context.wrap_socket(raw, server_hostname="localhost") if context else raw
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def refused(daemon, **options):
    """Whether there is no answer at all."""
    try:
        ask(daemon, **options)
        return False
    except (OSError, http.client.HTTPException):  # ssl.SSLError is an OSError
        return True

"""What answers in the place of a daemon, by design of somebody hostile or by accident. See hostile_answers_test.py."""

import json
import socket
import threading
import time

# C0, DEL, C1, what turns text round, what hides, a tag, a new line that would pass for one of ours.
HOSTILE = "\x1b]0;owned\x07\x7f\u009b31m\u202eabc\u2066\u200b\ufeff\u2028\U000e0041\nsynced        yes\r"
PORT = 9105


def http(body, length=None, status="200 OK", more=""):
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogateescape")
    length = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{more}Connection: close\r\n\r\n".encode() + body


def at_once(data):
    return lambda connection, path: connection.sendall(data)


def slowly(data, pause, piece=1):
    def answer(connection, path):
        for at in range(0, len(data), piece):
            connection.sendall(data[at:at + piece])
            time.sleep(pause)

    return answer


def endless(head, piece):
    def answer(connection, path):
        connection.sendall(head)
        while True:
            connection.sendall(piece)

    return answer


def silence(connection, path):
    time.sleep(30)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
DEEP = "[" * 2_000_000 + "]" * 2_000_000
# What no command may take for an answer.
BROKEN = {
    "nothing": at_once(b""),
    "not HTTP": at_once(b"SSH-2.0-OpenSSH_9.2\r\n" + HOSTILE.encode()),
    "HTTP/0.9": at_once(HOSTILE.encode()),
    "a status that steers": at_once(http("{}", status="503 " + HOSTILE.splitlines()[0])),
    "an empty body": at_once(http("")),
    "not JSON": at_once(http(HOSTILE)),
    "JSON that ends early": at_once(http('{"synced": true, "version": "' + HOSTILE)),
    "less than the length says": at_once(http('{"synced"', 1000)),
    "more than the length says": at_once(http('{"synced": true}', 3)),
    "a length that is none": at_once(http("{}", "-5")),
    "a length beyond all": at_once(http("{}", 10**30)),
    "chunks that are none": at_once(CHUNKED + b"zz\r\n{}\r\n"),
    "endless chunks": endless(CHUNKED, b"10000\r\n" + b" " * 0x10000 + b"\r\n"),
    "an endless body": endless(b"HTTP/1.1 200 OK\r\n\r\n", b"[" * 65536),
    "an endless header": endless(b"HTTP/1.1 200 OK\r\nX: ", b"a" * 65536),
    "endless headers": endless(b"HTTP/1.1 200 OK\r\n", b"X: a\r\n" * 1000),
    "another place": at_once(http("", status="302 Found", more=f"Location: http://127.0.0.1:{PORT}/\r\n")),
    "nested deeply": at_once(http(DEEP)),
    "nested deeply, by a member": at_once(http('{"synced": true, "sources": ' + DEEP + "}")),
    "a text without end": at_once(http('"' + "\u009b" * 1_000_000)),
    "millions of values": at_once(http("[" + "0," * 4_000_000 + "0]")),
    "NaN": at_once(http('{"synced": NaN}')),
    "beyond all numbers": at_once(http('{"synced": 1e999}')),
    "no UTF-8": at_once(http(b'{"version": "\x9b31m\xff"}')),
    "gzip that nobody asked for": at_once(http(b"\x1f\x8b\x08" + bytes(100), more="Content-Encoding: gzip\r\n")),
    "an array": at_once(http("[]")),
    "a text": at_once(http(json.dumps(HOSTILE))),
    "null": at_once(http("null")),
    "an object with nothing in it": at_once(http("{}")),
}
SLOW = {
    "silence": silence,
    "a byte now and then": slowly(http('{"synced": true}'), 0.3),
    "header lines now and then": slowly(b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 1000, 0.3, 6),
    "an interim answer after another": slowly(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 0.2, 25),
}


class Server:
    """Answers each request as it is told to."""

    def __init__(self, namespace, answer):
        self.answer = answer
        self.listener = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                request = connection.recv(65536).decode(errors="replace")
                self.answer(connection, request.split()[1] if len(request.split()) > 1 else "")
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # who asked has gone

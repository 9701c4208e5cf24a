"""What a script of the field speaks with: real sockets in any namespace of one host, all in one process and one asyncio loop.

    async def script(net):
        net.serve_tcp("host", 443)
        await net.pace(20, lambda: net.tcp("outside", client(random.randrange(50)), HOST, 443))

Where: `host` is the machine that is watched, `outside` owns 20.0.0.0/6 and 2001:db8:20::/44, and `inside`, which a gateway has,
owns 10.0.0.0/8 and fd10::/16.
"""

import array
import asyncio
import contextlib
import ctypes
import errno
import inspect
import os
import random
import resource
import signal
import socket
import struct
import time
import traceback

from namespaces import CLONE_NEWNET, die_with_parent

HOST, HOST6 = "192.0.2.1", "2001:db8::1"  # the watched machine, as outside sees it
GATEWAY, GATEWAY6 = "172.16.0.1", "fd00::1"  # the same, as inside sees it
IP_FREEBIND, IP_BIND_ADDRESS_NO_PORT, IP_PKTINFO, IPV6_FREEBIND, IPV6_RECVPKTINFO, IPV6_PKTINFO = 15, 24, 8, 78, 49, 50
SYN, RST, ACK, FIN = 2, 4, 16, 1
_libc = ctypes.CDLL(None, use_errno=True)


def _numbered(first, i):
    return f"{first}.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}"


def client(i):
    """Outside: who uses what the host offers."""
    return _numbered(20, 256 + i)


def server(i):
    """Outside: whom the host, or those inside, ask."""
    return _numbered(21, 256 + i)


def stranger(i):
    """Outside: who has never been answered here."""
    return _numbered(22, 256 + i)


def forged(i):
    """Nobody's: what is sent to it goes nowhere, and no RST comes back."""
    return _numbered(24, 256 + i)


def member(i):
    """Inside, behind the gateway."""
    return _numbered(10, 256 + i)


def client6(i):
    return f"2001:db8:20::{i + 1:x}"


def server6(i):
    return f"2001:db8:21::{i + 1:x}"


def member6(i):
    return f"fd10::{i + 1:x}"


def _checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(array.array("H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return socket.htons(~(total + (total >> 16)) & 0xFFFF)


class Raw:
    """Packets of any IPv4 source, one sendto each: for noise and forgers. Who owns no socket for an answer resets it."""

    def __init__(self, net, where):
        self.socket = net.socket(where, socket.SOCK_RAW, protocol=socket.IPPROTO_RAW)

    def _send(self, source, destination, protocol, payload):
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0, socket.inet_aton(source), socket.inet_aton(destination))
        with contextlib.suppress(PermissionError, BlockingIOError):
            self.socket.sendto(header + payload, (destination, 0))

    def udp(self, source, source_port, destination, port, payload=b"x" * 16):
        self._send(source, destination, socket.IPPROTO_UDP, struct.pack("!HHHH", source_port, port, 8 + len(payload), 0) + payload)

    def tcp(self, source, source_port, destination, port, flags=SYN, sequence=None):
        sequence = random.getrandbits(32) if sequence is None else sequence
        header = struct.pack("!HHIIBBHHH", source_port, port, sequence, 0, 5 << 4, flags, 64240, 0, 0)
        pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!BBH", 0, socket.IPPROTO_TCP, len(header))
        self._send(source, destination, socket.IPPROTO_TCP, header[:16] + struct.pack("!H", _checksum(pseudo + header)) + header[18:])


class TcpService:
    """Answers each message until the client closes. close() is a crash: the listener and every connection go at once."""

    def __init__(self, net, where, port, address, answer):
        self.net, self.answer, self.accepted = net, answer, set()
        self.listener = net.socket(where, socket.SOCK_STREAM, address, port)
        self.listener.listen(4096)
        net.loop.add_reader(self.listener, self._accept)

    def _accept(self):
        with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
            for _ in range(64):
                made, _peer = self.listener.accept()
                made.setblocking(False)
                self.accepted.add(made)
                self.net.loop.add_reader(made, self._read, made)

    def _read(self, made):
        with contextlib.suppress(OSError):
            if made.recv(4096):
                if self.answer:
                    made.send(self.answer)
                return
        self._end(made)

    def _end(self, made):
        self.net.loop.remove_reader(made)
        self.accepted.discard(made)
        made.close()

    def close(self):
        self.net.loop.remove_reader(self.listener)
        self.listener.close()
        for made in list(self.accepted):
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._end(made)


class UdpService:
    """Answers each datagram from the address that was asked, where `answers(source)` is true."""

    def __init__(self, net, where, port, address, answers):
        self.net, self.answers = net, answers
        self.socket = net.socket(where, socket.SOCK_DGRAM, address, port)
        self.ipv6 = self.socket.family == socket.AF_INET6
        self.socket.setsockopt(*((socket.IPPROTO_IPV6, IPV6_RECVPKTINFO) if self.ipv6 else (socket.IPPROTO_IP, IP_PKTINFO)), 1)
        net.loop.add_reader(self.socket, self._read)

    def _read(self):
        with contextlib.suppress(OSError):
            for _ in range(64):
                data, control, _flags, peer = self.socket.recvmsg(2048, 64)
                if not self.answers(peer[0]) or not control:
                    continue
                level, kind, told = control[0]
                if self.ipv6:
                    back = (level, IPV6_PKTINFO, told[:16] + struct.pack("@I", 0))
                else:
                    back = (level, kind, struct.pack("@I", 0) + told[8:12] + bytes(4))
                with contextlib.suppress(OSError):
                    self.socket.sendmsg([data[:512]], [back], 0, peer)

    def close(self):
        self.net.loop.remove_reader(self.socket)
        self.socket.close()


class Net:
    """One host's namespaces to a script. All times are seconds since the beginning of traffic."""

    def __init__(self, host, seconds, start, tell):
        self.host, self.seconds, self.start, self._tell = host, seconds, start, tell
        self.entrances = {where: open(f"/run/netns/{namespace.name}", "rb") for where, namespace in host.namespaces.items()}
        self.loop = asyncio.get_running_loop()
        self.tasks, self.failure, self.entered = set(), None, None

    def elapsed(self):
        return time.monotonic() - self.start

    async def until(self, second):
        await asyncio.sleep(max(second - self.elapsed(), 0))

    def mark(self, what):
        """When something began or ended, for whoever judges: in Host.marks."""
        self._tell.put((what, self.elapsed()))

    def socket(self, where, kind, source=None, port=0, protocol=0):
        if where != self.entered and _libc.setns(self.entrances[where].fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"enter {where}")
        self.entered = where
        ipv6 = source is not None and ":" in source
        made = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, kind, protocol)
        made.setblocking(False)
        if source is not None:
            made.setsockopt(*((socket.IPPROTO_IPV6, IPV6_FREEBIND) if ipv6 else (socket.IPPROTO_IP, IP_FREEBIND)), 1)
            if ipv6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if port:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            elif kind == socket.SOCK_STREAM:
                made.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            made.bind((source, port))
        return made

    def raw(self, where="outside"):
        return Raw(self, where)

    def serve_tcp(self, where, port, address="0.0.0.0", answer=b"answer"):
        return TcpService(self, where, port, address, answer)

    def serve_udp(self, where, port, address="0.0.0.0", answers=lambda source: True):
        return UdpService(self, where, port, address, answers)

    async def tcp(self, where, source, destination, port, hold=0.0, patience=3.0, every=None, reset=False):
        """A connection that asks once, or `every` so many seconds, and lives for `hold`: "open", "refused", "silent" or "broken"."""
        made = self.socket(where, socket.SOCK_STREAM, source)
        state = "connecting"
        try:
            async with asyncio.timeout(patience) as patient:
                await self.loop.sock_connect(made, (destination, port))
                state = "open"
                await self._exchange(made)
                patient.reschedule(None)
            ends = time.monotonic() + hold
            while (left := ends - time.monotonic()) > 0:
                await asyncio.sleep(min(left, every or left))
                if every:
                    async with asyncio.timeout(patience):
                        await self._exchange(made)
            if reset:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except TimeoutError:
            return "silent" if state == "connecting" else "broken"
        except OSError as error:
            if state == "open":
                return "broken"
            return "refused" if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET) else "silent"
        finally:
            made.close()
        return state

    async def _exchange(self, made):
        await self.loop.sock_sendall(made, b"question")
        if not await self.loop.sock_recv(made, 4096):
            raise ConnectionResetError

    async def ask(self, where, source, destination, port, patience=2.0):
        """A UDP question from a port of its own; whether it is answered."""
        made = self.socket(where, socket.SOCK_DGRAM, source)
        try:
            with contextlib.suppress(PermissionError):  # an output rule dropped it, and nobody will answer
                made.sendto(b"question", (destination, port))
            async with asyncio.timeout(patience):
                return bool(await self.loop.sock_recv(made, 2048))
        except (TimeoutError, OSError):
            return False
        finally:
            made.close()

    def flow(self, where, source, destination, port):
        """A UDP socket that keeps its port; .send(b"...") whenever it pleases, and nobody reads what comes back."""
        made = self.socket(where, socket.SOCK_DGRAM, source)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
        made.connect((destination, port))
        return made

    @staticmethod
    def send(flow, payload=b"x" * 32):
        with contextlib.suppress(OSError):  # a refusal of the packet before
            flow.send(payload)

    def spawn(self, coroutine):
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task):
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() and not self.failure:
            self.failure = task.exception()

    async def pace(self, rate, act, seconds=None):
        """Calls act() at random moments, `rate` a second (a number, or a function of the seconds since this began); what it
        awaits runs beside. Ends with the traffic, or after `seconds`."""
        began = time.monotonic()
        ends = min(began + (seconds or self.seconds), self.start + self.seconds)
        due = began
        while (now := time.monotonic()) < ends and not self.failure:
            present = rate(now - began) if callable(rate) else rate
            if present <= 0:
                due = now + 0.2
            else:
                due = max(due, now - 1) + random.expovariate(present)  # who was held up catches up with a second at most
            if due >= ends:
                await asyncio.sleep(max(ends - now, 0))
                return
            if due > now:
                await asyncio.sleep(due - now)
            if present > 0 and inspect.iscoroutine(made := act()):
                self.spawn(made)

    async def nft(self, ruleset, where="host"):
        await asyncio.to_thread(self.host.namespaces[where].nft, ruleset)

    async def run(self, *command, where="host", check=True):
        return await asyncio.to_thread(self.host.namespaces[where].run, *command, check=check)


async def _play(host, seconds, start, tell):
    net = Net(host, seconds, start, tell)
    await net.until(0)
    script = net.loop.create_task(host.script(net))
    while net.elapsed() < seconds and not net.failure and not (script.done() and script.exception()):
        await asyncio.sleep(0.2)
    await asyncio.wait([script], timeout=1)
    if script.done() and script.exception():
        raise script.exception()
    if net.failure:
        raise net.failure


def play(host, seconds, start, tell):
    """The main function of a host's process of traffic."""
    die_with_parent()
    for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    random.seed(host.name)
    code = 0
    try:
        asyncio.run(_play(host, seconds, start, tell))
    except BaseException:
        traceback.print_exc()
        code = 1
    os._exit(code)

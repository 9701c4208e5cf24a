"""A program on a terminal of its own: what it shows, keys, another size, and how it leaves."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from namespaces import SLOWNESS, die_with_parent, wait_until


class Screen:
    """What a terminal of this size would show. Knows the few sequences that top needs; any other is a failure."""

    SEQUENCE = re.compile(rb"\x1b\[(?:(\d+);(\d+)H|(\??)([\d;]*)([hlmJK]))")

    def __init__(self, columns, rows):
        self.pending = b""
        self.resize(columns, rows)

    def resize(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.clear()

    def clear(self):
        self.display = [" " * self.columns for _ in range(self.rows)]
        self.row = self.column = 0

    def feed(self, data):
        data = self.pending + data
        self.pending = b""
        while data:
            if data[0] == 0x1B:
                found = self.SEQUENCE.match(data)
                if not found:
                    if len(data) < 12:  # its rest is still to come
                        self.pending = data
                        return
                    raise AssertionError(f"not a sequence that top should send: {data[:20]!r}")
                self._obey(found)
                data = data[found.end():]
                continue
            length = 1 if data[0] < 0x80 else 2 if data[0] < 0xE0 else 3
            if len(data) < length:
                self.pending = data
                return
            self._put(data[:length].decode())
            data = data[length:]

    def _obey(self, found):
        if found[1]:
            self.row, self.column = int(found[1]) - 1, int(found[2]) - 1
        elif found[5] == b"J" or (found[3] and found[4] == b"1049"):
            self.clear()
        elif found[5] == b"K":
            self._set(self.display[self.row][:self.column].ljust(self.columns))

    def _set(self, line):
        if self.row < self.rows:  # the program may not know yet that the terminal has shrunk
            self.display[self.row] = line

    def _put(self, character):
        assert character.isprintable(), f"{character!r} reached the terminal"
        if self.row >= self.rows or self.column >= self.columns:
            return
        line = self.display[self.row]
        self._set(line[:self.column] + character + line[self.column + 1:])
        self.column += 1


class Terminal:
    """`with Terminal(namespace, binary, "top") as terminal:`; ends with the program gone."""

    def __init__(self, namespace, *command, columns=80, rows=24, environment=None):
        self.command = namespace.command(*command)
        self.screen = Screen(columns, rows)
        self.environment = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(environment or {})}
        self.output = b""

    def __enter__(self):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.resize(columns=self.screen.columns, rows=self.screen.rows)
        # A session of its own, whose terminal this is: what a person's ssh gives it.
        self.process = subprocess.Popen(
            self.command, stdin=self.slave, stdout=self.slave, stderr=subprocess.STDOUT, env=self.environment,
            preexec_fn=lambda: (os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0), die_with_parent()),
        )
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.slave)
        if self.master is not None:
            os.close(self.master)

    def resize(self, columns, rows):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(columns, rows)

    def press(self, keys):
        os.write(self.master, keys.encode())

    def read(self, seconds=0.1):
        end = time.monotonic() + seconds
        while select.select([self.master], [], [], max(0.0, end - time.monotonic()))[0]:
            try:
                data = os.read(self.master, 65536)
            except OSError:
                return
            if not data:
                return
            self.output += data
            self.screen.feed(data)

    @property
    def text(self):
        return "\n".join(self.screen.display)

    def wait_for(self, *parts, seconds=10, gone=()):
        self.wait_that(lambda: all(part in self.text for part in parts) and not any(part in self.text for part in gone),
                       lambda: f"not shown: {[part for part in parts if part not in self.text]}, or still {gone}", seconds)
        return self.text

    def wait_that(self, condition, what, seconds=10):
        def holds():
            self.read()
            return condition()

        wait_until(holds, seconds, lambda: f"{what() if callable(what) else what}:\n{self.text}", every=0)

    def wait_end(self, seconds=5):
        end = time.monotonic() + seconds * SLOWNESS
        while self.process.poll() is None:
            assert time.monotonic() < end, "the program did not end"
            self.read(0.05)
        self.read(0.2)
        return self.process.returncode

    def was_given_back(self):
        """The modes as before, the cursor visible, the first screen shown again."""
        left = self.output[self.output.rindex(b"\x1b[?1049l") - 40:]
        return termios.tcgetattr(self.slave) == self.before and b"\x1b[?25h" in left and b"\x1b[?7h" in left

    def hang_up(self):
        os.close(self.master)
        self.master = None

"""A program on a terminal of its own: what it shows, keys, another size, and how it leaves."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

from namespaces import SLOWNESS, die_with_parent, wait_until

try:
    import pyte
except ModuleNotFoundError:
    print("SKIPPED: needs the Debian package python3-pyte, and the system's own python3")
    sys.exit(77)

ALTERNATE_SCREEN = 1049 << 5  # as pyte marks private modes


class Screen(pyte.Screen):
    """What a terminal of this size would show. A sequence that neither pyte nor this class knows is a failure."""

    def __init__(self, columns, rows):
        super().__init__(columns, rows)
        self.stream = Stream(self)

    def draw(self, data):
        assert data.isprintable(), f"{data!r} reached the terminal"
        self.last = data[-1]
        super().draw(data)

    def repeat_last(self, count=1):
        self.draw(self.last * count)

    def scroll_up(self, count=1):
        row, self.cursor.y = self.cursor.y, self.margins.bottom if self.margins else self.lines - 1
        for _ in range(count):
            self.index()
        self.cursor.y = row

    def scroll_down(self, count=1):
        row, self.cursor.y = self.cursor.y, self.margins.top if self.margins else 0
        for _ in range(count):
            self.reverse_index()
        self.cursor.y = row

    def leave_be(self, *_, **__):
        pass

    def debug(self, *parameters, **_):
        raise AssertionError(f"not a sequence that top should send; its parameters: {parameters}")


class Stream(pyte.ByteStream):
    # What pyte does not know: REP, SU, SD; the window's title, pushed and popped; the keypad's two modes.
    csi = {**pyte.ByteStream.csi, "b": "repeat_last", "S": "scroll_up", "T": "scroll_down", "t": "leave_be"}
    escape = {**pyte.ByteStream.escape, "=": "leave_be", ">": "leave_be"}


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
        self.resize(columns=self.screen.columns, rows=self.screen.lines)
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
        self.screen.resize(rows, columns)
        self.screen.erase_in_display(2)  # nothing of what was there before counts

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
            self.screen.stream.feed(data)

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
        modes = self.screen.mode
        return (termios.tcgetattr(self.slave) == self.before and ALTERNATE_SCREEN not in modes
                and {pyte.modes.DECTCEM, pyte.modes.DECAWM} <= modes)

    def style_of(self, text):
        """How the first character of this text is shown, where it stands first."""
        for row, line in enumerate(self.screen.display):
            if text in line:
                return self.screen.buffer[row][line.index(text)]
        raise AssertionError(f"{text!r} is not shown:\n{self.text}")

    def hang_up(self):
        os.close(self.master)
        self.master = None

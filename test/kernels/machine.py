"""An emulated machine that boots one of Debian's kernels, runs what it finds in a share, and is gone afterwards, whatever happens."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from debian import ROOT, root_image
from kernel import kernel_of

sys.path.insert(0, str(ROOT / "test/netns"))
from daemon import BINARY
from harness import CT_LOAD
from namespaces import die_with_parent

BOOTS_MOST = 3
# What a machine has before its first program runs, and how it ends. Where /run is a file system in memory, programs start fast.
START = """
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mkdir -p /dev/pts /run/lock /run/conntally && mount -t devpts pts /dev/pts
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs trace /sys/kernel/tracing
hostname debian
ip link set lo up
cp /host/conntally /host/ct_load /run/conntally
export CONNTALLY_BIN=/run/conntally/conntally CT_LOAD_BIN=/run/conntally/ct_load
"""
END = """
sync
echo o >/proc/sysrq-trigger
sleep 60
"""


class Machine:
    """`with Machine("12") as machine:`. `share` is seen inside as /host; the tree, to read only, as /tree."""

    def __init__(self, release, memory_mebibytes):
        self.kernel = kernel_of(release)
        self._root = root_image(BINARY, CT_LOAD)
        self._memory = memory_mebibytes

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="conntally-test-")
        self.share = pathlib.Path(self._folder.name, "share")
        self._console = pathlib.Path(self._folder.name, "console")
        self.share.mkdir()
        for program in (BINARY, CT_LOAD):
            shutil.copy(program, self.share)
        return self

    def __exit__(self, *_):
        self._folder.cleanup()

    def run(self, script, seconds, told=lambda line: None):
        """Boots, runs the shell script, and powers off. `told` gets each line that the script writes to /host/report, as it comes. Raises
        when the machine does not end by itself within `seconds`."""
        self.boot(START + script + END, seconds, told)

    def boot(self, start, seconds, told=lambda line: None):
        """The same, of a script that is the machine's first process. Boots again where the kernel died before that told anything: emulated
        CPUs may run into the instructions that a kernel patches while it boots."""
        (self.share / "start").write_text(start)
        for boots_left in reversed(range(BOOTS_MOST)):
            try:
                return self._boot(seconds, told)
            except AssertionError:
                if boots_left == 0 or (self.share / "report").read_text() or "Kernel panic" not in self._console.read_text(errors="replace"):
                    raise
                print("the emulated kernel died while it booted, and is booted again", flush=True)

    def _boot(self, seconds, told):
        report = self.share / "report"
        report.write_text("")
        qemu = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
        try:
            end = time.monotonic() + seconds
            with open(report) as lines:
                while qemu.poll() is None:
                    self._tell(lines, told)
                    if time.monotonic() > end:
                        raise AssertionError(f"the machine did not end within {seconds} s\n{self.console}")
                    time.sleep(0.2)
                self._tell(lines, told)
        finally:
            qemu.kill()
            qemu.wait()
        if qemu.returncode != 0 or not report.read_text():
            raise AssertionError(f"the machine did not run: exit {qemu.returncode}\n{self.console}")

    @staticmethod
    def _tell(lines, told):
        while line := lines.readline():
            while not line.endswith("\n"):
                time.sleep(0.05)
                line += lines.readline()
            told(line.rstrip("\n"))

    @property
    def console(self):
        """What the kernel and the first process said last."""
        return "\n".join(self._console.read_text(errors="replace").splitlines()[-40:]) if self._console.exists() else ""

    def _command(self):
        disks = [word for disk in (self._root, self.kernel.modules)
                 for word in ("-drive", f"file={disk},format=raw,if=virtio,snapshot=on")]
        shares = ["-virtfs", f"local,path={self.share},mount_tag=host,security_model=none",
                  "-virtfs", f"local,path={ROOT},mount_tag=tree,security_model=none,readonly=on"]
        # Emulated even where KVM is offered: what is measured and waited for is then the same everywhere.
        return ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(self._memory),
                "-kernel", self.kernel.kernel, "-initrd", self.kernel.initramfs, "-append", "console=ttyS0 quiet mitigations=off panic=-1",
                "-display", "none", "-monitor", "none", "-serial", f"file:{self._console}", "-nic", "none", "-no-reboot", *disks, *shares]

"""Debian's own kernel of a release: the kernel, a disk with its modules, and an initramfs that mounts the root and hands over to what the
host left in the share."""

import pathlib
import shutil
import subprocess

from debian import CACHE, RELEASES, Packages, image, made_once, run

# Of `kernel/` in the module tree: all of netfilter, and what a virtual machine's disks, share and cables are.
MODULES = ["net/802", "net/8021q", "net/9p", "net/bridge", "net/core", "net/ipv4", "net/ipv6", "net/llc", "net/netfilter", "net/netlink", "net/packet",
           "net/sched", "net/sctp", "net/unix", "net/xfrm", "lib", "crypto", "arch/x86/crypto", "fs/9p", "fs/ext4", "fs/jbd2", "fs/mbcache.ko*",
           "fs/netfs", "fs/fscache", "fs/autofs", "drivers/virtio", "drivers/block/virtio_blk.ko*", "drivers/net/*.ko*"]
# For the initramfs. ext4 asks for crc32c by a name that no dependency shows.
NEEDED_FOR_ROOT = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4", "9pnet_virtio", "9p"]

INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in {modules}; do /bin/busybox insmod /modules/$module || echo "conntally: insmod $module failed"; done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mkdir -p /root/host /root/tree /root/usr/lib/modules
/bin/busybox mount -t ext4 -o ro /dev/vdb /root/usr/lib/modules
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 host /root/host
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,ro,cache=loose tree /root/tree
exec /bin/busybox switch_root /root /bin/sh /host/start
"""


class Kernel:
    """`kernel`, `modules` and `initramfs` are files; `version` is as `uname -r` says it."""

    def __init__(self, folder):
        self.kernel, self.modules, self.initramfs = folder / "kernel", folder / "modules", folder / "initramfs"
        self.version = (folder / "version").read_text()


def kernel_of(release):
    """Of Debian "12" or "13"."""
    return Kernel(made_once(CACHE / f"debian-{release}", lambda folder: _make(release, folder)))


def _make(release, folder):
    work = folder / "work"
    work.mkdir()
    packages = Packages(RELEASES[release], work)
    packages.unpack(packages.dependency("linux-image-amd64"), work / "unpacked")
    packages.unpack("busybox-static", work / "busybox")
    (kernel,) = (work / "unpacked/boot").glob("vmlinuz-*")
    version = kernel.name.removeprefix("vmlinuz-")
    (all_modules,) = work.glob(f"unpacked/**/lib/modules/{version}")
    # The layout that depmod asks for.
    modules = work / f"tree/lib/modules/{version}"
    _keep(all_modules, modules)
    run("depmod", "-b", work / "tree", version)
    image(modules.parent, folder / "modules", 256)
    _initramfs(work, version, folder / "initramfs")
    shutil.copy(kernel, folder / "kernel")
    (folder / "version").write_text(version)
    shutil.rmtree(work)


def _keep(all_modules, kept):
    for pattern in MODULES:
        for found in all_modules.glob(f"kernel/{pattern}"):
            target = kept / found.relative_to(all_modules)
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if found.is_dir() else shutil.copy)(found, target)
    for listing in all_modules.glob("modules.*"):
        shutil.copy(listing, kept)
    # Unpacking them in an emulated machine would take longer than reading them.
    if packed := list(kept.rglob("*.ko.xz")):
        run("xz", "--decompress", "--threads=0", *packed)


def _initramfs(work, version, archive):
    folder = work / "initramfs"
    for name in ("bin", "dev", "root", "modules"):
        (folder / name).mkdir(parents=True)
    shutil.copy(next(work.glob("busybox/**/bin/busybox")), folder / "bin/busybox")
    ordered = []
    for name in NEEDED_FOR_ROOT:
        for line in run("modprobe", "--dirname", work / "tree", "--set-version", version, "--show-depends", name).splitlines():
            verb, path = line.split()[:2]
            if verb == "insmod" and path not in ordered:
                ordered.append(path)
    for path in ordered:
        shutil.copy(path, folder / "modules")
    init = folder / "init"
    init.write_text(INIT.format(modules=" ".join(pathlib.Path(path).name for path in ordered)))
    init.chmod(0o755)
    names = "\n".join(str(path.relative_to(folder)) for path in sorted(folder.rglob("*")))
    with open(archive, "wb") as out:
        subprocess.run(["cpio", "--create", "--format=newc", "--quiet"], input=names.encode(), stdout=out, cwd=folder, check=True)

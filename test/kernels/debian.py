"""Packages and user spaces of Debian's releases, from the mirror that this machine uses, signed by Debian's archive keys. apt runs with
settings and lists of its own: this machine's are only read, and nothing is installed."""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = ROOT / "build/kernels"
RELEASES = {"12": "bookworm", "13": "trixie"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# What the tests run beside conntally and the libraries that it is linked with.
TOOLS = ["bpftool", "conntrack", "curl", "iproute2", "ipset", "iptables", "iputils-ping", "kmod", "nftables", "procps", "python3",
         "systemd", "util-linux"]


class Missing(Exception):
    """Something that is needed is missing here."""


def run(*command, **options):
    """Its standard output, without the end of line; what it said is in the error when it fails."""
    command = [str(word) for word in command]
    done = subprocess.run(command, text=True, capture_output=True, stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout.strip()


def fetch(*command, **options):
    """Runs what needs the mirror; without one this cannot be tested here."""
    try:
        return run(*command, **options)
    except RuntimeError as error:
        raise Missing(" ".join(str(error).split())[-500:]) from error


def require():
    """Raises Missing with all that is missing."""
    if os.geteuid() != 0:
        raise Missing("needs root to lay out a root file system")
    if platform.machine() != "x86_64":
        raise Missing(f"needs x86_64, and here is {platform.machine()}")
    programs = {"qemu-system-x86_64": "qemu-system-x86", "debootstrap": "debootstrap", "cpio": "cpio", "depmod": "kmod", "mkfs.ext4": "e2fsprogs",
                "xz": "xz-utils"}
    packages = [package for program, package in programs.items() if not shutil.which(program)]
    if not pathlib.Path(KEYRING).exists():
        packages.append("debian-archive-keyring")
    if packages:
        raise Missing(f"needs the Debian packages {' '.join(packages)}")


def own_release():
    """The codename of the release that this machine runs, for which conntally was built."""
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    if codename not in RELEASES.values():
        raise Missing(f"needs Debian {' or '.join(RELEASES)}, and here is {codename or 'another system'}")
    return codename


def mirrors():
    """[(address, suite)] of this machine's release: the release itself first, then its updates."""
    own = own_release()
    lines = run("apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(REPO_URI)", "Created-By: Packages").splitlines()
    found = {(line.split()[2], line.split()[1]) for line in lines if line.startswith(f"Debian {own}")}
    if not any(suite == own for _, suite in found):
        raise Missing(f"apt knows no mirror of Debian {own}; is apt-get update needed?")
    return sorted(found, key=lambda mirror: mirror[1])


@contextlib.contextmanager
def alone():
    """With what is kept for the other kernels, which may be tested at the same time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def made_once(made, make):
    """The folder `made`, which make(folder) fills where there is none; half of one is never left."""
    with alone():
        if not made.exists():
            start = time.monotonic()
            folder = made.with_name("new")
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            folder.rename(made)
            print(f"made {made.relative_to(ROOT)}, once, in {time.monotonic() - start:.0f} s", flush=True)
    return made


class Packages:
    """A release's packages; the folder is for apt's lists."""

    def __init__(self, codename, folder):
        (folder / "lists/partial").mkdir(parents=True)
        sources = folder / "sources.list"
        suites = [(address, suite.replace(own_release(), codename)) for address, suite in mirrors()]
        sources.write_text("".join(f"deb [signed-by={KEYRING}] {address} {suite} main\n" for address, suite in suites))
        settings = {"Dir::Etc::SourceList": sources, "Dir::Etc::SourceParts": "/dev/null", "Dir::State::Lists": folder / "lists",
                    "Dir::State::status": "/dev/null", "Dir::Cache": folder, "Acquire::Languages": "none", "Acquire::Retries": 3,
                    "APT::Sandbox::User": "root"}
        self._options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        fetch("apt-get", *self._options, "-o", "APT::Update::Error-Mode=any", "update")

    def dependency(self, package):
        """The first package that this one depends on."""
        for line in run("apt-cache", *self._options, "depends", package).splitlines():
            if line.strip().startswith("Depends: "):
                return line.split()[1]
        raise RuntimeError(f"{package} depends on nothing")

    def unpack(self, package, into):
        before = set(into.parent.glob("*.deb"))
        fetch("apt-get", *self._options, "download", package, cwd=into.parent)
        (archive,) = set(into.parent.glob("*.deb")) - before
        run("dpkg-deb", "--extract", archive, into)
        archive.unlink()


def libraries_of(*programs):
    """The packages that hold the libraries which the programs are linked with."""
    names = set()
    for program in programs:
        for line in run("ldd", program).splitlines():
            if "=> /" in line:
                names.add(pathlib.Path(line.split()[2]).name)
    owners = run("dpkg", "-S", *[f"*/{name}" for name in sorted(names)]).splitlines()
    return sorted({line.split(":")[0] for line in owners})


def root_image(*programs):
    """A disk of this machine's own release, in which the programs and TOOLS run."""
    codename = own_release()
    packages = ",".join(sorted({*TOOLS, *libraries_of(*programs)}))
    name = f"root-{codename}-{hashlib.sha256(packages.encode()).hexdigest()[:12]}"
    return made_once(CACHE / name, lambda folder: _make_root(codename, packages, folder)) / "disk"


def _make_root(codename, packages, folder):
    root = folder / "root"
    # What debootstrap mounts is gone with it, also when it is killed.
    fetch("unshare", "--mount", "--pid", "--fork", "--kill-child", "debootstrap", "--variant=minbase", f"--keyring={KEYRING}",
          f"--include={packages}", codename, root, mirrors()[0][0])
    for waste in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"):
        shutil.rmtree(root / waste)
    image(root, folder / "disk", 1024)
    shutil.rmtree(root)


def image(folder, disk, mebibytes):
    """An ext4 file system with what the folder holds; its blanks take no room."""
    run("mkfs.ext4", "-q", "-O", "^has_journal", "-d", folder, disk, f"{mebibytes}M")

"""Bare Debian of either release, as debootstrap makes it, and the package built where nothing but its build dependencies is."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test/kernels"))
import debian

# The folder is at /mnt in there; what is mounted is gone with the command.
INSIDE = """
mount -t proc proc "$0/proc"
mount --rbind /dev "$0/dev"
mount --bind "$1" "$0/mnt"
exec chroot "$0" /bin/sh -ec "$2"
"""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive",
               "TERM": "dumb"}


def inside(root, script, folder, fetches=False, **environment):
    """What this script of the shell prints in that root."""
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", INSIDE, root, folder, script]
    return (debian.fetch if fetches else debian.run)(*command, env=ENVIRONMENT | environment)


def bare(codename):
    """A root with what debootstrap installs, and apt's lists of today."""
    root = debian.made_once(debian.CACHE / f"bare-{codename}", lambda folder: _make_bare(codename, folder))
    with tempfile.TemporaryDirectory() as folder:
        inside(root, "apt-get -o APT::Update::Error-Mode=any update", folder, fetches=True)
    return root


def _make_bare(codename, folder):
    mirrors = [(address, suite.replace(debian.own_release(), codename)) for address, suite in debian.mirrors()]
    debian.fetch("unshare", "--mount", "--pid", "--fork", "--kill-child", "debootstrap", f"--keyring={debian.KEYRING}", codename, folder,
                 mirrors[0][0])
    (folder / "etc/apt/sources.list").write_text("".join(f"deb {address} {suite} main\n" for address, suite in mirrors))


def package_of(codename, made):
    """The package of the tree under test, by dpkg-buildpackage, in the folder `made`. A compiler's cache in that root has what was built
    before."""
    like = bare(codename)
    root = debian.made_once(debian.CACHE / f"builder-{codename}", lambda folder: _make_builder(like, folder))
    with tempfile.TemporaryDirectory(prefix="conntally-test-") as folder:
        tree = pathlib.Path(folder, "conntally")
        tree.mkdir()
        files = debian.run("git", "ls-files", cwd=ROOT)
        subprocess.run(["cpio", "--pass-through", "--quiet", "--make-directories", tree], cwd=ROOT, input=files.encode(), check=True)
        inside(root, "apt-get update; cd /mnt/conntally; apt-get -y --no-install-recommends build-dep .", folder, fetches=True)
        inside(root, "cd /mnt/conntally; dpkg-buildpackage -b -us -uc", folder, CMAKE_CXX_COMPILER_LAUNCHER="ccache",
               CMAKE_BUILD_PARALLEL_LEVEL=str(os.cpu_count()))
        package, = pathlib.Path(folder).glob("conntally_*.deb")
        return pathlib.Path(shutil.copy(package, made))


def _make_builder(like, folder):
    debian.run("cp", "-a", f"{like}/.", folder)
    with tempfile.TemporaryDirectory() as nothing:
        inside(folder, "apt-get -y --no-install-recommends install build-essential ccache", nothing, fetches=True)


def download(root, package):
    """Fetches what the package depends on and the root lacks, into a folder beside the package; returns the files."""
    inside(root, f"mkdir -p /mnt/archives/partial; apt-get -y -o Dir::Cache::archives=/mnt/archives --download-only install /mnt/{package.name}",
           package.parent, fetches=True)
    return sorted((package.parent / "archives").glob("*.deb"))

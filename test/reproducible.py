#!/usr/bin/env python3
"""Builds the package of HEAD twice, by the clock, language, mask and home of two different users, and compares the bytes: a quarter of an
hour on two cores, so it is run by hand.

    test/reproducible.py

Both builds are in the same folder, one after the other: debug information names it, and so does the program's build ID. Who wants the same
bytes elsewhere builds in a folder of the same name, with the versions that the package's SPDX document lists.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
USERS = {"first": ({"TZ": "UTC", "LC_ALL": "C.UTF-8"}, 0o022), "second": ({"TZ": "Pacific/Kiritimati", "LC_ALL": "C"}, 0o027)}


def build(scratch, name):
    environment, mask = USERS[name]
    tree, made, home = scratch / "conntally", scratch / name, scratch / f"home of the {name}"
    made.mkdir()
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", ROOT, tree], check=True, umask=mask)
    # A compiler's cache would hand the first build's results to the second one.
    environment = {**os.environ, **environment, "HOME": str(home), "PACKAGE_DIR": str(made), "CCACHE_DISABLE": "1"}
    with open(scratch / f"{name}.log", "w") as log:
        done = subprocess.run(["debian/rules", "binary"], cwd=tree, env=environment, umask=mask, stdout=log, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        sys.exit("the package could not be built:\n" + (scratch / f"{name}.log").read_text()[-3000:])
    shutil.rmtree(tree)
    package, = made.glob("conntally_*.deb")
    return package


def parts(package):
    """{name of each file of the package, those of its control among them: sum of what is in it, and its mode}"""
    folder = package.parent / "parts"
    subprocess.run(["dpkg-deb", "-R", package, folder], check=True)
    return {str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), oct(path.stat().st_mode))
            for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()}


def main():
    with tempfile.TemporaryDirectory(prefix="conntally-reproducible-") as folder:
        packages = [build(pathlib.Path(folder), name) for name in USERS]
        sums = [hashlib.sha256(package.read_bytes()).hexdigest() for package in packages]
        print("\n".join(f"{sum}  {package.parent.name}/{package.name}" for sum, package in zip(sums, packages)))
        if sums[0] == sums[1]:
            print("the same bytes")
            return
        one, other = map(parts, packages)
        differing = [name for name in sorted({*one, *other}) if one.get(name) != other.get(name)]
        sys.exit("not the same bytes, in: " + (", ".join(differing) or "times, owners or the order of files"))


main()

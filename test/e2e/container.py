"""A real systemd in a container over a throw-away copy of a root, in which real packages are installed and removed.

The root is this machine's own or another one, with a file system in memory laid over it: what is installed there goes with the container.
"""

import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../netns"))
from harness import *

TARGET = """
[Unit]
Requires=basic.target inside.service
AllowIsolate=yes
"""

SERVICE = """
[Service]
Type=oneshot
ExecStart=/bin/bash /report/inside
ExecStopPost=/bin/systemctl --no-block exit 0
"""

# Containers forbid packages to start services by this file; here they shall.
PREPARE = "exec >/report/report 2>/report/errors\nrm -f /usr/sbin/policy-rc.d\nexport DEBIAN_FRONTEND=noninteractive\n"


def build_package(folder):
    """The package of the tree under test, made as `quickstart package` makes it; what is built already is not built again."""
    environment = dict(os.environ, PACKAGE_DIR=str(folder))
    for target in ("clean", "binary", "clean"):
        done = subprocess.run(["debian/rules", target], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        if target == "binary":
            package, = [file for file in pathlib.Path(folder).glob("conntally_*.deb")]
    return package


def repack(package, version, changed=None):
    """The same package as another version; `changed(tree)` may change what is in it."""
    tree = package.parent / version
    run("dpkg-deb", "-R", package, tree)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub("^Version: .*", f"Version: {version}", control.read_text(), flags=re.M))
    if changed:
        changed(tree)
    made = package.parent / f"conntally_{version}.deb"
    run("dpkg-deb", "--root-owner-group", "-b", tree, made)
    shutil.rmtree(tree)
    return made


def boot(script, files, timeout=300, system="/"):
    """Boots that system, runs `script` with `files` beside it in /report, and returns what it printed as KEY=VALUE, and all files that it
    left."""
    if not shutil.which("systemd-nspawn"):
        raise Skip("needs systemd-nspawn, of the Debian package systemd-container")
    with tempfile.TemporaryDirectory(prefix="conntally-test-") as folder:
        os.chmod(folder, 0o755)
        report, root = pathlib.Path(folder, "report"), pathlib.Path(folder, "root")
        report.mkdir()
        root.mkdir()
        for file in files:
            shutil.copy(file, report)
        (report / "inside").write_text(PREPARE + script)
        (report / "inside.target").write_text(TARGET)
        (report / "inside.service").write_text(SERVICE)
        container = ["systemd-nspawn", "--quiet", f"--directory={root}", "--volatile=overlay", "--private-network", "--register=no",
                     "--keep-unit", "--console=pipe", f"--machine=conntally-test-{os.getpid()}", f"--bind={report}:/report"]
        container += [f"--bind-ro={report / unit}:/etc/systemd/system/{unit}" for unit in ("inside.target", "inside.service")]
        # nspawn takes no root folder itself: a mount of it, in a namespace that ends with the command.
        done = run("unshare", "--mount", "sh", "-ec", 'mount --bind "$1" "$0"; shift; exec "$@"', root, system, *container, "--boot", "--",
                   "--unit=inside.target", timeout=timeout, check=False)
        if not (report / "report").exists():
            raise AssertionError(f"the container did not boot: exit {done.returncode}\n{done.stdout}{done.stderr}")
        left = {file.name: file.read_text(errors="replace") for file in report.iterdir() if file.suffix != ".deb" and file.name != "ct_load"}
    return dict(line.split("=", 1) for line in left["report"].splitlines() if "=" in line), left

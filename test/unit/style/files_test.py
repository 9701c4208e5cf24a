"""How each file is to look: formatted, opened by a comment, short; scripts that their linters find no fault with."""

import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
LINES_MAX = 300
# Longer ones, and how long they may be at most. The list only shrinks.
LONGER = {
    "collectors/rules/iptables/legacy_blob.cpp": 304,
    "daemon/limits/limits_in_rules.cpp": 305,
    "test/unit/collectors/drops/drop_tally_test.cpp": 320,
    "test/unit/daemon/alerts/alert_reader_test.cpp": 312,
    "test/unit/daemon/http/server/hostile_test.cpp": 306,
    "test/unit/daemon/http/server/server_test.cpp": 320,
}


def tracked(*endings):
    """In a tarball, which has no git, whatever stands there outside build/."""
    done = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True, check=False)
    names = done.stdout.split("\n") if done.returncode == 0 else [
        str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file() and path.relative_to(ROOT).parts[0] != "build"]
    return [name for name in names if name.endswith(endings) and (ROOT / name).exists()]


def run(*command):
    done = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def faults_of_format():
    # Each release of clang-format formats a little otherwise: that of Debian 12 decides.
    version = re.search(r"version (\d+)", run("clang-format", "--version")[1])
    if version and version[1] != "14":
        print(f"not checked: clang-format {version[1]} is here, and 14 decides")
        return []
    code, told = run("clang-format", "--dry-run", "-Werror", *tracked(".cpp", ".h", ".c"))
    return sorted({line.split(":")[0] + ": run clang-format -i on it" for line in told.splitlines() if ": error:" in line}) or [told] * code


def faults_of_scripts():
    shell = [name for name in (".ci/run", "quickstart") if (ROOT / name).exists()]
    code, told = run("shellcheck", *shell)
    faults = [told] * bool(code)
    # The harness passes on what it imports, and is imported whole: of names that it brings pyflakes cannot tell.
    passed_on = re.compile(r"import \*|star imports|netns/harness\.py.*imported but unused")
    return faults + [line for line in run("pyflakes3", *tracked(".py"))[1].splitlines() if not passed_on.search(line)]


def faults_of_files():
    for name in tracked(".cpp", ".h"):
        lines = (ROOT / name).read_text().splitlines()
        if name.endswith(".h") and not lines[0].startswith(("//", "/*")):
            yield f"{name}: a header opens with what it holds, and who may call it from which thread"
        most = LONGER.get(name, LINES_MAX)
        if len(lines) > most:
            yield f"{name}: {len(lines)} lines, and {most} are allowed: part it by concept"
        if name in LONGER and len(lines) <= LINES_MAX:
            yield f"{name}: short enough now: take it off the list"


def faults_of_tests():
    """Of those that no CMakeLists.txt names, none of their folder's being globbed: they would never run."""
    for name in tracked("_test.cpp", "_test.py"):
        path = ROOT / name
        listing = path.with_name("CMakeLists.txt").read_text() if path.with_name("CMakeLists.txt").exists() else ""
        globbed = path.suffix == ".cpp" and "SOURCES" not in listing
        if listing and not globbed and not re.search(rf"\b{path.stem.removesuffix('_test')}\b|\b{path.name}\b", listing):
            yield f"{name}: it is not run: name it in its folder's CMakeLists.txt"


def main():
    for tool in ("clang-format", "shellcheck", "pyflakes3"):
        if not shutil.which(tool):
            print(f"SKIPPED: needs the command {tool}")
            sys.exit(77)
    faults = [*faults_of_format(), *faults_of_scripts(), *faults_of_files(), *faults_of_tests()]
    print("\n".join(faults) or "no fault")
    sys.exit(bool(faults))


main()

"""clang-tidy with the checks of .clang-tidy. Not a test of ctest: .ci/run calls it, and so may you, after cmake --preset release.

    tidy.py         over the sources that differ from where the branch left main, CHANGED_MAX at most; over nothing when there is no main
    tidy.py --all   over every source: some eight minutes on two cores
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
CHANGED_MAX = 20  # so that it takes about a minute
BUILD = ROOT / "build/release"


def git(*arguments):
    done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.split() if done.returncode == 0 else []


def compiled():
    """Every source that the build compiles, ours only, as paths below ROOT."""
    files = {pathlib.Path(each["file"]) for each in json.loads((BUILD / "compile_commands.json").read_text())}
    return sorted(str(file.relative_to(ROOT)) for file in files if file.is_relative_to(ROOT) and not file.is_relative_to(ROOT / "build"))


def changed(sources):
    """The sources that differ, and for a header that differs one source that includes it: its own, if it has one."""
    base = git("merge-base", "HEAD", "origin/main") or git("merge-base", "HEAD", "main")
    if not base:
        return []
    names = set(git("diff", "--name-only", *base)) | set(git("ls-files", "--others", "--exclude-standard"))
    wanted = names & set(sources)
    for header in (name for name in names if name.endswith(".h")):
        own = re.sub(r"h$", "cpp", header)
        includers = [own] if own in sources else [name for name in sources if f'#include "{header}"' in (ROOT / name).read_text()]
        wanted |= set(includers[:1])
    if len(wanted) > CHANGED_MAX:
        print(f"clang-tidy: {len(wanted)} sources differ, and only {CHANGED_MAX} are looked at; CI_TIDY=all looks at every one")
    return sorted(wanted)[:CHANGED_MAX]


def faults_of(source):
    # Warnings of clang itself are no findings: gcc's are errors, and the fuzzers build by clang.
    done = subprocess.run(["clang-tidy", "-p", BUILD, "--quiet", "--extra-arg=-Wno-error", "--extra-arg=-Wno-unknown-warning-option", source],
                          cwd=ROOT, capture_output=True, text=True, check=False)
    # clang 14 does not know all of C++20: what it cannot compile it cannot judge.
    if "[clang-diagnostic-error]" in done.stdout:
        print(f"clang-tidy: {source} is not judged: this clang cannot compile it")
        return ""
    return done.stdout + (done.stderr if done.returncode and not done.stdout else "")


def main():
    if not shutil.which("clang-tidy"):
        sys.exit("needs the command clang-tidy")
    sources = compiled()
    wanted = sources if sys.argv[1:] == ["--all"] else changed(sources)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        faults = [fault for fault in pool.map(faults_of, wanted) if fault.strip()]
    print("".join(faults) + f"clang-tidy: {len(faults)} of {len(wanted)} sources with faults")
    sys.exit(bool(faults))


main()

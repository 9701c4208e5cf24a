#!/usr/bin/env python3
"""How much of the code the tests run: lines and branches, by room and in all, and the lines that no test runs.

    cmake --preset coverage && cmake --build --preset coverage
    test/coverage.py                 # runs the unit tests, then tells
    test/coverage.py --netns 'tally_matches|http_answers'     # and, as root, these tests in namespaces
    test/coverage.py --only-tell     # of what has been run before
    test/coverage.py --uncovered     # each line that no test runs, too

Branches that only an exception takes are left out: nearly every call has one.
"""

import argparse
import collections
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/coverage"
CODE = ("collectors", "config", "daemon")
LINES_LEAST, BRANCHES_LEAST = 0.92, 0.80


class File:
    """What was run of one source file: of a header, by whoever includes it."""

    def __init__(self):
        self.lines, self.branches = {}, {}

    def add(self, told):
        for line in told["lines"]:
            number = line["line_number"]
            self.lines[number] = self.lines.get(number, 0) + line["count"]
            for place, branch in enumerate(line["branches"]):
                if not branch["throw"]:
                    key = (number, place)
                    self.branches[key] = self.branches.get(key, 0) + branch["count"]


def run_tests(netns):
    for counts in BUILD.rglob("*.gcda"):
        counts.unlink()
    labels = ["--label-regex", "^unit$"]
    subprocess.run(["ctest", "--test-dir", BUILD, "--output-on-failure", *labels], check=False)
    if netns:
        subprocess.run(["ctest", "--test-dir", BUILD, "--output-on-failure", "--tests-regex", f"^netns_({netns})"], check=False)


def gather():
    files = collections.defaultdict(File)
    counts = sorted(BUILD.rglob("*.gcda"))
    if not counts:
        sys.exit(f"nothing has been run in {BUILD}: cmake --preset coverage && cmake --build --preset coverage")
    # gcov writes where it is.
    with tempfile.TemporaryDirectory() as folder:
        for at in range(0, len(counts), 50):
            subprocess.run(["gcov", "--json-format", "--branch-probabilities", *counts[at:at + 50]], cwd=folder, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for written in pathlib.Path(folder).glob("*.gcov.json.gz"):
                told = json.loads(gzip.decompress(written.read_bytes()))
                for each in told["files"]:
                    path = (pathlib.Path(told["current_working_directory"]) / each["file"]).resolve()
                    if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in CODE:
                        files[path.relative_to(ROOT)].add(each)
                written.unlink()
    return files


def share(counts):
    return sum(count > 0 for count in counts) / len(counts) if counts else 1.0


def ranges(numbers):
    """[1, 2, 3, 7] as "1-3, 7"."""
    told = []
    for number in numbers:
        if told and number == told[-1][1] + 1:
            told[-1][1] = number
        else:
            told.append([number, number])
    return ", ".join(f"{first}-{last}" if first != last else str(first) for first, last in told)


def tell(files, uncovered):
    rooms = collections.defaultdict(lambda: ([], []))
    for path, file in files.items():
        for name in str(path.parent), "in all":
            rooms[name][0].extend(file.lines.values())
            rooms[name][1].extend(file.branches.values())
    print(f"{'':30} {'lines':>7} {'run':>6} {'branches':>9} {'run':>6}")
    for name in sorted(rooms, key=lambda name: (name == "in all", name)):
        lines, branches = rooms[name]
        print(f"{name:30} {len(lines):7} {share(lines):6.1%} {len(branches):9} {share(branches):6.1%}")
    # Code that no test program even contains was never counted.
    unseen = sorted(str(path.relative_to(ROOT)) for folder in CODE for path in (ROOT / folder).rglob("*.cpp") if path.relative_to(ROOT) not in files)
    if unseen:
        print("in no program that was run: " + ", ".join(unseen))
    if uncovered:
        for path, file in sorted(files.items()):
            if missed := sorted(number for number, count in file.lines.items() if count == 0):
                print(f"{path}: {ranges(missed)}")
    lines, branches = rooms["in all"]
    return not unseen and share(lines) >= LINES_LEAST and share(branches) >= BRANCHES_LEAST


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--netns", metavar="REGEX", help="run these of the tests in namespaces, too")
    parser.add_argument("--only-tell", action="store_true", help="run no test")
    parser.add_argument("--uncovered", action="store_true", help="name each line that no test runs")
    options = parser.parse_args()
    if not options.only_tell:
        run_tests(options.netns)
    enough = tell(gather(), options.uncovered)
    print(f"{'enough' if enough else 'not enough'}: wanted are {LINES_LEAST:.0%} of the lines and {BRANCHES_LEAST:.0%} of the branches")
    sys.exit(0 if enough else 1)


main()

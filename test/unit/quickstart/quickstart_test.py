#!/usr/bin/env python3
"""quickstart: its functions with the real ctest and the real apt-get, each in a folder of its own."""

import fcntl
import http.server
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest

QUICKSTART = pathlib.Path(__file__).resolve().parents[3] / "quickstart"

PRESETS = """{"version": 6, "configurePresets": [{"name": "release", "generator": "Ninja", "binaryDir": "${sourceDir}/build/release"}],
"testPresets": [{"name": "release", "configurePreset": "release", "output": {"outputOnFailure": true}}]}"""
PASSES = "add_test(NAME passes COMMAND true)\n"
SKIPPED = """
add_test(NAME %s COMMAND sh -c "echo before; echo 'SKIPPED: %s'; exit 77")
set_tests_properties(%s PROPERTIES SKIP_RETURN_CODE 77)
"""


class InAFolder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="conntally-test quickstart-")  # with a space
        self.addCleanup(self.folder.cleanup)
        self.home = pathlib.Path(self.folder.name)
        (self.home / "build").mkdir()

    def call(self, script, environment=None):
        """What a bash that has sourced quickstart makes of it."""
        command = f'source "{QUICKSTART}"; cd "{self.home}"; {script}'
        return subprocess.run(["bash", "-c", command], text=True, capture_output=True, env={**os.environ, **(environment or {})}, timeout=100)


class Package(InAFolder):
    def test_the_package_builds_with_what_is_installed_to_build(self):
        installed = set(self.call('printf "%s\\n" "${build_packages[@]}"').stdout.split()) - {"g++", "ca-certificates", "git", "pkg-config"}
        control = (QUICKSTART.parent / "debian/control").read_text()
        wanted = control.split("Build-Depends:")[1].split("\nStandards")[0]
        named = {line.split()[0].rstrip(",") for line in wanted.splitlines() if line.strip()} - {"debhelper-compat", "pkgconf"}
        self.assertEqual(named, installed)


class Tests(InAFolder):
    def run_tests(self, tests, *flags):
        (self.home / "CMakeLists.txt").write_text(f"cmake_minimum_required(VERSION 3.25)\nproject(x NONE)\nenable_testing()\n{tests}")
        (self.home / "CMakePresets.json").write_text(PRESETS)
        shutil.rmtree(self.home / "build/release", ignore_errors=True)
        return self.call(f"build() {{ cmake --preset release >/dev/null; }}; run_tests {' '.join(flags)}")

    def test_that_were_skipped_are_told_with_the_reason_and_fail(self):
        tests = PASSES + SKIPPED % ("b", "needs root", "b") + SKIPPED % ("c", "needs the command nft", "c") + SKIPPED % ("d", "needs root", "d")
        done = self.run_tests(tests)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("3 of 4 tests did not run:\n  needs root:\n    b  d\n  needs the command nft:\n    c\n", done.stderr)
        self.assertIn("--accept-skipped", done.stderr)
        self.assertIn("100% tests passed", done.stdout)

    def test_that_were_skipped_may_be_accepted_and_are_told_all_the_same(self):
        done = self.run_tests(PASSES + SKIPPED % ("b", "needs root", "b"), "--accept-skipped", "--timeout 9")
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("1 of 2 tests did not run:\n  needs root:\n    b\n", done.stderr)
        self.assertIn("accepted", done.stderr)

    def test_that_failed_are_never_accepted(self):
        done = self.run_tests(SKIPPED % ("b", "needs root", "b") + "add_test(NAME fails COMMAND false)\n", "--accept-skipped")
        self.assertNotIn(done.returncode, (0, 1), done)  # ctest's own

    def test_that_all_ran_are_not_spoken_of(self):
        done = self.run_tests(PASSES)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)

    def test_that_are_no_programs_or_disabled_did_not_run(self):
        done = self.run_tests(PASSES + "add_test(NAME off COMMAND true)\nset_tests_properties(off PROPERTIES DISABLED ON)\n")
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("1 of 2 tests did not run:\n  it gave no reason:\n    off\n", done.stderr)


class Mirror:
    """Serves one package's name; `failures` requests are refused first."""

    def __init__(self, failures=0):
        mirror = self
        self.failures = failures

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                mirror.failures -= 1
                body = b"Package: conntally-example\nVersion: 1\nArchitecture: all\nFilename: ./x.deb\nSize: 1\nSHA256: 00\n\n"
                code = 503 if mirror.failures >= 0 else 200 if self.path.endswith("/Packages") else 404
                self.send_response(code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Apt(InAFolder):
    def call_apt(self, script, port):
        for name in ("state/lists/partial", "cache/archives/partial", "etc"):
            (self.home / name).mkdir(parents=True, exist_ok=True)
        (self.home / "state/status").touch()
        (self.home / "sources.list").write_text(f"deb [trusted=yes] http://127.0.0.1:{port}/ ./\n")
        configuration = self.home / "apt.conf"
        configuration.write_text(f"""
            Dir::Etc "{self.home}/etc"; Dir::Etc::sourcelist "{self.home}/sources.list"; Dir::Etc::sourceparts "/dev/null";
            Dir::State "{self.home}/state"; Dir::State::status "{self.home}/state/status"; Dir::Cache "{self.home}/cache";
            APT::Sandbox::User "root"; Acquire::Retries "0"; Acquire::Languages "none"; Acquire::http::Proxy "DIRECT";
        """)
        return self.call(f"mirror_patience_seconds=5; {script}", {"APT_CONFIG": str(configuration)})

    def test_lists_that_are_missing_are_fetched_though_the_mirror_fails_once(self):
        with Mirror(failures=1) as mirror:
            done = self.call_apt("require_known conntally-example", mirror.port)
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("apt-get update: the mirror fails; trying again in 2 s", done.stderr)

    def test_a_mirror_that_is_away_is_said_to_be(self):
        with Mirror() as mirror:
            pass
        done = self.call_apt("require_known conntally-example", mirror.port)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("Connection refused", done.stderr)  # apt's own word
        self.assertIn("quickstart: apt-get update failed: the mirror fails\n", done.stderr)

    def test_a_package_that_this_debian_does_not_have_is_named(self):
        with Mirror() as mirror:
            done = self.call_apt("install_missing conntally-example conntally-absent", mirror.port)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("apt's sources have no package conntally-absent;", done.stderr)

    def test_a_lock_that_another_holds_is_waited_for(self):
        with Mirror() as mirror:
            self.call_apt("require_known conntally-example", mirror.port)
            shutil.rmtree(self.home / "state/lists")
            (self.home / "state/lists/partial").mkdir(parents=True)
            lock = open(self.home / "state/lists/lock", "w")
            fcntl.lockf(lock, fcntl.LOCK_EX)
            threading.Timer(1, lock.close).start()
            done = self.call_apt("require_known conntally-example", mirror.port)
        self.assertEqual(done.returncode, 0, done)
        self.assertIn("apt-get update: another program is installing packages; trying again", done.stderr)

    def test_each_trouble_has_a_word_and_only_what_may_pass_is_waited_for(self):
        # Of apt 2.6 and 3.0.
        said = {
            "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.": ("dpkg --configure -a", 0),
            "E: You don't have enough free space in /var/cache/apt/archives/.": ("the disk is full", 0),
            "E: Unable to locate package nonesuch": ("no such package", 0),
            "E: Release file for http://x/ is not valid yet (invalid for another 3h).": ("clock", 0),
            "E: The repository 'http://x nonesuch Release' does not have a Release file.": ("sources.list", 0),
            "E: Failed to fetch http://x/y.deb  404  Not Found": ("do not match the files of the mirror", 0),
            "W: Failed to fetch http://x/InRelease  Temporary failure resolving 'x'": ("no network, or no name server", 60),
            "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt)": ("another program", 300),
        }
        for line, (word, patience) in said.items():
            (self.home / "build/apt.log").write_text(line + "\n")
            done = self.call('diagnose_apt; echo "$patience $trouble"')
            told, trouble = done.stdout.split(" ", 1)
            self.assertEqual(int(told), patience, line)
            self.assertIn(word, trouble)


class Usage(unittest.TestCase):
    def test_is_told_from_any_folder(self):
        done = subprocess.run([os.path.relpath(QUICKSTART, "/")], cwd="/", text=True, capture_output=True)
        self.assertEqual(done.returncode, 2, done)
        for part in ("sudo ./quickstart run", "sudo ./quickstart test [--accept-skipped]", "sudo ./quickstart setup"):
            self.assertIn(part, done.stderr)


unittest.main()

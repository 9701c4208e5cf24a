#!/usr/bin/env python3
"""The bill of materials of a package is SPDX 2.3, whole, and what dpkg says."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

SBOM = pathlib.Path(__file__).resolve().parents[3] / "debian/sbom.py"
CONTROL = """Package: conntally
Version: 1.2+3
Architecture: amd64
Maintainer: conntally developers <conntally@example.org>
Depends: %s
Homepage: https://example.org/conntally
Description: for a test
 Depends: nothing
"""
FILES = {"usr/bin/conntally": b"program", "usr/share/a_b": b"one", "usr/share/a-b": b"other"}


def dpkg(name, what):
    return subprocess.run(["dpkg-query", "-W", "-f", f"${{{what}}}", name], check=True, capture_output=True, text=True).stdout


class Sbom(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="conntally-test-sbom-")
        self.addCleanup(self.folder.cleanup)

    def package(self, depends="libc6 (>= 2.34), conntally-absent | libstdc++6 (>= 12)"):
        tree = pathlib.Path(self.folder.name, "tree")
        for name, content in {"DEBIAN/control": (CONTROL % depends).encode(), **FILES}.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes(content)
        (tree / "usr/bin/link").symlink_to("conntally")
        made = pathlib.Path(self.folder.name, "conntally_1.2+3_amd64.deb")
        environment = {**os.environ, "SOURCE_DATE_EPOCH": "0"}
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, made], check=True, capture_output=True, env=environment)
        return made

    def told(self, package):
        return subprocess.run([SBOM, package], capture_output=True, text=True)

    def test_has_what_spdx_asks_of_a_document_and_nothing_that_is_named_is_missing(self):
        package = self.package()
        told = json.loads(self.told(package).stdout)
        self.assertEqual((told["spdxVersion"], told["dataLicense"], told["SPDXID"]), ("SPDX-2.3", "CC0-1.0", "SPDXRef-DOCUMENT"))
        self.assertRegex(told["documentNamespace"], r"^https://\S+" + hashlib.sha256(package.read_bytes()).hexdigest() + "$")
        self.assertRegex(told["creationInfo"]["created"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        elements = [*told["packages"], *told["files"]]
        names = [element["SPDXID"] for element in elements]
        self.assertEqual(len(names), len(set(names)))
        for element in elements:
            self.assertRegex(element["SPDXID"], r"^SPDXRef-[A-Za-z0-9.-]+$")
            self.assertLessEqual({"licenseConcluded", "copyrightText"}, set(element))
        for each in told["packages"]:
            self.assertLessEqual({"name", "versionInfo", "downloadLocation", "licenseDeclared"}, set(each))
            self.assertRegex(each["externalRefs"][0]["referenceLocator"], r"^pkg:deb/debian/[a-z0-9.%B-]+@[^@+:?]+\?arch=\w+&distro=debian-\d+$")
        related = {relation[end] for relation in told["relationships"] for end in ("spdxElementId", "relatedSpdxElement")}
        self.assertEqual(related, {"SPDXRef-DOCUMENT", *names})

    def test_tells_of_a_name_that_is_provided_who_provides_it(self):
        lines = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Provides}\n"], check=True, capture_output=True, text=True).stdout
        # There is no package awk, and one that provides it on every Debian.
        provider, name = next((line.split()[0], "awk") for line in lines.splitlines() if re.search(r" .*\bawk\b", line))
        told = json.loads(self.told(self.package(depends=f"conntally-absent | {name} (>= 1)")).stdout)
        self.assertIn(provider, {each["name"] for each in told["packages"]})

    def test_has_each_file_with_its_sums(self):
        told = json.loads(self.told(self.package()).stdout)
        expected = {f"./{name}": [hashlib.sha1(content).hexdigest(), hashlib.sha256(content).hexdigest()] for name, content in FILES.items()}
        self.assertEqual({file["fileName"]: [each["checksumValue"] for each in file["checksums"]] for file in told["files"]}, expected)
        code = hashlib.sha1("".join(sorted(sums[0] for sums in expected.values())).encode()).hexdigest()
        self.assertEqual(told["packages"][0]["packageVerificationCode"], {"packageVerificationCodeValue": code})

    def test_has_the_versions_that_are_installed_of_what_it_needs_and_was_built_with(self):
        told = json.loads(self.told(self.package()).stdout)
        packages = {each["SPDXID"]: each for each in told["packages"]}
        related = lambda kind, end: {packages[r[end]]["name"] for r in told["relationships"] if r["relationshipType"] == kind}
        self.assertEqual(related("DEPENDS_ON", "relatedSpdxElement"), {"libc6", "libstdc++6"})
        built_with = related("BUILD_DEPENDENCY_OF", "spdxElementId")
        named = re.findall(r"^ ([a-z0-9.+-]+)", (SBOM.parent / "control").read_text().split("Build-Depends:")[1].split("\nStandards")[0], re.M)
        self.assertEqual(built_with, set(named) - {"debhelper-compat"})
        for name in ("libc6", "libstdc++6", *built_with):
            each, = [each for each in told["packages"] if each["name"] == name]
            self.assertEqual(each["versionInfo"], dpkg(name, "Version"))
            self.assertIn(f"{dpkg(name, 'source:Package')} {dpkg(name, 'source:Version')}", each["sourceInfo"])

    def test_says_the_same_of_the_same_package(self):
        package = self.package()
        self.assertEqual(self.told(package).stdout, self.told(package).stdout)

    def test_leaves_out_nothing_that_it_does_not_know(self):
        done = self.told(self.package("libc6, conntally-absent (>= 3)"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("conntally-absent (>= 3) is not installed", done.stderr)


unittest.main()

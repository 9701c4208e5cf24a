#!/usr/bin/env python3
"""Prints what a package is made of, as SPDX 2.3 in JSON: its files, what it needs to run, and what it was built with, as dpkg knows them on
the machine that built it. Libraries that are headers only, or linked statically, are among the latter.

    debian/sbom.py build/conntally_*.deb
"""

import datetime
import functools
import hashlib
import json
import pathlib
import platform
import re
import subprocess
import sys
import tarfile

HERE = pathlib.Path(__file__).resolve().parent


def run(*command):
    return subprocess.run([str(word) for word in command], cwd=HERE.parent, check=True, capture_output=True, text=True).stdout


def licensed(known="NOASSERTION"):
    return {"licenseConcluded": known, "copyrightText": "NOASSERTION"}


def described(name, version, architecture, **more):
    """A package of SPDX's."""
    release = platform.freedesktop_os_release()
    locator = f"pkg:deb/{release['ID']}/{name.replace('+', '%2B')}@{version.replace('+', '%2B').replace(':', '%3A')}"
    locator += f"?arch={architecture}&distro={release['ID']}-{release['VERSION_ID']}"
    return {"SPDXID": "SPDXRef-Package-" + re.sub(r"[^a-z0-9.-]", "-", name), "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
            **licensed(), "licenseDeclared": "NOASSERTION",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": locator}], **more}


@functools.cache
def all_installed():
    """{name, also one that is only provided: its package}"""
    form = "\t".join(f"${{{field}}}" for field in ("db:Status-Status", "Package", "Version", "Architecture", "source:Package", "source:Version", "Provides")) + "\n"
    found, provided = {}, {}
    for line in run("dpkg-query", "-W", "-f", form).splitlines():
        status, name, version, architecture, source, source_version, provides = line.split("\t")
        if status == "installed":
            found[name] = described(name, version, architecture, sourceInfo=f"built from the source package {source} {source_version}")
            provided |= {other: found[name] for other in re.findall(r"[a-z0-9][a-z0-9.+-]+(?=[ ,(]|$)", re.sub(r"\([^)]*\)", "", provides))}
    return provided | found


def installed(clause):
    """Of `a (>= 1) | b`, the one that is here."""
    for each in clause.split("|"):
        if package := all_installed().get(re.match(r"[a-z0-9.+-]+", each.strip())[0]):
            return package
    sys.exit(f"sbom.py: {clause.strip()} is not installed, so this is not where the package was built")


def clauses(text):
    return [clause for clause in text.split(",") if clause.strip()]


def files_of(package):
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as unpacked:
        with tarfile.open(fileobj=unpacked.stdout, mode="r|") as archive:
            for member in archive:
                if member.isfile():
                    content = archive.extractfile(member).read()
                    sums = [{"algorithm": name.upper(), "checksumValue": hashlib.new(name, content).hexdigest()} for name in ("sha1", "sha256")]
                    yield {"fileName": member.name, "checksums": sums, **licensed(), "licenseInfoInFiles": ["NOASSERTION"]}


def verification_code(files):
    sums = sorted(file["checksums"][0]["checksumValue"] for file in files)
    return {"packageVerificationCodeValue": hashlib.sha1("".join(sums).encode()).hexdigest()}


def document(package):
    field = dict(line.split(": ", 1) for line in run("dpkg-deb", "-f", package).splitlines() if re.match(r"[\w-]+: ", line))
    control = (HERE / "control").read_text()
    needed = [installed(clause) for clause in clauses(field.get("Depends", ""))]
    used = [installed(clause) for clause in clauses(re.search(r"^Build-Depends:((?:\n .*)+)", control, re.M)[1]) if "debhelper-compat" not in clause]
    files = sorted(files_of(package), key=lambda file: file["fileName"])
    files = [{"SPDXID": f"SPDXRef-File-{number}", **file} for number, file in enumerate(files, start=1)]
    whole = hashlib.sha256(package.read_bytes()).hexdigest()
    written = re.search(r"^License: (\S+)$", (HERE / "copyright").read_text(), re.M)[1]
    licence = {"GPL-2+": "GPL-2.0-or-later"}[written]
    made = described(field["Package"], field["Version"], field["Architecture"], filesAnalyzed=True,
                     supplier="Organization: " + field["Maintainer"].replace("<", "(").replace(">", ")"), homepage=field["Homepage"], licenseInfoFromFiles=["NOASSERTION"], packageVerificationCode=verification_code(files),
                     packageFileName=package.name, checksums=[{"algorithm": "SHA256", "checksumValue": whole}],
                     **{**licensed(licence), "licenseDeclared": licence})
    own = made["SPDXID"]
    changed = datetime.datetime.fromtimestamp(int(run("dpkg-parsechangelog", "-S", "Timestamp")), datetime.timezone.utc)
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", own), *[(own, "CONTAINS", file["SPDXID"]) for file in files],
                 *[(own, "DEPENDS_ON", each["SPDXID"]) for each in needed], *[(each["SPDXID"], "BUILD_DEPENDENCY_OF", own) for each in used]]
    others = {each["SPDXID"]: each for each in [*needed, *used]}
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": package.stem,
        "documentNamespace": f"{field['Homepage']}/spdx/{package.stem}-{whole}",
        # The changelog's time, not now: the same package has the same document.
        "creationInfo": {"created": changed.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: conntally-sbom"]},
        "packages": [made, *[others[name] for name in sorted(others)]],
        "files": files,
        "relationships": [{"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other} for one, kind, other in relations],
    }


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(json.dumps(document(pathlib.Path(sys.argv[1]).resolve()), indent=1))

#!/usr/bin/python3 -B
"""In place of conntally: it, with what config/kubernetes/daemonset.yaml grants and no more, under the system calls that container engines
allow by default (seccompProfile RuntimeDefault). CONNTALLY_CONTAINED names the program."""

import json
import os
import pathlib
import platform
import shutil
import sys

import seccomp
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROFILE = "usr/share/containers/seccomp.json"  # of golang-github-containers-common
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
ALLOW = "SCMP_ACT_ALLOW"
COMPARE = {"SCMP_CMP_EQ": seccomp.EQ, "SCMP_CMP_NE": seccomp.NE, "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ}


def granted():
    """The capabilities, as the manifest has them."""
    pod = yaml.safe_load((ROOT / "config/kubernetes/daemonset.yaml").read_text())["spec"]["template"]["spec"]
    context = pod["containers"][0]["securityContext"]
    assert context["runAsUser"] == 0 and not context["allowPrivilegeEscalation"] and context["capabilities"]["drop"] == ["ALL"], context
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}, context
    return context["capabilities"]["add"]


def applies(rule, capabilities):
    def holds(condition):
        return (set(condition.get("caps", capabilities)) <= set(capabilities)
                and ARCHITECTURE in condition.get("arches", [ARCHITECTURE]))

    excludes = rule.get("excludes") or {}
    return holds(rule.get("includes") or {}) and not (excludes and holds(excludes))


def comparison(argument):
    how = COMPARE[argument["op"]]
    both = [argument["value"], argument["valueTwo"]] if how == seccomp.MASKED_EQ else [argument["value"]]
    return seccomp.Arg(argument["index"], how, *both)


def confine(capabilities):
    profile = json.loads(next(path for path in (pathlib.Path("/", PROFILE), ROOT / "build/tools" / PROFILE) if path.exists()).read_text())
    calls = seccomp.SyscallFilter(defaction=seccomp.ERRNO(profile["defaultErrnoRet"]))
    for rule in profile["syscalls"]:
        if not applies(rule, [f"CAP_{name}" for name in capabilities]):
            continue
        action = seccomp.ALLOW if rule["action"] == ALLOW else seccomp.ERRNO(rule["errnoRet"])
        for name in rule["names"]:
            try:
                calls.add_rule(action, name, *map(comparison, rule.get("args") or []))
            except RuntimeError:
                pass  # a call that this architecture, or this library, does not have
    calls.load()


if sys.argv[1:2] == ["--confined"]:
    confine(granted())
    os.execv(os.environ["CONNTALLY_CONTAINED"], [os.environ["CONNTALLY_CONTAINED"], *sys.argv[2:]])
bounding = ",".join(f"+{name.lower()}" for name in granted())
os.execv(shutil.which("setpriv"), ["setpriv", f"--bounding-set=-all,{bounding}", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs",
                                    __file__, "--confined", *sys.argv[1:]])

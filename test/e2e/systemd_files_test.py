#!/usr/bin/env python3
"""What systemd itself says of the files it is given."""

import subprocess
import urllib.parse

from container import *

UNIT = ROOT / "systemd/conntally.service"
DROP_INS = ROOT / "systemd/drop-ins"
# Unit, drop-ins and the most that it may be exposed. 1.4 is asked of the unit as shipped. 0.1 more is that it has no IPAddressDeny=, since
# web.listen_address decides who can reach the port: for who needs no other than this host, loopback.conf takes that away.
EXPOSURE_MOST = [
    ("conntally.service", (), 1.5),
    ("conntally.service", ("loopback.conf",), 1.4),
    ("conntally.service", ("socket.conf",), 1.1),
    ("conntally.service", ("ebpf.conf",), 1.8),
    ("conntally.service", ("ebpf.conf", "socket.conf"), 1.4),
    ("conntally.service", ("bpf-events.conf",), 1.7),
    ("conntally.service", ("kernel-log.conf",), 2.0),
    ("conntally.service", ("legacy-tables.conf",), 1.7),
    # Run as root, for a moment: to load a program.
    ("conntally-bpf.service", (), 3.3),
]


def test_the_unit_is_understood_whole():
    with tempfile.TemporaryDirectory() as folder:
        unit = pathlib.Path(folder, UNIT.name)
        # The binary isn't installed here; any other will do.
        unit.write_text(UNIT.read_text().replace("/usr/bin/conntally", "/bin/true"))
        told = run("systemd-analyze", "verify", "--man=no", unit)
        assert not [line for line in told.stderr.splitlines() if UNIT.name in line], told.stderr


def install(stage, prefix):
    """Stages what `cmake --install` puts below the prefix; returns what it said."""
    environment = dict(os.environ, DESTDIR=stage) if prefix.startswith("/") else os.environ
    command = ["cmake", "--install", BINARY.resolve().parent, "--prefix", prefix]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=stage)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def settings(unit):
    return dict(line.split("=", 1) for line in unit.read_text().splitlines() if "=" in line and not line.startswith("#"))


def program_of(told):
    assert told["ExecStart"].endswith(" $ARGS"), told["ExecStart"]
    return told["ExecStart"].removesuffix(" $ARGS").strip('"')


def test_with_any_prefix_the_unit_names_what_was_installed():
    for prefix in ("/usr", "/usr/local", "/opt/of our own"):
        with tempfile.TemporaryDirectory() as stage:
            install(stage, prefix)
            staged = pathlib.Path(stage + prefix)
            told = settings(staged / "lib/systemd/system/conntally.service")
            assert program_of(told) == f"{prefix}/bin/conntally", told["ExecStart"]
            assert os.access(staged / "bin/conntally", os.X_OK)
            document = urllib.parse.unquote(told["Documentation"].split("file://")[1].replace("%%", "%"))
            assert pathlib.Path(stage + document).is_file(), document
            for name in ("doc/conntally/conntally.yaml", "conntally/systemd/ebpf.conf", "conntally/prometheus/alerts.yaml",
                         "conntally/grafana/conntally-host.json", "conntally/mixin.libsonnet", "conntally/alertmanager/alertmanager.yml",
                         "conntally/prometheus/otel-collector.yml", "conntally/logs/loki.alloy",
                         "bash-completion/completions/conntally", "zsh/vendor-completions/_conntally"):
                assert (staged / "share" / name).is_file(), name


def test_a_prefix_given_from_the_current_folder_is_named_whole():
    with tempfile.TemporaryDirectory() as stage:
        install(stage, "ours")
        program = program_of(settings(pathlib.Path(stage, "ours/lib/systemd/system/conntally.service")))
        assert program == f"{os.path.realpath(stage)}/ours/bin/conntally" and os.access(program, os.X_OK), program


def test_systemd_finds_what_was_installed_or_the_installation_says_that_it_does_not():
    for prefix, found in (("/usr", True), ("/usr/local", True), ("/opt/conntally", False)):
        with tempfile.TemporaryDirectory() as stage:
            said = install(stage, prefix)
            units = run("systemctl", f"--root={stage}", "list-unit-files", "--no-legend", "conntally.service", check=False).stdout
            assert ("conntally.service" in units) == found, f"{prefix}: {units}"
            for folder, setting in (("sysctl.d", "nf_conntrack_events = 1"), ("modules-load.d", "nf_conntrack_netlink")):
                read = run("systemd-analyze", f"--root={stage}", "--no-pager", "cat-config", folder, check=False).stdout
                assert (setting in read) == found, f"{prefix}: {folder}: {read}"
            assert ("systemd does not look below" in said) != found, said


def exposure(unit, drop_ins):
    """The figure, and the table that it is the sum of."""
    with tempfile.TemporaryDirectory() as root:
        units = pathlib.Path(root, "etc/systemd/system")
        (units / f"{unit}.d").mkdir(parents=True)
        shutil.copy(ROOT / "systemd" / unit, units)
        for drop_in in drop_ins:
            shutil.copy(DROP_INS / drop_in, units / f"{unit}.d")
        told = run("systemd-analyze", "security", "--offline=true", f"--root={root}", "--no-pager", unit).stdout
    return float(re.search(r"exposure level for \S+: ([0-9.]+)", told)[1]), told


def test_no_unit_is_exposed_more_than_it_must():
    above = []
    for unit, drop_ins, most in EXPOSURE_MOST:
        figure, told = exposure(unit, drop_ins)
        print(f"  {unit:22} {' '.join(drop_ins) or 'as shipped':22} {figure} of at most {most}")
        above += [told] if figure > most else []
    assert not above, above
    assert {name for _, drop_ins, _ in EXPOSURE_MOST for name in drop_ins} == {file.name for file in DROP_INS.glob("*.conf")}


def test_the_package_has_no_fault_that_lintian_knows():
    with tempfile.TemporaryDirectory() as folder:
        package = build_package(folder)
        told = run("lintian", "--allow-root", "--fail-on", "error,warning", package, check=False)
        assert told.returncode == 0 and "W:" not in told.stdout, told.stdout + told.stderr


def complete(*words):
    """What bash offers after these words."""
    script = 'source /dev/stdin; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _conntally; printf "%s\\n" "${COMPREPLY[@]}"'
    completion = run(BINARY, "completion", "bash").stdout
    return subprocess.run(["bash", "-c", script, "bash", *words], input=completion, capture_output=True, text=True, check=True).stdout.split()


def test_shells_complete_the_commands_and_flags_that_there_are():
    assert complete("conntally", "dia") == ["diagnose"]
    assert complete("conntally", "diagnose", "--des") == ["--destination"]
    assert "--web.listen-address" in complete("conntally", "--")
    zsh = run(BINARY, "completion", "zsh").stdout
    subprocess.run(["zsh", "-n"], input=zsh, text=True, check=True)
    assert "--observe=[" in zsh
    assert run(BINARY, "completion", "fish", check=False).returncode == 1


def test_the_sysctl_file_makes_every_entry_announce_its_end():
    tool = pathlib.Path("/lib/systemd/systemd-sysctl")
    with Namespace() as namespace:
        namespace.sysctl("net.netfilter.nf_conntrack_events", 2)
        namespace.run(tool, ROOT / "systemd/sysctl.d/30-conntally.conf")
        assert namespace.run("sysctl", "-n", "net.netfilter.nf_conntrack_events").stdout == "1\n"


main()

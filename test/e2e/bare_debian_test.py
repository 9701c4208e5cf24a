#!/usr/bin/env python3
"""From the package to the first scraped figure on bare Debian 12 and 13, which each built theirs in a root that had nothing but its build
dependencies. Minutes of compiling: with CONNTALLY_FULL=1."""

import bare_debian
from container import *

SECONDS_MOST = 60
# Without curl, which a bare Debian has not. What apt says is kept: it may be why there is no figure.
INSIDE = r"""
ask() { (exec 3<>/dev/tcp/127.0.0.1/9105 && printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$1" >&3 && cat <&3) 2>/dev/null; }
now() { date +%s%N; }

cp /report/*.deb /var/cache/apt/archives/
start=$(now)
apt-get install -y --no-download /report/conntally_*.deb >/report/apt 2>&1; echo "install=$?"
installed=$(now)
for _ in $(seq 600); do ask /metrics | grep -q '^conntally_synced 1$' && break; sleep 0.1; done
echo "install_ms=$(((installed - start) / 1000000))"; echo "figure_ms=$((($(now) - start) / 1000000))"
ask /metrics >/report/metrics
echo "active=$(systemctl is-active conntally)"; echo "enabled=$(systemctl is-enabled conntally)"
echo "release=$(. /etc/os-release; echo "$VERSION_ID")"; echo "systemd=$(systemctl --version | head -n 1)"
journalctl -u conntally -o cat --no-pager >/report/journal
"""


def installs(codename):
    with tempfile.TemporaryDirectory(prefix="conntally-test-") as folder:
        try:
            package = bare_debian.package_of(codename, folder)
            root = bare_debian.bare(codename)
            start = time.monotonic()
            archives = bare_debian.download(root, package)
            downloaded = time.monotonic() - start
        except bare_debian.debian.Missing as reason:
            raise Skip(str(reason)) from reason
        told, left = boot(INSIDE, [package, *archives], system=root)
    assert told["install"] == "0" and told["active"] == "active" and told["enabled"] == "enabled", f"{told}\n{left['apt']}\n{left['errors']}\n{left['journal']}"
    assert "\nconntally_table_entries " in left["metrics"] and "\nconntally_synced 1\n" in left["metrics"], left["metrics"]
    figure = int(told["figure_ms"]) / 1000
    print(f"  Debian {told['release']}, {told['systemd']}: {downloaded:.1f} s to download what it depends on, {int(told['install_ms']) / 1000:.1f} s to install,"
          f" {figure:.1f} s to the first figure: {downloaded + figure:.1f} s in all (asked: less than {SECONDS_MOST} s)")
    assert downloaded + figure < SECONDS_MOST * SLOWNESS


def test_a_bare_debian_12_has_its_first_figure_within_a_minute():
    installs("bookworm")


def test_a_bare_debian_13_has_its_first_figure_within_a_minute():
    installs("trixie")


main()

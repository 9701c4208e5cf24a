#!/usr/bin/env python3
"""What many hosts cost one Prometheus: series, samples a second, memory, CPU.

A real daemon under mixed traffic is scraped once. Its answer is served as that of each of a thousand hosts, with their own
sources, figures that go on growing, and sources that come and go; one real Prometheus with the shipped configuration and rules
scrapes them all. To be run as root, with `prometheus` on the PATH:

    test/bench/fleet.py [--hosts 1000] [--seconds 300]
"""

import argparse
import asyncio
import multiprocessing
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib

TEST = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TEST / "netns"))
from dropped_traffic import client_and_host
from firewall import send_udp
from harness import CT_LOAD, ROOT, Daemon, ct_load
from namespaces import alone_on_this_machine, die_with_parent

RULES = 200
# One in five sources is seen by every host; one in twenty is another one each five minutes.
SHARED, CHANGING, CHANGE_SECONDS = 5, 20, 300


def one_real_answer():
    """/metrics of a gateway with 50,000 connections of 2,000 sources, some of which churn, some of which are dropped."""
    rules = "".join(f'udp dport {20_000 + i} counter {"drop" if i % 2 else "accept"}\n' for i in range(RULES))
    with alone_on_this_machine(), client_and_host() as (client, host), Daemon(host, 'limits: [{source: "10.0.0.0/8", connections: 100}]') as daemon:
        host.nft(f"table inet filter {{ chain input {{ type filter hook input priority 0; iifname lo accept; {rules} udp dport 7000 counter drop; }}; }}\n")
        daemon.wait_ready()
        ct_load(host, "create", "--count", 50_000, "--sources", 2_000, "--replied-every", 2)
        churn = host.spawn(CT_LOAD, "churn", "--first", 1_000_000, "--live", 1_000, "--rate", 2_000, "--seconds", 15, "--sources", 60, stdout=subprocess.DEVNULL)
        for _ in range(10):
            ct_load(client, "udp", "--count", 100, "--sources", 100, "--source-offset", 5_000, "--packets-each", 5, "--destination", "192.0.2.1")
            send_udp(client, 20_001, 10, "192.0.2.1")
            time.sleep(1)
        text = daemon.metrics().text
        churn.wait()
        return text


class Hosts:
    """The answer, split at what differs from host to host and grows from scrape to scrape."""

    def __init__(self, text):
        self.started, self.pieces, counters = time.time(), [], set()
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split()
                counters.update({name, f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind in ("counter", "histogram") else ())
            if line.startswith("#"):
                self.pieces.append((line + "\n", None, None, False))
                continue
            series, value = line.rsplit(" ", 1)
            found = re.search(r'source="10\.(\d+)\.(\d+)\.(\d+)"', series)
            name = series.split("{")[0]
            if not found:
                self.pieces.append((series + " ", None, float(value), name in counters))
                continue
            number = int(found[1]) * 65_536 + int(found[2]) * 256 + int(found[3])
            self.pieces.append((series[: found.start()] + 'source="', (number, series[found.end() - 1 :] + " "), float(value), name in counters))
        self.series = sum(value is not None for _, _, value, _ in self.pieces)

    def answer(self, host):
        passed = time.time() - self.started
        epoch = int(time.time() / CHANGE_SECONDS)
        factor = 1 + host % 10 / 10
        lines = []
        for text, source, value, counter in self.pieces:
            if value is None:
                lines.append(text)
                continue
            if source:
                number, rest = source
                own = 0 if number % SHARED == 0 else host + 1
                if number % CHANGING == 1:
                    own += 1_001 * (epoch % 50 + 1)
                address = (32 << 24) + own * 8_192 + number % 8_192
                text = f"{text}{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}{rest}"
            if counter and value:
                value += int(value * factor * passed / 600)
            elif 10 < value < float("inf"):
                value = int(value * (factor + (int(passed) * (host + 7) % 13) / 100))
            lines.append(f"{text}{value:.10g}\n")
        return "".join(lines).encode()


async def serve(listener, text):
    hosts = Hosts(text)

    async def talk(reader, writer):
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                host = int(re.match(rb"GET /(\d+)/metrics", request)[1])
                packer = zlib.compressobj(1, wbits=31)
                body = packer.compress(hosts.answer(host)) + packer.flush()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Encoding: gzip\r\n"
                             b"Content-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with await asyncio.start_server(talk, sock=listener) as server:
        await server.serve_forever()


def figures_of(url):
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in answer.read().decode().splitlines() if not line.startswith("#")}


def configuration(hosts, port, rules):
    shipped = (ROOT / "config/prometheus/prometheus.yml").read_text().split("alerting:")[0]
    targets = "".join(f'\n      - {{targets: ["127.0.0.1:{port}"], labels: {{instance: "host-{i:04}:9105", __metrics_path__: "/{i}/metrics"}}}}' for i in range(hosts))
    shipped = shipped.replace('\n      - targets: ["localhost:9105"]', targets)
    return shipped if rules else shipped.replace("  - rules.yaml\n  - alerts.yaml\n", "")


def phase(url, seconds):
    before, since = figures_of(url), time.monotonic()
    time.sleep(seconds)
    return before, figures_of(url), time.monotonic() - since


def measure(hosts, seconds, text):
    listener = socket.create_server(("127.0.0.1", 0), backlog=hosts)
    port = listener.getsockname()[1]
    server = multiprocessing.Process(target=lambda: asyncio.run(serve(listener, text)), daemon=True)
    server.start()
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as chosen:
        url = f"http://127.0.0.1:{chosen.getsockname()[1]}"
        chosen.close()
        home = pathlib.Path(folder)
        (home / "prometheus.yml").write_text(configuration(hosts, port, rules=False))
        for rules in ("rules.yaml", "alerts.yaml"):
            (home / rules).write_text((ROOT / "config/prometheus" / rules).read_text())
        prometheus = subprocess.Popen(["prometheus", f"--config.file={home}/prometheus.yml", f"--storage.tsdb.path={home}/data", "--log.level=error",
                                       f"--web.listen-address={url.removeprefix('http://')}"], preexec_fn=die_with_parent)
        try:
            time.sleep(60)  # every host was scraped some times
            print(f"an answer: {Hosts(text).series} series, {len(text):,} bytes; {hosts} hosts, each 15 s")
            report("scraping alone", *phase(url, seconds))
            (home / "prometheus.yml").write_text(configuration(hosts, port, rules=True))
            prometheus.send_signal(signal.SIGHUP)
            time.sleep(60)
            report("with the rules", *phase(url, seconds))
        finally:
            prometheus.kill()
            prometheus.wait()
            server.terminate()


def report(what, before, after, passed):
    def grown(name):
        return sum(after[key] - before.get(key, 0) for key in after if key.split("{")[0] == name)

    print(f"{what}: {after['prometheus_tsdb_head_series']:,.0f} series, {grown('prometheus_tsdb_head_samples_appended_total') / passed:,.0f} samples/s, "
          f"{grown('process_cpu_seconds_total') / passed:.2f} CPUs, {after['process_resident_memory_bytes'] / 2**30:.1f} GiB resident")
    for key in after:
        if found := re.match(r'prometheus_rule_group_iterations_total\{rule_group=".*;([\w-]+)"\}', key):
            missed_key = key.replace("iterations_total", "iterations_missed_total")
            missed = after[missed_key] - before.get(missed_key, 0)
            made = after[key] - before.get(key, 0) - missed
            last = after[key.replace("iterations_total", "last_duration_seconds")]
            print(f"  {found[1]}: evaluated {made:.0f} times in {passed:.0f} s, missed {missed:.0f}, the last took {last:.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=120, help="for each phase: scraping alone, and with the rules")
    asked = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    measure(asked.hosts, asked.seconds, one_real_answer())


if __name__ == "__main__":
    main()

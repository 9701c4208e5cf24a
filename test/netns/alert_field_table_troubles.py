"""Troubles of the field: the table of connections fills, or has no room; and the daemon's own."""

import asyncio
import random
import subprocess

from alert_field_traffic import client, member, server
from harness import CT_LOAD, Daemon, limit_of_entries, signal
from alert_field_trouble import Told, trouble, visits

TRACKED = "table inet filter { chain input { type filter hook input priority 0; policy accept; ct state invalid counter; }; }\n"
FULL_BRINGS = ("ConntrackTableFull", "ConntrackTableNearlyFull", "ConntrackTableFillPredicted", "SourceNearTableLimit", "SourceConnectionChurn",
               "ConnectionsUnanswered")
GREEDY = "10.0.0.1"  # the one source of ct_load


async def _serve(net):
    await net.nft(TRACKED)
    net.serve_tcp("host", 443)
    net.spawn(visits(net, [client(i) for i in range(60)], 12))


def _load(*arguments, sources=500):
    return (CT_LOAD, *arguments, "--sources", sources, "--timeout", 3600, "--protocol", "tcp", "--replied-every", 1)


def _of(share):
    return int(limit_of_entries() * share)


async def _filled(net, share, **options):
    await net.run(*_load("create", "--count", _of(share), **options), check=False)


async def _emptied(net):
    await net.run("conntrack", "-F")


@trouble(Told("ConntrackTableFull", severity="critical"), also=FULL_BRINGS, brief=True)
async def the_table_is_full_for_three_seconds(net):
    await _serve(net)
    yield
    await _filled(net, 1.05)
    await asyncio.sleep(3)
    await _emptied(net)
    yield


@trouble(Told("ConntrackTableNearlyFull", severity="critical"), also=FULL_BRINGS, restarted=True)
async def the_table_is_nearly_full(net):
    await _serve(net)
    yield
    await _filled(net, 0.93)
    yield
    await _emptied(net)


@trouble(Told("SourceNearTableLimit", source=GREEDY), also=("ConntrackTableFillPredicted", "SourceConnectionChurn"))
async def one_source_takes_a_third_of_the_table(net):
    await _serve(net)
    yield
    await _filled(net, 0.33, sources=1)
    yield
    await _emptied(net)


@trouble(Told("ConntrackTableFillPredicted", mentions=(GREEDY,)), also=FULL_BRINGS, within=180)
async def one_source_fills_the_table_steadily(net):
    await _serve(net)
    yield
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    filling = net.host.namespaces["host"].spawn(*_load("create", "--count", _of(0.9), "--rate", _of(1 / 300), sources=1), **quiet)
    yield
    filling.kill()
    filling.wait()
    await _emptied(net)


@trouble(Told("NatPortsNearlyExhausted", rule="192.0.2.1 to"), also=("ConntrackInsertFailed", "ConntrackTableFull", "ConnectionsUnanswered"), gateway=True)
async def the_ports_of_a_translated_address_run_out(net):
    await net.nft(TRACKED + 'table ip nat { chain postrouting { type nat hook postrouting priority 100; oifname "wan" meta l4proto { tcp, udp } snat to 192.0.2.1:20000-20063; }; }')
    net.serve_tcp("outside", 443)
    net.serve_udp("outside", 53)
    members = [member(i) for i in range(40)]
    net.spawn(visits(net, members, 10, to=[server(i) for i in range(50)], where="inside"))
    more = []
    net.spawn(net.pace(lambda _: 12 if more else 0, lambda: net.tcp("inside", random.choice(members), server(60), 443, hold=60)))
    yield
    more.append(True)
    yield
    more.clear()
    await _emptied(net)


# While the daemon is away.
def _stop(host):
    host.daemon.close()


def _start(host):
    host.daemon.start()


@trouble(Told("ConntrackTableFull", severity="critical"), also=FULL_BRINGS, brief=True, events=((-1, _stop), (8, _start)))
async def the_table_was_full_while_the_daemon_was_away(net):
    await _serve(net)
    yield
    await _filled(net, 1.05)
    await asyncio.sleep(2)
    await _emptied(net)
    yield


# The daemon's own.
def _lose_events(host):
    host.daemon.signal(signal.SIGSTOP)
    for verb in ("create", "delete"):
        host.namespaces["host"].run(*_load(verb, "--count", 45_000), check=False)
    host.daemon.signal(signal.SIGCONT)


@trouble(Told("ConntallyDegraded"), also=("SourceConnectionChurn",), brief=True, events=((0, _lose_events),))
async def events_are_lost(net):
    await _serve(net)
    yield
    yield


def _hold(host):
    """Another program takes the group while the daemon is restarted."""
    host.daemon.close()
    host.holder = host.helpers.enter_context(Daemon(host.namespaces["host"], "drops: {ebpf: off, kernel_log: false, nflog_groups: [7]}\n", ["--web.listen-address", "127.0.0.1:9106"], port=9106))
    host.holder.wait_for_log("listening to NFLOG group 7")
    host.daemon.start()


def _let_go(host):
    host.holder.close()


@trouble(Told("ConntallyDegraded"), config="drops: {nflog_groups: [7]}\n", events=((0, _hold),), at_end=_let_go)
async def a_collector_fails(net):
    await _serve(net)
    await net.nft('table inet logged { chain input { type filter hook input priority 1; udp dport 7107 log group 7 drop; }; }')
    yield
    yield


@trouble(Told("ConntallyDegraded", by=("prometheus",)), within=180, long=True, events=((0, _stop),), at_end=_start)
async def the_daemon_is_gone(net):
    await _serve(net)
    yield
    yield

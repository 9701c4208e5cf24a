#!/usr/bin/env python3
"""For as long as it runs, its tallies stay exact, and nothing of it grows: events at 20,000 a second, forged sources, reloads, changes of
rules, scrapes. Half a minute; an hour with CONNTALLY_FULL=1, or CONNTALLY_SOAK_SECONDS."""

import statistics
import threading

from dropped_traffic import send
from harness import *

SECONDS = int(os.environ.get("CONNTALLY_SOAK_SECONDS", "3600" if FULL else "30"))
ROUND_SECONDS = 5
GROWTH_MOST = 1.02
RULES = """
table inet soak {{
  chain input {{
    type filter hook input priority 0
    udp dport {port} counter drop
    {more}
  }}
}}
"""
CONFIGS = ("{}\n", "rules: {poll_interval: 2s}\nsources: {groups: {some: [10.0.0.0/20]}}\n")


def figures(daemon):
    process = pathlib.Path(f"/proc/{daemon.process.pid}")
    resident = int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {"resident bytes": resident, "descriptors": len(list((process / "fd").iterdir())),
            "threads": len(list((process / "task").iterdir())), "series": len(daemon.metrics().values)}


def change_things(namespace, daemon, number, stop):
    """Until `stop`: rules come and go, the configuration changes, forged sources come and go."""
    step = 0
    while not stop.is_set():
        namespace.nft("table inet soak\ndelete table inet soak\n" + RULES.format(port=7000 + step % 2, more="counter accept" if step % 3 == 0 else ""))
        send(namespace, "127.0.0.1", 20, 7000, "127.0.0.1")
        daemon.write_config(CONFIGS[step % 2])
        daemon.signal(signal.SIGHUP)
        forged = ["--sources", 2_000, "--source-offset", 1_000_000 + number * 10_000 + step * 2_000, "--count", 2_000, "--protocol", "udp"]
        ct_load(namespace, "create", *forged)
        ct_load(namespace, "delete", *forged)
        step += 1
        stop.wait(1)


def one_round(namespace, daemon, number):
    stop = threading.Event()
    changes = threading.Thread(target=change_things, args=(namespace, daemon, number, stop))
    changes.start()
    try:
        done = namespace.run(CT_LOAD, "churn", "--protocol", "udp" if number % 2 else "tcp", "--timeout", 600, "--sources", 3_000, "--live", 10_000,
                             "--rate", 20_000, "--seconds", ROUND_SECONDS, timeout=120)
    finally:
        stop.set()
        changes.join()
    daemon.wait_equal(10)
    check_invariants(daemon.metrics())
    return json.loads(done.stdout.splitlines()[-1])["rate"]


def test_hours_of_everything_leave_it_exact_and_no_larger():
    with Namespace() as namespace, Daemon(namespace, CONFIGS[0]) as daemon:
        daemon.wait_ready()
        rounds, rates, ends = [], [], time.monotonic() + SECONDS
        with scraped_all_along(daemon, every=1):
            while time.monotonic() < ends or len(rounds) < 4:
                rates.append(one_round(namespace, daemon, len(rounds)))
                rounds.append(figures(daemon))
        print(f"  {len(rounds)} rounds at {statistics.median(rates):.0f} events a second, exact after each")
        # What a first round fills is no growth: the second quarter is held against the last.
        quarter = max(len(rounds) // 4, 1)
        for what in rounds[0]:
            early = statistics.median(one[what] for one in rounds[quarter : 2 * quarter])
            late = statistics.median(one[what] for one in rounds[-quarter:])
            print(f"  {what}: {early:.0f}, at the end {late:.0f}")
            if FULL or what in ("descriptors", "threads"):
                assert late <= max(early * GROWTH_MOST, early + 2), f"{what} grew from {early:.0f} to {late:.0f}"


main()

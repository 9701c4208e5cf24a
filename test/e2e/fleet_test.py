#!/usr/bin/env python3
"""Three gateways, one Prometheus: who holds most over all of them, where clients are seen by all three and few have series."""

import collections
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../netns"))
from contextlib import ExitStack

from harness import *
from kernel_table import KernelTable
from prometheus_server import Prometheus

PORTS = (9105, 9106, 9107)
CONFIG = "sources: {export_top: 8, exclude: [10.9.0.0/16]}\nconntrack: {reconcile_interval: 5s}\n"
# By gateway: (first source, sources, connections of each).
HELD = (
    ((0, 4, 300), (100, 40, 30), (3_000, 1, 90)),
    ((2, 4, 280), (100, 40, 25), (3_000, 1, 90)),
    ((0, 2, 60), (50, 30, 70), (100, 40, 20), (3_000, 1, 90)),
)


def test_the_fleets_answer_holds_the_truth_within_its_bounds():
    with ExitStack() as stack:
        hub = stack.enter_context(Namespace("hub"))
        gateways = [stack.enter_context(Namespace(f"gateway{number}")) for number in range(len(PORTS))]
        truth = collections.Counter()
        for gateway, held in zip(gateways, HELD):
            for number, (first, sources, each) in enumerate(held):
                ct_load(gateway, "create", "--first", number * 100_000, "--count", sources * each, "--sources", sources,
                        "--source-offset", first, "--timeout", 600)
            truth.update(KernelTable(gateway).connections)
        for gateway, port in zip(gateways, PORTS):
            arguments = ["--netns", gateway.name, "--web.listen-address", f"127.0.0.1:{port}"]
            stack.enter_context(Daemon(hub, CONFIG, arguments=arguments, port=port)).wait_ready()
        prometheus = stack.enter_context(Prometheus(hub, target='", "'.join(f"localhost:{port}" for port in PORTS)))

        def recorded():
            at_least, at_most = (
                {labels["source"]: value for labels, value in prometheus.query(f"job_source:conntally_source_connections:topk100_{what}")}
                for what in ("sum", "upper_bound")
            )
            others = prometheus.query("job:conntally_unexported_source_connections:sum")
            return (at_least, at_most, others[0][1]) if at_least and at_least.keys() == at_most.keys() else None

        wait_until(lambda: len(prometheus.query("conntally_synced == 1")) == 3 and recorded(), 30, "the fleet's rules speak of all three")
        time.sleep(12)  # until the rules of a minute, here of five seconds, have seen what was scraped last
        at_least, at_most, others = recorded()
        wide = 0
        for source, held in truth.items():
            if source in at_least:
                assert at_least[source] <= held <= at_most[source], (source, at_least[source], held, at_most[source])
                wide += at_least[source] < at_most[source]
            else:
                assert held <= others, (source, held, others)
        assert 0 < wide < len(at_least), "some are exported everywhere, some not"
        first = max(at_least, key=at_least.get)
        assert truth[first] == max(truth.values()), (first, truth.most_common(3))
        print(f"  {len(truth)} sources, {len(at_least)} with series; the first, {first}: {at_least[first]:.0f} to {at_most[first]:.0f}, truly "
              f"{truth[first]}; who has none holds at most {others:.0f}, truly {max(truth[each] for each in truth if each not in at_least)}")


main()

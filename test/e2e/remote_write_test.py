#!/usr/bin/env python3
"""A host's Prometheus agent, with the shipped configuration, sends what it scrapes on to another Prometheus, which judges it."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../netns"))
from harness import *
from prometheus_server import SHIPPED, Prometheus

# The receiver scrapes nothing: the daemon isn't where its configuration says.
ELSEWHERE = "127.0.0.2"


def test_an_agent_writes_on_to_a_prometheus_with_the_rules():
    with Namespace() as namespace, Daemon(namespace, arguments=["--web.listen-address", f"{ELSEWHERE}:9105"], host=ELSEWHERE) as daemon:
        daemon.wait_ready()
        ct_load(namespace, "create", "--count", 1_000, "--sources", 10)
        receiver = Prometheus(namespace, arguments=["--web.enable-remote-write-receiver"])
        agent = Prometheus(namespace, SHIPPED / "agent.yml", ["--enable-feature=agent"], 9091, target=f"{ELSEWHERE}:9105")
        with receiver, agent:
            wait_until(lambda: receiver.query('conntally_synced{site="example"} == 1'), 20, "what the agent scraped arrives", every=0.2)
            wait_until(lambda: receiver.query('job_source:conntally_source_connections:topk100_sum{job="conntally"} == 100'), 20,
                       "the receiver's rules read it", every=0.2)
            assert not receiver.query('{__name__=~"go_.+"}'), "what shall be dropped is sent"


main()

#!/usr/bin/env python3
"""An NFLOG group that another process holds is said to be, and stops nothing else; it is taken when it is free."""

from dropped_traffic import client_and_host, dropped, send
from harness import *

RULES = """
table inet t { chain input { type filter hook input priority 0;
  udp dport 7107 log prefix "held" group 7 drop
  udp dport 7108 log prefix "free" group 8 drop
}; }
"""


def test_a_held_group_is_named_and_the_others_work():
    config = "drops: {{ebpf: off, kernel_log: false, nflog_groups: [{}]}}\n"
    with client_and_host() as (client, host):
        host.nft(RULES)
        holder = Daemon(host, config.format("7"), arguments=["--web.listen-address", "127.0.0.1:9106"], port=9106)
        with holder:
            holder.wait_for_log("listening to NFLOG group 7")
            with Daemon(host, config.format("7, 8")) as daemon:
                daemon.wait_ready()
                daemon.wait_for_log("NFLOG group 7 is held by another process")
                assert daemon.metrics().value("conntally_collector_success", collector="nflog") == 0
                send(client, "10.0.0.1", 30, 7107)
                send(client, "10.0.0.1", 40, 7108)
                wait_until(lambda: dropped(daemon) == {("10.0.0.1", "free", "nflog"): 40}, 5, "the free group counts")
                wait_until(lambda: dropped(holder) == {("10.0.0.1", "held", "nflog"): 30}, 5, "the holder counts its own")
                holder.close()
                works = lambda: daemon.metrics().value("conntally_collector_success", collector="nflog") == 1
                wait_until(works, 15, "the group is taken")
                daemon.wait_for_log("collector nflog works again, after ")
                send(client, "10.0.0.2", 20, 7107)
                wait_until(lambda: dropped(daemon).get(("10.0.0.2", "held", "nflog")) == 20, 5, "it counts now")


main()

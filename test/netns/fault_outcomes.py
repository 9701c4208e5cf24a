"""Many faults, one after another and several at a time, and what came of each."""

import collections
import http.client
import os
import queue
import random
import threading

from metrics import Metrics

FULL = os.environ.get("CONNTALLY_FULL") == "1"
WORKERS = 4
# The last words of the dynamic linker, and of libmicrohttpd, which ends the process where epoll_ctl takes nothing away (it never fails so).
LIBRARIES = ("error while loading shared libraries", "cannot allocate", "libc fatal error", "cannot create", "Cannot allocate memory", "Fatal error in GNU libmicrohttpd")

SEED = os.environ.get("CONNTALLY_SEED", "1")


class Outcomes:
    """Of all cases: how many of each, the slowest recovery, and what must not be."""

    def __init__(self):
        self.counts, self.wrong, self.slowest, self.lock = collections.Counter(), [], (0.0, ""), threading.Lock()

    def add(self, case, outcome, seconds=0.0):
        with self.lock:
            self.counts[outcome] += 1
            self.slowest = max(self.slowest, (seconds, str(case)))

    def fail(self, case, why):
        with self.lock:
            self.counts["wrong"] += 1
            self.wrong.append(f"{case}: {why}")
            print(f"  WRONG {case}: {why}")

    def tell(self):
        tried = sum(self.counts.values())
        print(f"  {tried} tried: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.counts.items())) +
              f"; slowest {self.slowest[0]:.1f} s ({self.slowest[1]})")
        assert not self.wrong, "\n".join(self.wrong)


def in_parallel(cases, work, outcomes):
    """`work(queue)` in several threads, until none is left."""
    waiting = queue.Queue()
    for case in cases:
        waiting.put(case)

    def run_all():
        try:
            work(waiting)
        except BaseException as error:  # told with the others, at the end
            outcomes.fail("a worker", f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=run_all) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def taken_from(waiting):
    while True:
        try:
            yield waiting.get_nowait()
        except queue.Empty:
            return


def sample(cases, count):
    """All of those whose call CONNTALLY_FAULT names, when it does."""
    if chosen := os.environ.get("CONNTALLY_FAULT"):
        return [case for case in cases if str(case[0] if isinstance(case, tuple) else case) == chosen]
    return cases if FULL else random.Random(SEED).sample(cases, min(count, len(cases)))


def reason_in(log):
    """Why it ended, in its own words, the loader's, or those of the libraries that end a process themselves."""
    for line in log.splitlines():
        if " error " in line or line.startswith("conntally:") or any(words in line for words in LIBRARIES):
            return line
    return None


def is_well(daemon):
    """Ready, in step, and none of its collectors fails."""
    try:
        if daemon.get("/readyz", timeout=2.0).status != 200:
            return False
        metrics = Metrics(daemon.get("/metrics", timeout=2.0).text)
        return metrics.value("conntally_synced") == 1 and 0 not in metrics.series("conntally_collector_success").values()
    except (OSError, http.client.HTTPException, LookupError, AssertionError):
        return False

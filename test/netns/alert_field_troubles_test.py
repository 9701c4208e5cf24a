#!/usr/bin/env python3
"""Troubles of many kinds, each on a host of its own, all at the same time: every one is told by the daemon and by Prometheus, in time and
by its name; it clears once it is over, and nothing else is told."""

import collections
import concurrent.futures
import contextlib
import math
import re
import statistics

from alert_field import JUDGES, Field, Host, logged
from daemon import forget_logs
from harness import *
from staged import print_table
from alert_field_trouble import TROUBLES, script

import alert_field_answer_troubles
import alert_field_rule_troubles
import alert_field_source_troubles
import alert_field_table_troubles

SUBJECTS = (alert_field_answer_troubles, alert_field_rule_troubles, alert_field_source_troubles, alert_field_table_troubles)  # declare themselves
INTERVAL = 5  # of Prometheus, seconds
LATER = 2 * INTERVAL + 5  # what Prometheus may take longer than the daemon: a scrape, an evaluation, and this test's own look
SECONDS_TO_CLEAR = 120
ENTRIES_MOST = 65_536  # so that a table is filled in a second, of whom the others need some thousands
COMES_TRUE = {"ConntrackTableFillPredicted": ("ConntrackTableNearlyFull", "ConntrackTableFull")}
STAGGER = 4  # troubles begin over so many seconds


class Verdict:
    """One host's trouble, judged."""

    def __init__(self, host, tellings, seen_until):
        self.seen_until = seen_until
        self.trouble, self.problems = host.about["trouble"], []
        self.begins, self.ends = host.marks["begins"], host.marks["ends"]
        self.tellings = [each for each in tellings if each.host == host.name and each.loud]
        self.times = {}  # (judge, alert): seconds
        self.cleared = {}  # judge: seconds after the end, the last of all
        for told in self.trouble.told:
            self._is_told(told)
        self._clears()
        self._is_told_once(host)
        self.false = [each for each in self.tellings if not self._belongs(each)]
        if self.trouble.not_yet:
            print(f"  {self.trouble.name} is not told yet: {self.trouble.not_yet}")
            self.problems = ["it is told now: take not_yet off"] if self.times else []
        self.problems += host.failures
        self.problems += self.trouble.check(host) if self.trouble.check else []
        self.problems += [f"false: {each}" for each in self.false]

    def _is_told(self, told):
        most = self.trouble.within
        for judge in told.by:
            matching = [each for each in self.tellings if each.judge == judge and told.is_told_by(each) and each.began >= self.begins - 1]
            if not matching:
                self.problems.append(f"{judge} does not tell {told.alert}")
                continue
            first = min(matching, key=lambda each: each.began)
            self.times[judge, told.alert] = seconds = first.began - self.begins
            if seconds > most * SLOWNESS:
                self.problems.append(f"{judge} tells {told.alert} after {seconds:.0f} s, not {most}")
            if judge == "daemon" and (lacking := told.lacks(matching)):
                self.problems.append(f"{told.alert} does not tell of {', '.join(lacking)}: {first.description}")
            most = seconds + LATER

    def _clears(self):
        for each in self.tellings:
            if not self._belongs(each):
                continue
            most = SECONDS_TO_CLEAR + (LATER if each.judge == "prometheus" else 0)
            if each.began > self.ends + LATER and not self._is_what_is_left(each):
                self.problems.append(f"begins {each.began - self.ends:.0f} s after the end: {each}")
            if each.ended is None:
                if self.seen_until - self.ends > most * SLOWNESS:
                    self.problems.append(f"does not clear: {each}")
            elif each.ended < self.ends - 2 and self._lasts(each) and not self._goes_on(each):
                self.problems.append(f"ends before the trouble does, at {self.ends:.0f} s: {each}")
            elif each.ended - self.ends > most * SLOWNESS:
                self.problems.append(f"clears {each.ended - self.ends:.0f} s after the end: {each}")
            self.cleared[each.judge] = max(self.cleared.get(each.judge, -math.inf), (each.ended or math.inf) - self.ends)

    def _lasts(self, telling):
        """It must be told until the end."""
        return not self.trouble.brief and telling.alert not in self.trouble.also

    def _of_same_subject(self, telling):
        """With another severity."""
        return [each for each in self.tellings if each is not telling and each.key[:3] + each.key[4:] == telling.key[:3] + telling.key[4:]]

    def _is_what_is_left(self, telling):
        """Of a greater severity that fires no more."""
        return any(each.began < telling.began and (each.ended or math.inf) > telling.began - LATER for each in self._of_same_subject(telling))

    def _goes_on(self, telling):
        """With another severity, or as what was predicted and is there."""
        later = [each for each in self.tellings if each.judge == telling.judge and each.alert in COMES_TRUE.get(telling.alert, ())]
        return any(each.began - 2 <= telling.ended < (each.ended or math.inf) for each in self._of_same_subject(telling) + later)

    def _is_told_once(self, host):
        for told in self.trouble.told:
            if len(rules := {each.rule for each in self.tellings if each.judge == "daemon" and told.is_told_by(each)}) > 1:
                self.problems.append(f"{told.alert} is told of {len(rules)} rules: {' | '.join(sorted(rules))}")
        for key, number in collections.Counter(each.key for each in self.tellings if not self._is_what_is_left(each)).items():
            if number > 1:
                self.problems.append(f"{number} times: {' '.join(key[1:])}")
        for (state, *subject), number in collections.Counter(logged(host)).items():
            if number > 1 and "info" not in subject:
                self.problems.append(f"logged {number} times: {state} {' '.join(subject)}")

    def _belongs(self, telling):
        if telling.began < self.begins - 1:
            return False
        of_kind = [told for told in self.trouble.told if told.alert == telling.alert]
        if any(told.source in (None, telling.source) for told in of_kind):
            return True
        return not of_kind and telling.alert in self.trouble.also


def _row(verdict):
    def seconds(value):
        return "-" if value is None else f"{value:.0f}"

    alert = verdict.trouble.told[0].alert
    return [verdict.trouble.name, alert, *(seconds(verdict.times.get((judge, alert))) for judge in JUDGES),
            *(seconds(verdict.cleared.get(judge)) for judge in JUDGES), len(verdict.false), len(verdict.problems)]


def _report(verdicts):
    print_table([["trouble", "alert", "daemon s", "Prometheus s", "cleared", "cleared", "false", "problems"], *map(_row, verdicts)])
    wanted = [(told.alert, judge, verdict) for verdict in verdicts for told in verdict.trouble.told for judge in told.by]
    print(f"  {'by alert and judge':40} recall  precision  seconds to tell (median, most)")
    for alert, judge in sorted({each[:2] for each in wanted}):
        times = [verdict.times.get((judge, alert)) for name, by, verdict in wanted if (name, by) == (alert, judge)]
        told = [each for each in times if each is not None]
        false = sum(each.alert == alert and each.judge == judge for verdict in verdicts for each in verdict.false)
        right = sum(each.alert == alert and each.judge == judge for verdict in verdicts for each in verdict.tellings) - false
        precision = f"{right / (right + false):.2f}" if right + false else "-"
        figures = f"{statistics.median(told):.0f} {max(told):.0f}" if told else "-"
        print(f"  {alert + ' by ' + judge:40} {len(told)}/{len(times):<5} {precision:9}  {figures}")
    for judge in JUDGES:
        missed = [verdict.trouble.name for verdict in verdicts for told in verdict.trouble.told if judge in told.by and (judge, told.alert) not in verdict.times]
        false = sum(each.judge == judge for verdict in verdicts for each in verdict.false)
        right = sum(each.judge == judge for verdict in verdicts for each in verdict.tellings) - false
        print(f"  {judge}: {len(missed)} of {len(verdicts)} troubles missed, precision {right}/{right + false}")


class TroubledHost(Host):
    """What is done to it is done beside what is done to others, by a thread that lives as long as the host: what a thread has started
    dies with it."""

    def __init__(self, trouble, begins, ends):
        events = [(begins + after, action) for after, action in trouble.events]
        if trouble.at_end:
            events.append((ends, trouble.at_end))
        if (FULL or trouble.restarted) and not events:
            events.append((begins + (ends - begins) * 4 / 5, _restart))  # once it is told
        self.hands, self.doing, self.helpers = concurrent.futures.ThreadPoolExecutor(1), [], contextlib.ExitStack()
        super().__init__(trouble.name.replace(" ", "-"), script(trouble, begins, ends), rules="", gateway=trouble.gateway, config=trouble.config,
                         events=[(second, lambda _, action=action: self.doing.append(self.hands.submit(action, self))) for second, action in events],
                         trouble=trouble)

    def collect(self):
        self.failures = [f"{error}" for each in self.doing if (error := each.exception())]
        super().collect()

    def close(self):
        self.helpers.close()
        super().close()
        self.hands.shutdown()


def _judged(troubles, warm_up, seconds, tail):
    hosts = []
    for i, each in enumerate(troubles):
        # What takes its time begins early: it is no change of anything that were to be known first.
        begins = (20 if each.within > 60 else warm_up) + i % STAGGER
        hosts.append(TroubledHost(each, begins, warm_up + i % STAGGER + seconds))
    with machine_sysctls(net__netfilter__nf_conntrack_max=ENTRIES_MOST), Field(hosts, INTERVAL) as field:
        tellings = field.run(warm_up + STAGGER + seconds, tail)
        verdicts = [Verdict(host, tellings, warm_up + STAGGER + seconds + tail) for host in hosts]
    _report(verdicts)
    forget_logs()  # what matters of them stands above
    return [f"{verdict.trouble.name}: {problem}" for verdict in verdicts for problem in verdict.problems]


def _restart(host):
    try:
        host.daemon.close()
    finally:
        host.daemon.start()


WANTED = os.environ.get("CONNTALLY_TROUBLES", "")  # for work on a few of them: an expression


def test_every_trouble_is_told_once_by_its_name():
    troubles = [each for each in TROUBLES if (FULL or not each.long) and re.search(WANTED, each.name)]
    if FULL:
        problems = [problem for first in range(0, len(troubles), 25)
                    for problem in _judged(troubles[first : first + 25], warm_up=300, seconds=200, tail=150)]
    else:
        problems = _judged(troubles, warm_up=60, seconds=75, tail=50)
    assert not problems, "\n  ".join([f"{len(problems)} problems", *problems])


main()

"""A trouble of the field: what happens on a host, and what must be told of it.

    @trouble(Told("RegularSourcesDropped", rule="tcp dport 443 counter drop"))
    async def a_wrong_rule_is_inserted(net):
        ...             # healthy traffic
        yield           # until here, for as long as the daemon needs to know this host
        ...             # the trouble begins
        yield
        ...             # it ends
"""

import random
from dataclasses import dataclass

from alert_field_traffic import HOST

TROUBLES = []


@dataclass(frozen=True)
class Told:
    """An alert that must be told, of whom where that is known, and what a person must find in its description: all that it
    `mentions`, and one at least of `anyone`."""

    alert: str
    source: str = None
    rule: str = ""  # or a part of it
    severity: str = None  # this one; otherwise warning or critical
    mentions: tuple = ()
    anyone: tuple = ()
    by: tuple = ("daemon", "prometheus")

    def is_told_by(self, telling):
        return (telling.alert == self.alert and telling.loud and self.severity in (None, telling.severity)
                and self.source in (None, telling.source))

    def lacks(self, tellings):
        """What none of them says."""
        if not any(self.rule in each.rule for each in tellings):
            return [f"the rule {self.rule}"]
        text = " ".join(f"{each.source} {each.description}" for each in tellings)
        lacking = [word for word in self.mentions if word not in text]
        return lacking + ([f"any of {', '.join(self.anyone)}"] if self.anyone and not any(word in text for word in self.anyone) else [])


@dataclass
class Trouble:
    name: str
    acts: object  # an async generator function of Net
    told: tuple
    also: frozenset  # alerts that it may bring about besides
    gateway: bool = False
    within: int = 60  # seconds, to be told; what has longer is gradual
    config: str = None
    brief: bool = False  # it may be over long before its end
    restarted: bool = False  # the daemon is restarted in its middle; in the long form that of every one that has no events is
    long: bool = False  # in the long form alone
    not_yet: str = ""  # why nobody tells it so far; once it is told this must go
    events: tuple = ()  # (seconds since it began, function of the host)
    at_end: object = None  # function of the host
    check: object = None  # function of the host: what else is wrong


def trouble(*told, also=(), **options):
    def declare(acts):
        TROUBLES.append(Trouble(acts.__name__.replace("_", " "), acts, told, frozenset(also), **options))
        return acts

    return declare


def script(trouble, begins, ends):
    """The trouble as a script of the field, with its marks."""

    async def play(net):
        acts = trouble.acts(net)
        await anext(acts)
        await net.until(begins)
        net.mark("begins")
        await anext(acts)
        await net.until(ends)
        net.mark("ends")
        async for _ in acts:
            raise AssertionError(f"{trouble.name} has a third act")

    return play


async def visits(net, people, rate, port=443, to=HOST, where="outside", **options):
    """Each of `people` comes as often as any other: `rate` connections a second in all."""
    waiting = []

    def one():
        if not waiting:
            waiting.extend(random.sample(people, len(people)))
        return net.tcp(where, waiting.pop(), to if isinstance(to, str) else random.choice(to), port, **options)

    await net.pace(rate, one)


async def questions(net, people, rate, port=53, to=HOST, where="outside"):
    """The same, of UDP questions."""
    await net.pace(rate, lambda: net.ask(where, random.choice(people), to if isinstance(to, str) else random.choice(to), port))


BURST = 10


def switched(net, rate, act):
    """act() `rate` times a second, some at a time, whenever the list that this returns has something in it."""
    on = []

    def some():
        for _ in range(BURST):
            act()

    net.spawn(net.pace(lambda _: rate / BURST if on else 0, some))
    return on

"""Prometheus text as a test wants it: values by name and labels."""

import re

from namespaces import NotThere

_LINE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: -?\d+)?$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)",?')
_ESCAPE = re.compile(r"\\(.)")


class Metrics:
    def __init__(self, text):
        self.text = text
        self.types = {}
        self.values = {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ", 3)
                self.types[name] = kind
                continue
            if not line or line.startswith("#"):
                continue
            match = _LINE.match(line)
            if not match:
                raise AssertionError(f"not a line of Prometheus text: {line!r}")
            labels = frozenset(
                (name, _ESCAPE.sub(lambda found: {"n": "\n"}.get(found[1], found[1]), value))
                for name, value in _LABEL.findall(match[2] or "")
            )
            key = (match[1], labels)
            if key in self.values:
                raise AssertionError(f"the same series twice: {line!r}")
            self.values[key] = float(match[3])

    def series(self, name, **labels):
        """{frozenset of (label, value): value} of all series of `name` that carry these labels."""
        wanted = set(labels.items())
        return {key[1]: value for key, value in self.values.items() if key[0] == name and wanted <= key[1]}

    def value(self, name, **labels):
        """The one value of exactly this series."""
        key = (name, frozenset(labels.items()))
        if key not in self.values:
            raise NotThere(f"no series {name} {labels}; there are {list(self.series(name).items())[:5]}")
        return self.values[key]

    def sum(self, name, **labels):
        return sum(self.series(name, **labels).values())

    def by_label(self, name, label):
        """{value of the label: value of the series}, summed over the other labels."""
        result = {}
        for labels, value in self.series(name).items():
            key = dict(labels).get(label, "")
            result[key] = result.get(key, 0) + value
        return result


def check_invariants(metrics, before=None):
    """What holds in every single scrape, however much is going on."""
    total = metrics.sum("conntally_connections")
    exported = metrics.sum("conntally_source_connections")
    others = metrics.value("conntally_other_sources_connections")
    assert exported + others == total, f"exported {exported} + others {others} != connections {total}"
    destinations = metrics.sum("conntally_destination_connections")
    others = metrics.value("conntally_other_destinations_connections")
    assert destinations + others == total, f"destinations {destinations} + others {others} != connections {total}"
    for group, whole in (
        ("conntally_group_connections", "conntally_connections"),
        ("conntally_group_opened_total", "conntally_connections_opened_total"),
        ("conntally_group_closed_total", "conntally_connections_closed_total"),
        ("conntally_group_dropped_packets_total", "conntally_dropped_packets_total"),
    ):
        assert metrics.sum(group) == metrics.sum(whole), f"{group} {metrics.sum(group)}, {whole} {metrics.sum(whole)}"
    unknown = [key for key, value in metrics.values.items() if value < 0 and not key[0].startswith("process_")]
    assert not unknown, f"below zero: {unknown[:5]}"
    if before is None:
        return
    for key, value in before.values.items():
        name = re.sub(r"_(bucket|sum|count)$", "", key[0])
        monotonic = metrics.types.get(key[0]) == "counter" or metrics.types.get(name) == "histogram"
        # A per-source counter may leave with its source; while it is there it never falls.
        if monotonic and key in metrics.values:
            assert metrics.values[key] >= value, f"{key} fell from {value} to {metrics.values[key]}"

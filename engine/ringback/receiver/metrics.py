"""Counters and gauges of the receiver, in the text format of Prometheus."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_HELP = {
    "answers": ("Answers to webhooks, by route and status.", ("route", "status")),
    "recorded": ("Webhooks on disk, by route and trust.", ("route", "trust")),
    "duplicates": ("Webhooks that were known already and were not recorded again.", ("route",)),
    "refused": ("Refused webhooks, by reason.", ("reason",)),
    "fallbacks": ("Calls that got the fallback TwiML, by reason.", ("reason",)),
    "twiml_unrecorded": ("Calls that were answered though they could not be recorded.", ()),
    "connections_cut": ("Connections cut because the other side was too slow.", ()),
    "worker_restarts": ("Times the worker was started again.", ()),
}


class Counts:
    """Counters by name and labels, and gauges that are read when asked for.

    Counting is a dictionary entry, because it happens on every webhook.
    """

    def __init__(self) -> None:
        self.numbers: Counter[tuple[str, ...]] = Counter()
        self.gauges: dict[str, tuple[str, float]] = {}
        self.families: dict[str, tuple[str, Sequence[str], Mapping[Sequence[str], float]]] = {}
        self.foreign: dict[str, tuple[str, Sequence[str], Mapping[tuple[str, ...], float]]] = {}
        """Counters that another process counts: help, labels, and the values by theirs."""
        self.histograms: dict[str, tuple[str, Sequence[tuple[str, float]], float]] = {}
        """Histograms of another process: help, the counts up to each bound, and the sum."""

    def add(self, name: str, *labels: str) -> None:
        """Count one."""
        self.numbers[(name, *labels)] += 1

    def total(self, name: str, *labels: str) -> int:
        """How many were counted whose labels begin like this."""
        key = (name, *labels)
        return sum(n for found, n in self.numbers.items() if found[: len(key)] == key)

    def gauge(self, name: str, help_text: str, value: float) -> None:
        """Set a gauge."""
        self.gauges[name] = (help_text, value)

    def family(self, name: str, help_text: str, label: str, values: Mapping[str, float]) -> None:
        """Set a gauge that has a value for each value of a label."""
        self.families[name] = (help_text, (label,), {(of,): value for of, value in values.items()})

    def collect(self) -> "Iterator[Metric]":
        """All of it as Prometheus wants it (the protocol of `prometheus_client` collectors)."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        for name, (text, labels) in _HELP.items():
            family = CounterMetricFamily(f"ringback_{name}", text, labels=labels)
            for (found, *values), number in list(self.numbers.items()):
                if found == name:
                    family.add_metric(values, number)
            yield family
        for name, (text, words, values_of) in list(self.foreign.items()):
            foreign = CounterMetricFamily(f"ringback_{name}", text, labels=words)
            for of_each, value in values_of.items():
                foreign.add_metric(of_each, value)
            yield foreign
        for name, (text, buckets, total) in list(self.histograms.items()):
            yield HistogramMetricFamily(
                f"ringback_{name}", text, buckets=list(buckets), sum_value=total
            )
        for name, (text, value) in self.gauges.items():
            yield GaugeMetricFamily(f"ringback_{name}", text, value=value)
        for name, (text, words, by_labels) in self.families.items():
            gauge = GaugeMetricFamily(f"ringback_{name}", text, labels=words)
            for of, value in by_labels.items():
                gauge.add_metric(of, value)
            yield gauge


def exposition(counts: Counts) -> tuple[bytes, str]:
    """The text that Prometheus scrapes, and its content type."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.process_collector import ProcessCollector
    from prometheus_client.registry import Collector

    registry = CollectorRegistry()

    class Ours(Collector):
        def collect(self) -> "Iterator[Metric]":
            return counts.collect()

    registry.register(Ours())
    ProcessCollector(registry=registry)
    return generate_latest(registry), CONTENT_TYPE_LATEST

"""What a task did: counts, and latencies in logarithmic buckets, so that tasks add up to a job."""
from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["COUNTS", "Metrics", "TransformMetrics", "quantile_seconds", "report", "summary"]

COUNTS = ("requests", "retries", "throttles", "halvings", "failures", "rows", "bytes_sent", "bytes_received")
#: Bucket b holds latencies up to 2**((b - 20) / 2) seconds: about 1 ms to 4 minutes in steps of 41 %.
BUCKETS = 36


def _bucket(seconds: float) -> int:
    return min(BUCKETS - 1, max(0, math.ceil(2 * math.log2(max(seconds, 1e-9)) + 20)))


def quantile_seconds(buckets: list[int], share: float) -> float | None:
    """The latency that ``share`` of the requests did not exceed, to within a bucket."""
    total, seen = sum(buckets), 0
    for at, count in enumerate(buckets):
        seen += count
        if total and seen >= share * total:
            return float(2 ** ((at - 20) / 2))
    return None


@dataclass
class Metrics:
    """Counts of one task, safe to change from several threads."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    buckets: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, **counts: int) -> None:
        with self._lock:
            for name, value in counts.items():
                self.counts[name] += value

    def latency(self, seconds: float) -> None:
        with self._lock:
            self.buckets[_bucket(seconds)] += 1

    def take(self) -> tuple[dict[str, int], list[int]]:
        """What was counted since the last call."""
        with self._lock:
            taken = self.counts, self.buckets
            self.counts, self.buckets = dict.fromkeys(COUNTS, 0), [0] * BUCKETS
            return taken


def report(metrics: Metrics, partition: int) -> str:
    """What a task sends to the driver."""
    counts, buckets = metrics.take()
    return json.dumps({"partition": partition, **counts, "buckets": buckets}, separators=(",", ":"))


@dataclass(frozen=True)
class TransformMetrics:
    """What the requests of one ``transform`` came to, over all partitions or for one of them.

    Attributes
    ----------
    requests : int
        Sent, retries included.
    retries, throttles, halvings, failures : int
        Requests sent again, refused for their rate, cut in two, and given up.
    rows : int
        Answered.
    bytes_sent, bytes_received : int
        Bodies only.
    p50_seconds, p99_seconds : float or None
        Latency that this share of the answered requests did not exceed, rounded up to a step of 41 %.
    partitions : tuple of (int, TransformMetrics)
        Partition number and its own figures, in order.
    """

    requests: int = 0
    retries: int = 0
    throttles: int = 0
    halvings: int = 0
    failures: int = 0
    rows: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    p50_seconds: float | None = None
    p99_seconds: float | None = None
    partitions: tuple[tuple[int, TransformMetrics], ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        def time(seconds: float | None) -> str:
            return "-" if seconds is None else f"{seconds * 1000:.0f} ms"

        return (f"{self.rows} rows in {self.requests} requests ({self.retries} retries, {self.throttles} throttles, "
                f"{self.halvings} halvings, {self.failures} failures), {self.bytes_sent / 1e6:.1f} MB sent, "
                f"{self.bytes_received / 1e6:.1f} MB received, latency p50 {time(self.p50_seconds)}, p99 "
                f"{time(self.p99_seconds)}, {len(self.partitions)} partitions")


def summary(reports: Iterable[str]) -> TransformMetrics:
    """The tasks' reports together."""
    tasks = sorted((json.loads(one) for one in reports), key=lambda task: task["partition"])
    return _figures(tasks, tuple((task["partition"], _figures([task], ())) for task in tasks))


def _figures(tasks: list[dict], partitions: tuple[tuple[int, TransformMetrics], ...]) -> TransformMetrics:
    buckets = [sum(column) for column in zip(*(task["buckets"] for task in tasks))]
    return TransformMetrics(**{name: sum(task[name] for task in tasks) for name in COUNTS},
                            p50_seconds=quantile_seconds(buckets, 0.5), p99_seconds=quantile_seconds(buckets, 0.99),
                            partitions=partitions)

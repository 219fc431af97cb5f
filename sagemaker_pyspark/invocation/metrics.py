"""What a task did: counts, and latencies in logarithmic buckets, so that tasks add up to a job."""
from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field

__all__ = ["COUNTS", "Metrics", "quantile_seconds"]

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

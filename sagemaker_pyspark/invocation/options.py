"""How requests are cut, sent and retried."""
from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """Frozen and picklable, the same for every task of a transform.

    Attributes
    ----------
    max_request_bytes, max_request_rows : int
        A request is cut at whichever comes first.
    hard_limit_bytes : int
        What the endpoint kind bears; one row above it cannot be sent.
    max_concurrency : int
        Requests a task keeps in flight at most.
    adaptive : bool
        Start with one and find what the endpoint bears: additive increase, multiplicative decrease on throttling.
    max_attempts : int
        Tries of one request for faults other than throttling.
    max_throttles : int
        Tries of one request that were throttled. Being told to wait is no failure, so there are more of these.
    backoff_seconds, backoff_cap_seconds : float
        Full jitter: a pause is uniform between 0 and ``min(cap, backoff * 2**n)``.
    retry_budget : int
        Retries a task may have open for faults other than throttling: each costs one, each answer gives one back. Keeps a
        dead endpoint from being hammered.
    on_error : {"raise", "column"}
    timeout_seconds : float
        Socket read timeout of one request.
    give_up_after : int
        After so many failed rows, or twice as many timeouts, without an answer between them it is the endpoint that is
        broken and not the rows.
    window_bytes : int
        Bytes of requests and answers that may wait for an earlier one's answer, beside those in flight.
    pool_directory : str
        Names the lock files of the job-wide bound.
    pool_size : int
        Requests all workers of an executor may have in flight; 0 for no bound.
    """

    max_request_bytes: int = 5 * 1024 * 1024
    max_request_rows: int = 2000
    hard_limit_bytes: int = 6_291_456
    max_concurrency: int = 4
    adaptive: bool = True
    max_attempts: int = 8
    max_throttles: int = 64
    backoff_seconds: float = 0.05
    backoff_cap_seconds: float = 20.0
    retry_budget: int = 200
    on_error: str = "raise"
    timeout_seconds: float = 70.0
    give_up_after: int = 20
    window_bytes: int = 32 * 1024 * 1024
    pool_directory: str = ""
    pool_size: int = 0

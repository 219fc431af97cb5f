"""Records to answers: a window of requests in flight, answered in input order, row for row."""
from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from .. import errors
from . import retry
from .limiter import Adaptive, TokenPool
from .metrics import Metrics
from .options import Options
from .slicing import Request, requests

__all__ = ["ERROR_TYPE", "Answer", "invoke"]

ERROR_TYPE = pa.struct([("code", pa.string()), ("message", pa.string()), ("http_status", pa.int32()),
                        ("request_id", pa.string()), ("attempts", pa.int32())])

_ROWS_A_BATCH = 5000
_SECONDS_A_BATCH = 0.2

#: ``(body, rows) -> Answer``. Where it has a method ``prepared(body, rows) -> (() -> Answer)``, that is called first, so that
#: signing a request takes no time from the places in flight. A method ``stopped(event)`` is told what ends a long wait.
Send = Callable[[Any, int], "Answer"]
Decode = Callable[[bytes, "str | None", "int | None"], pa.RecordBatch]


@dataclass
class Answer:
    """What an endpoint sent back."""

    body: bytes
    content_type: str | None = None
    request_id: str | None = None


def invoke(arrays: Iterator[pa.Array], send: Send, decode: Decode, body: Callable[[Any], Any], options: Options,
           schema: pa.Schema, metrics: Metrics | None = None) -> Iterator[pa.RecordBatch]:
    """Send every record and yield its answer, in order.

    Parameters
    ----------
    arrays : iterator of pyarrow.Array
        Binary, one record a row.
    send : callable
        ``(body, rows) -> Answer``; raises errors of this library.
    decode : callable
        ``(body, content_type, rows) -> RecordBatch``.
    body : callable
        A run of records to a request body.
    schema : pyarrow.Schema
        Of the answers.

    Yields
    ------
    pyarrow.RecordBatch
        ``schema``'s columns and, with ``on_error="column"``, ``error``. As many rows in all as came in.

    Raises
    ------
    InvocationError
        With ``on_error="raise"``: the first request, in row order, that failed for good. With ``"column"``: what no row
        can be blamed for (credentials, a missing endpoint, an endpoint that answers nothing at all).
    """
    run = _Run(send, decode, body, options, schema, metrics or Metrics())
    window: deque[tuple[Future[list[pa.RecordBatch]], int]] = deque()
    waiting = 0
    ready: list[pa.RecordBatch] = []
    rows_ready = 0
    waited_since = time.monotonic()
    # Two more than may be in flight: they encode, sign and decode meanwhile.
    pool = ThreadPoolExecutor(options.max_concurrency + 2, thread_name_prefix="invoke")
    cut = requests(arrays, options)
    try:
        more = True
        while more or window:
            while more and _room(len(window), waiting + run.answered, options):
                request = next(cut, None)
                if request is None:
                    more = False
                else:
                    window.append((pool.submit(run.whole, request), len(request.data)))
                    waiting += len(request.data)
            if window:
                first, size = window.popleft()
                answers = first.result()
                ready += answers
                rows_ready += sum(batch.num_rows for batch in answers)
                waiting -= size
            if ready and (not window or run.answered >= options.window_bytes or _enough(rows_ready, waited_since)):
                run.holds(-sum(batch.nbytes for batch in ready))
                yield from _joined(ready)
                ready, rows_ready, waited_since = [], 0, time.monotonic()
    finally:
        run.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        if run.pool is not None:
            run.pool.close()


def _room(window: int, waiting_bytes: int, options: Options) -> bool:
    """Whether one more request may be cut. Finished answers wait behind a slow one, so that it does not idle the others;
    small requests may be many, large ones only twice those in flight."""
    many = 16 if waiting_bytes < options.window_bytes else 2
    return window < many * options.max_concurrency


def _enough(rows: int, since: float) -> bool:
    """Whether so many answers are worth handing on: each batch costs Spark as much as some hundred rows do."""
    return rows >= _ROWS_A_BATCH or time.monotonic() - since > _SECONDS_A_BATCH


def _joined(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    return batches if len(batches) == 1 else pa.Table.from_batches(batches).combine_chunks().to_batches()


class _Run:
    """One task's state: limits, budget, metrics, and the flag that stops its threads."""

    def __init__(self, send: Send, decode: Decode, body: Callable[[Any], Any], options: Options, schema: pa.Schema,
                 metrics: Metrics):
        self.prepared: Callable[[Any, int], Callable[[], Answer]] = getattr(send, "prepared", None) or (
            lambda body, rows: partial(send, body, rows))
        self.decode, self.body, self.options, self.schema = decode, body, options, schema
        self.metrics, self.stop = metrics, threading.Event()
        self.limiter = Adaptive(options.max_concurrency, options.adaptive)
        self.pool = TokenPool(options.pool_directory, options.pool_size) if options.pool_size else None
        self.budget = retry.Budget(options.retry_budget)
        self.rng = random.Random()
        self.answered, self._lock = 0, threading.Lock()  # bytes of answers that wait to be read
        getattr(send, "stopped", lambda stop: None)(self.stop)
        self.most_rows = options.max_request_rows  # less once the endpoint could not take so many
        self.failed_in_a_row = self.slow_in_a_row = 0
        self.cause: BaseException | None = None  # of the stop: what the other threads' ends are blamed on

    def whole(self, request: Request) -> list[pa.RecordBatch]:
        """Answers of one request, counted while they wait to be read."""
        batches = self.answer(request)
        self.holds(sum(batch.nbytes for batch in batches))
        return batches

    def holds(self, size: int) -> None:
        with self._lock:
            self.answered += size

    def answer(self, request: Request, tries: int | None = None) -> list[pa.RecordBatch]:
        """Answers of one request, in one or more batches.

        Parameters
        ----------
        tries : int, optional
            Tries for faults other than throttling; halves of a request that has used up its own get two.
        """
        if request.unsendable is not None:
            return [self._error_rows(request, errors.InvocationError(request.unsendable, code="NotSent"), 0)]
        if request.rows > self.most_rows:  # learned since this request was cut
            return self._halves(request, tries)
        most = tries or self.options.max_attempts
        attempts = throttles = 0
        while True:
            started = time.monotonic()
            try:
                batch = self._once(request)
            except Exception as problem:
                if self.cause is not None:
                    raise self.cause from None
                if self.stop.is_set():  # nobody reads on: neither split nor blamed on a row
                    raise
                kind = retry.classify(problem)
                if kind == retry.THROTTLED:
                    throttles += 1
                    self.metrics.add(throttles=1)
                    self.limiter.throttled(time.monotonic() - started)
                else:
                    attempts += 1
                decision = self._decide(kind, request, attempts, throttles, most)
                if decision == "split":
                    return self._halves(request, 2 if kind == retry.RETRY else tries)
                if decision == "retry":
                    self.metrics.add(retries=1)
                    self.stop.wait(retry.pause_seconds(
                        self.options, throttles if kind == retry.THROTTLED else attempts, problem, self.rng))
                    if not self.stop.is_set():
                        continue
                return [self._failed(request, problem, kind, attempts + throttles)]
            self.failed_in_a_row = self.slow_in_a_row = 0
            self.budget.earn()
            self.limiter.succeeded()
            return [batch]

    def _halves(self, request: Request, tries: int | None) -> list[pa.RecordBatch]:
        self.metrics.add(halvings=1)
        left, right = request.halves()
        return [*self.answer(left, tries), *self.answer(right, tries)]

    def _once(self, request: Request) -> pa.RecordBatch:
        if self.stop.is_set():
            raise errors.InvocationError("stopped", code="Stopped")
        send = self.prepared(self.body(request.data), request.rows)
        with self.limiter.slot(self.stop), self._token():
            if self.stop.is_set():
                raise errors.InvocationError("stopped", code="Stopped")
            self.metrics.add(requests=1, bytes_sent=len(request.data))
            started = time.monotonic()
            answer = send()
            seconds = time.monotonic() - started
        self.metrics.latency(seconds)
        self.limiter.took(seconds)
        batch = self._decoded(answer, request)
        self.metrics.add(rows=request.rows, bytes_received=len(answer.body))
        return batch

    def _token(self) -> Any:
        return self.pool.token(self.stop) if self.pool is not None else contextlib.nullcontext()

    def _decoded(self, answer: Answer, request: Request) -> pa.RecordBatch:
        """The answer's rows, as many as were sent and typed as promised."""
        try:
            batch = self.decode(answer.body, answer.content_type, request.rows)
            if len(batch.schema) != len(self.schema):
                raise errors.UnexpectedResponse(
                    f"decode must give {len(self.schema)} columns, as the deserializer's fields say, got {len(batch.schema)}")
            if batch.num_rows == request.rows:
                return self._typed(batch)
        except errors.SageMakerError:
            raise
        except Exception as problem:  # of a codec of the user's, or of Arrow
            raise errors.UnexpectedResponse(
                f"the answer could not be decoded: {type(problem).__name__}: {problem}; it began with "
                f"{bytes(answer.body[:60])!r}", request_id=answer.request_id) from problem
        raise errors.RowCountMismatch(
            f"the answer must have {request.rows} rows, as its request had; it has {batch.num_rows}. The container "
            "drops or splits rows, or the response deserializer does not fit its answer", code="RowCountMismatch",
            rows_sent=request.rows, rows_received=batch.num_rows, request_id=answer.request_id)

    def _decide(self, kind: str, request: Request, attempts: int, throttles: int, most: int) -> str:
        """'split', 'retry' or 'fail'."""
        column = self.options.on_error == "column"
        several = request.rows > 1
        if kind == retry.THROTTLED:  # being told to wait is no failure and costs no budget
            return "retry" if throttles < self.options.max_throttles else "fail"
        if kind == retry.SLOW:
            self.slow_in_a_row += 1
            if self._hangs():
                return "fail"
            most = min(most, 3)
        if kind in (retry.TOO_LARGE, retry.SLOW) and several:
            self.most_rows = min(self.most_rows, max(1, request.rows // 2))
            return "split"
        if kind in (retry.RETRY, retry.SLOW):
            if attempts < most and self.budget.spend():
                return "retry"
            # A row that makes the container fail looks like a container that fails: its neighbours are worth another try.
            return "split" if column and several else "fail"
        return "split" if kind == retry.ROW and column and several else "fail"

    def _hangs(self) -> bool:
        return self.slow_in_a_row >= 2 * self.options.give_up_after

    def _failed(self, request: Request, problem: BaseException, kind: str, attempts: int) -> pa.RecordBatch:
        self.metrics.add(failures=1)
        self.failed_in_a_row += kind not in (retry.ROW, retry.TOO_LARGE)
        broken = self.failed_in_a_row >= self.options.give_up_after or self._hangs()
        if self.options.on_error == "raise" or kind == retry.FATAL or broken:
            self.cause = self.cause or self._described(request, problem, attempts, broken)
            self.stop.set()
            raise self.cause from problem
        return self._error_rows(request, problem, attempts)

    def _described(self, request: Request, problem: BaseException, attempts: int, broken: bool) -> BaseException:
        where = f"rows {request.first} to {request.first + request.rows - 1} of a partition"
        why = (f"{max(self.failed_in_a_row, self.slow_in_a_row)} requests in a row failed, so it is the endpoint and not a row. "
               if broken else "")
        details = dict(getattr(problem, "details", {}))
        details["attempts"] = attempts
        telling = (errors.RowCountMismatch, errors.CodecError, errors.DimensionMismatch, errors.AccessDenied,
                   errors.ExpiredCredentials, errors.NotFound)
        kind: Any = type(problem) if isinstance(problem, telling) else errors.InvocationError
        return kind(f"{where} got no answer after {attempts} tries. {why}{type(problem).__name__}: {problem}", **details)

    def _error_rows(self, request: Request, problem: BaseException, attempts: int) -> pa.RecordBatch:
        status = getattr(problem, "original_status", None) or getattr(problem, "http_status", None)
        error = {"code": getattr(problem, "code", None) or type(problem).__name__, "message": str(problem)[:2000],
                 "http_status": int(status) if status else None, "request_id": getattr(problem, "request_id", None),
                 "attempts": attempts}
        columns = [pa.nulls(request.rows, field.type) for field in self.schema]
        return pa.RecordBatch.from_arrays([*columns, pa.array([error] * request.rows, ERROR_TYPE)],
                                          [*self.schema.names, "error"])

    def _typed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = [column if column.type == field.type else column.cast(field.type)
                   for column, field in zip(batch.columns, self.schema)]
        if self.options.on_error != "column":
            return pa.RecordBatch.from_arrays(columns, self.schema.names)
        return pa.RecordBatch.from_arrays([*columns, pa.nulls(batch.num_rows, ERROR_TYPE)], [*self.schema.names, "error"])

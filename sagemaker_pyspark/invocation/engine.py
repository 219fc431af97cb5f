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
    window: deque[Future[list[pa.RecordBatch]]] = deque()
    # Twice the concurrency: finished answers may wait behind a slow one, but not without bound.
    most = 2 * options.max_concurrency
    pool = ThreadPoolExecutor(options.max_concurrency, thread_name_prefix="invoke")
    cut = requests(arrays, options)
    try:
        more = True
        while more or window:
            while more and len(window) < most:
                request = next(cut, None)
                if request is None:
                    more = False
                else:
                    window.append(pool.submit(run.answer, request))
            if window:
                yield from window.popleft().result()
    finally:
        run.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


class _Run:
    """One task's state: limits, budget, metrics, and the flag that stops its threads."""

    def __init__(self, send: Send, decode: Decode, body: Callable[[Any], Any], options: Options, schema: pa.Schema,
                 metrics: Metrics):
        self.send, self.decode, self.body, self.options, self.schema = send, decode, body, options, schema
        self.metrics, self.stop = metrics, threading.Event()
        self.limiter = Adaptive(options.max_concurrency, options.adaptive)
        self.pool = TokenPool(options.pool_directory, options.pool_size) if options.pool_size else None
        self.budget = retry.Budget(options.retry_budget)
        self.rng = random.Random()
        self.failed_in_a_row = 0
        self.cause: BaseException | None = None  # of the stop: what the other threads' ends are blamed on

    def answer(self, request: Request) -> list[pa.RecordBatch]:
        """Answers of one request, in one or more batches."""
        if request.unsendable is not None:
            return [self._error_rows(request, errors.InvocationError(request.unsendable, code="NotSent"), 0)]
        attempts = throttles = 0
        while True:
            started = time.monotonic()
            try:
                batch = self._once(request)
            except Exception as problem:
                if self.cause is not None:
                    raise self.cause from None
                kind = retry.classify(problem)
                attempts += 1
                if kind == retry.THROTTLED:
                    throttles += 1
                    self.metrics.add(throttles=1)
                    self.limiter.throttled(time.monotonic() - started)
                again = self._again(kind, request, attempts - throttles, throttles)
                if again == "split":
                    self.metrics.add(halvings=1)
                    left, right = request.halves()
                    return [*self.answer(left), *self.answer(right)]
                if again == "retry":
                    self.metrics.add(retries=1)
                    self.stop.wait(retry.pause_seconds(self.options, attempts, problem, self.rng))
                    if not self.stop.is_set():
                        continue
                return [self._failed(request, problem, kind, attempts)]
            self.failed_in_a_row = 0
            self.budget.earn()
            self.limiter.succeeded()
            return [self._with_error_column(batch)]

    def _once(self, request: Request) -> pa.RecordBatch:
        token = self.pool.token(self.stop) if self.pool is not None else contextlib.nullcontext()
        with self.limiter.slot(self.stop), token:
            if self.stop.is_set():
                raise errors.InvocationError("stopped", code="Stopped")
            self.metrics.add(requests=1, bytes_sent=len(request.data))
            started = time.monotonic()
            answer = self.send(self.body(request.data), request.rows)
            self.metrics.latency(time.monotonic() - started)
        batch = self.decode(answer.body, answer.content_type, request.rows)
        if batch.num_rows != request.rows:
            raise errors.RowCountMismatch(
                f"the answer must have {request.rows} rows, as its request had; it has {batch.num_rows}. The container "
                "drops or splits rows, or the response deserializer does not fit its answer", code="RowCountMismatch",
                rows_sent=request.rows, rows_received=batch.num_rows, request_id=answer.request_id)
        self.metrics.add(rows=request.rows, bytes_received=len(answer.body))
        return batch

    def _again(self, kind: str, request: Request, attempts: int, throttles: int) -> str:
        """'split', 'retry' or 'fail'."""
        options = self.options
        if kind == retry.SPLIT:
            if request.rows > 1:
                return "split"
            kind = retry.RETRY  # one row that is too slow may be luckier next time; one that is too large is not
            attempts = max(attempts, options.max_attempts - 2)
        if kind == retry.ROW:
            return "split" if options.on_error == "column" and request.rows > 1 else "fail"
        if kind == retry.FATAL:
            return "fail"
        left = throttles < options.max_throttles if kind == retry.THROTTLED else attempts < options.max_attempts
        return "retry" if left and self.budget.spend() else "fail"

    def _failed(self, request: Request, problem: BaseException, kind: str, attempts: int) -> pa.RecordBatch:
        self.metrics.add(failures=1)
        self.failed_in_a_row += kind != retry.ROW
        broken = self.failed_in_a_row >= self.options.give_up_after
        if self.options.on_error == "raise" or kind == retry.FATAL or broken:
            self.cause = self.cause or self._described(request, problem, attempts, broken)
            self.stop.set()
            raise self.cause from problem
        return self._error_rows(request, problem, attempts)

    def _described(self, request: Request, problem: BaseException, attempts: int, broken: bool) -> BaseException:
        where = f"rows {request.first} to {request.first + request.rows - 1} of a partition"
        why = f"{self.failed_in_a_row} requests in a row failed, so it is the endpoint and not a row. " if broken else ""
        details = dict(getattr(problem, "details", {}))
        details["attempts"] = attempts
        telling = (errors.RowCountMismatch, errors.CodecError, errors.AccessDenied, errors.ExpiredCredentials, errors.NotFound)
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

    def _with_error_column(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = [column if column.type == field.type else column.cast(field.type)
                   for column, field in zip(batch.columns, self.schema)]
        if self.options.on_error != "column":
            return pa.RecordBatch.from_arrays(columns, self.schema.names)
        return pa.RecordBatch.from_arrays([*columns, pa.nulls(batch.num_rows, ERROR_TYPE)], [*self.schema.names, "error"])

"""The invocation engine: boundaries, order, retries, halving, bounds and clean ends."""
import random
import threading
import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sagemaker_pyspark import errors
from sagemaker_pyspark.invocation import retry
from sagemaker_pyspark.invocation.engine import Answer, invoke
from sagemaker_pyspark.invocation.limiter import Adaptive, TokenPool
from sagemaker_pyspark.invocation.metrics import Metrics, quantile_seconds
from sagemaker_pyspark.invocation.options import Options
from sagemaker_pyspark.invocation.slicing import requests

SCHEMA = pa.schema([("f0", pa.int64())])
FAST = {"backoff_seconds": 0.0005, "backoff_cap_seconds": 0.002}


def records(numbers):
    return pa.array([None if n is None else b"%06d\n" % n for n in numbers], pa.large_binary())


def decode(body, content_type=None, rows=None):
    return pa.RecordBatch.from_pydict({"f0": [int(x) for x in body.split()]}, SCHEMA)


def echo(body, rows):
    return Answer(bytes(body))


def run(arrays, send=echo, metrics=None, **options):
    batches = list(invoke(iter(arrays), send, decode, bytes, Options(**{**FAST, **options}), SCHEMA, metrics))
    return [row for batch in batches for row in batch.to_pylist()]


@pytest.mark.parametrize("rows", [1, 6, 7, 8, 13, 14, 15])
def test_requests_are_cut_at_rows_and_filled_across_arrays(rows):
    sizes = []
    run([records(range(4)), records(range(4, 5)), records([]), records(range(5, rows))] if rows > 5 else [records(range(rows))],
        lambda body, n: sizes.append(n) or echo(body, n), max_request_rows=7, max_concurrency=1)
    assert sizes == [7] * (rows // 7) + ([rows % 7] if rows % 7 else [])


@pytest.mark.parametrize("limit, size", [(20, 2), (21, 3), (22, 3), (27, 3), (28, 4)])
def test_requests_are_cut_at_bytes(limit, size):
    cut = list(requests(iter([records(range(12))]), Options(max_request_bytes=limit)))  # 7 bytes a record
    assert [r.rows for r in cut] == [size] * (12 // size) + ([12 % size] if 12 % size else [])
    assert b"".join(bytes(r.data) for r in cut) == b"".join(b"%06d\n" % n for n in range(12))


def test_one_record_above_the_limits():
    big = pa.array([b"1\n", b"9" * 50 + b"\n", b"2\n"], pa.large_binary())
    assert [r.rows for r in requests(iter([big]), Options(max_request_bytes=10, hard_limit_bytes=100))] == [1, 1, 1]
    with pytest.raises(errors.RecordTooLarge, match="row 1.*51 bytes"):
        list(requests(iter([big]), Options(max_request_bytes=10, hard_limit_bytes=20)))
    rows = run([pa.array([b"1\n", b"9" * 50, b"2\n"], pa.large_binary())], max_request_bytes=10, hard_limit_bytes=20,
               on_error="column")
    assert [r["f0"] for r in rows] == [1, None, 2] and rows[1]["error"]["code"] == "NotSent"


FAULTS = [lambda: errors.Throttled("slow", code="ThrottlingException", http_status=400),
          lambda: errors.AwsError("oops", code="InternalFailure", http_status=500),
          lambda: errors.AwsError("cold", code="ModelNotReadyException", http_status=429),
          lambda: errors.Unreachable("gone", code="ConnectionClosedError"),
          lambda: errors.AwsError("big", code="ModelError", http_status=424, original_status=413),
          lambda: errors.Unreachable("late", code="ReadTimeoutError")]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=6), st.integers(1, 9), st.integers(1, 5), st.integers(0, 2**32), st.booleans())
def test_whatever_happens_row_i_has_the_answer_of_row_i(sizes, most, threads, seed, column):
    rng, lock = random.Random(seed), threading.Lock()

    def flaky(body, rows):
        with lock:
            # What halving answers is final for one row: too large stays too large, and a timeout is given three tries.
            fault = rng.choice(FAULTS if rows > 1 else FAULTS[:4])() if rng.random() < 0.3 else None
        if fault:
            raise fault
        return echo(body, rows)

    starts = np.cumsum([0, *sizes])
    arrays = [records(range(a, b)).slice(0) for a, b in zip(starts, starts[1:])]
    rows = run(arrays, flaky, max_request_rows=most, max_concurrency=threads, max_attempts=50, max_throttles=200,
               retry_budget=10000, on_error="column" if column else "raise")
    assert [r["f0"] for r in rows] == list(range(int(starts[-1])))


@pytest.mark.parametrize("problem, tries", [
    (errors.AwsError("bad", code="ModelError", http_status=424, original_status=400), 1),
    (errors.AwsError("bad", code="ValidationError", http_status=400), 1),
    (errors.AccessDenied("no", code="AccessDeniedException", http_status=403), 1),
    (errors.NotFound("no", code="ValidationError"), 1),
    (errors.AwsError("oops", code="InternalFailure", http_status=500), 3),
    (errors.AwsError("oops", code="ModelError", http_status=424, original_status=500), 3)])
def test_what_is_retried_and_how_often(problem, tries):
    calls = []

    def failing(body, rows):
        calls.append(rows)
        raise problem

    with pytest.raises(errors.SageMakerError, match="rows 0 to 4 of a partition") as caught:
        run([records(range(5))], failing, max_attempts=3)
    assert len(calls) == tries and caught.value.attempts == tries


def test_retry_after_is_honoured():
    calls = []

    def once(body, rows):
        calls.append(time.monotonic())
        if len(calls) == 1:
            raise errors.Throttled("slow", code="ThrottlingException", retry_after="0.2")
        return echo(body, rows)

    run([records(range(2))], once)
    assert calls[1] - calls[0] >= 0.2


def test_bisecting_finds_the_refused_rows():
    bad = {3, 17}

    def picky(body, rows):
        if bad & {int(x) for x in bytes(body).split()}:
            raise errors.AwsError("bad row", code="ModelError", http_status=424, original_status=400, request_id="r")
        return echo(body, rows)

    rows = run([records(range(40))], picky, on_error="column", max_request_rows=20)
    assert {i for i, r in enumerate(rows) if r["error"]} == bad
    assert rows[3]["error"] == {"code": "ModelError", "message": "bad row", "http_status": 400, "request_id": "r", "attempts": 1}
    assert [r["f0"] for i, r in enumerate(rows) if i not in bad] == [i for i in range(40) if i not in bad]


def refused(status):
    return errors.AwsError("no", code="ModelError", http_status=424, original_status=status)


def test_a_row_that_breaks_the_container_does_not_cost_its_neighbours():
    def breaks(body, rows):
        if {3, 17} & {int(x) for x in bytes(body).split()}:
            raise refused(500)
        return echo(body, rows)

    rows = run([records(range(40))], breaks, on_error="column", max_request_rows=20, max_attempts=3)
    assert {i for i, r in enumerate(rows) if r["error"]} == {3, 17}
    with pytest.raises(errors.InvocationError, match="rows 0 to 19"):
        run([records(range(40))], breaks, max_request_rows=20, max_attempts=3)


def test_one_row_that_is_too_large_is_not_sent_again():
    sent = []

    def small_only(body, rows):
        sent.append(rows)
        if b"000003" in bytes(body):
            raise refused(413)
        return echo(body, rows)

    rows = run([records(range(8))], small_only, on_error="column", max_concurrency=1)
    assert [i for i, r in enumerate(rows) if r["error"]] == [3] and sent.count(1) <= 4 + 4
    assert rows[3]["error"]["http_status"] == 413 and rows[3]["error"]["attempts"] == 1


def test_what_an_endpoint_cannot_take_is_learned():
    sizes = []

    def at_most_five(body, rows):
        sizes.append(rows)
        if rows > 5:
            raise errors.Unreachable("late", code="ReadTimeoutError")
        return echo(body, rows)

    rows = run([records(range(400))], at_most_five, max_request_rows=40, max_concurrency=1)
    assert [r["f0"] for r in rows] == list(range(400))
    assert sum(size > 5 for size in sizes) == 3  # 40, 20, 10, and never again


def test_an_endpoint_that_never_answers_is_given_up():
    calls = []

    def hangs(body, rows):
        calls.append(rows)
        raise errors.Unreachable("late", code="ReadTimeoutError")

    for mode in ("raise", "column"):
        calls.clear()
        with pytest.raises(errors.InvocationError):
            run([records(range(5000))], hangs, on_error=mode, max_request_rows=1000, give_up_after=10)
        assert len(calls) <= 2 * 10 + 8


def test_throttling_costs_no_retry_budget():
    throttles = iter(range(50))

    def busy(body, rows):
        if next(throttles, None) is not None:
            raise errors.Throttled("slow", code="ThrottlingException")
        return echo(body, rows)

    assert len(run([records(range(4))], busy, retry_budget=1, max_attempts=1)) == 4


@pytest.mark.parametrize("decoded", [
    lambda rows: pa.RecordBatch.from_pydict({"f0": ["x"] * rows}),  # not a number
    lambda rows: pa.RecordBatch.from_pydict({"a": [1] * rows, "b": [1] * rows}),  # a column too many
    lambda rows: 1 / 0])
def test_an_answer_that_cannot_be_decoded_has_a_type_of_ours(decoded):
    def attempt(mode):
        batches = invoke(iter([records(range(5))]), echo, lambda body, kind, rows: decoded(rows), bytes,
                         Options(on_error=mode, **FAST), SCHEMA)
        return [row for batch in batches for row in batch.to_pylist()]

    with pytest.raises(errors.UnexpectedResponse, match="rows 0 to 4"):
        attempt("raise")
    assert [row["error"]["code"] for row in attempt("column")] == ["UnexpectedResponse"] * 5


@pytest.mark.parametrize("mode", ["raise", "column"])
def test_an_early_end_sends_and_splits_nothing_more(mode):
    gate, signed = threading.Event(), []

    class Sender:
        def prepared(self, body, rows):
            signed.append(rows)

            def send():
                if len(signed) > 3:
                    gate.wait(0.2)
                return echo(body, rows)

            return send

    metrics = Metrics()
    stream = invoke((records(range(at, at + 1000)) for at in range(0, 50000, 1000)), Sender(), decode, bytes,
                    Options(on_error=mode, max_request_rows=1000, **FAST), SCHEMA, metrics)
    next(stream)
    stream.close()
    assert metrics.counts["halvings"] == metrics.counts["failures"] == 0 and set(signed) == {1000}


def test_large_answers_do_not_pile_up_behind_a_slow_one():
    gate, answered = threading.Event(), []

    def wide(body, content_type=None, rows=None):
        answered.append(rows)
        return pa.RecordBatch.from_arrays([pa.array([[0.0] * 10_000] * rows, pa.list_(pa.float64()))], ["f0"])

    def first_waits(body, rows):
        if bytes(body).startswith(b"000000"):
            gate.wait(1.0)
        return echo(body, rows)

    stream = invoke((records(range(at, at + 10)) for at in range(0, 4000, 10)), first_waits, wide, bytes,
                    Options(max_request_rows=10, max_concurrency=2, window_bytes=4 << 20, adaptive=False),
                    pa.schema([("f0", pa.list_(pa.float64()))]))
    next(stream)
    assert sum(answered) * 80_000 < 30 << 20  # of 320 MB
    stream.close()


def test_a_row_of_another_width_is_the_rows_fault():
    def scorer(body, rows):
        if b"000003" in bytes(body):
            raise errors.DimensionMismatch("rows must have 2 features, got 3")
        return echo(body, rows)

    rows = run([records(range(8))], scorer, on_error="column")
    assert [i for i, r in enumerate(rows) if r["error"]] == [3] and rows[3]["error"]["code"] == "DimensionMismatch"
    with pytest.raises(errors.DimensionMismatch):
        run([records(range(8))], scorer)


def test_a_retry_after_of_a_day_is_not_waited_for():
    for asked in ("86400", "inf", "nonsense"):
        problem = errors.Throttled("slow", code="ThrottlingException", retry_after=asked)
        assert retry.pause_seconds(Options(), 1, problem, random.Random(0)) <= 300


def test_a_refusal_about_the_size_is_halved():
    for message in ("Request 9f has oversize body.", "Member must have length less than or equal to 6291456 at 'body'"):
        problem = errors.AwsError(message, code="ValidationError", http_status=400)

        def small(body, rows, problem=problem):
            if rows > 2:
                raise problem
            return echo(body, rows)

        assert len(run([records(range(9))], small)) == 9


def test_a_slow_answer_does_not_idle_the_others():
    """One request takes long; the others are sent meanwhile, up to the window."""
    gate, sent = threading.Event(), []

    def first_waits(body, rows):
        sent.append(bytes(body)[:6])
        if bytes(body).startswith(b"000000"):
            assert gate.wait(20)
        elif len(sent) == 30:
            gate.set()
        return echo(body, rows)

    rows = run([records(range(40))], first_waits, max_request_rows=1, max_concurrency=4, adaptive=False)
    assert [r["f0"] for r in rows] == list(range(40))


@pytest.mark.parametrize("by", [-1, 1])
def test_another_number_of_rows_is_always_an_error(by):
    def wrong(body, rows):
        lines = bytes(body).split(b"\n")[:-1]
        return Answer(b"\n".join(lines[:-1] if by < 0 else lines + lines[-1:]))

    with pytest.raises(errors.RowCountMismatch, match="must have 5 rows"):
        run([records(range(5))], wrong)
    rows = run([records(range(5))], wrong, on_error="column")
    assert len(rows) == 5 and all(r["error"]["code"] == "RowCountMismatch" and r["f0"] is None for r in rows)


def test_a_dead_endpoint_is_given_up_also_with_an_error_column():
    def dead(body, rows):
        raise errors.Unreachable("gone", code="EndpointConnectionError")

    with pytest.raises(errors.InvocationError, match="endpoint and not a row"):
        run([records(range(500))], dead, on_error="column", max_request_rows=1, max_attempts=2, give_up_after=10)


def test_memory_is_bounded_and_threads_end():
    pulled = 0
    before = threading.active_count()

    def arrays():
        nonlocal pulled
        for at in range(2000):
            pulled += 1
            yield records(range(at * 10, at * 10 + 10))

    stream = invoke(arrays(), echo, decode, bytes, Options(max_request_rows=10, max_concurrency=4), SCHEMA)
    next(stream)
    assert pulled <= 16 * 4 + 2 + 500  # those in the window, and a batch of 5000 rows
    stream.close()
    assert threading.active_count() == before
    pulled = 0
    stream = invoke(arrays(), echo, decode, bytes, Options(max_request_rows=10, max_concurrency=4, window_bytes=70), SCHEMA)
    next(stream)
    assert pulled <= 2 * 4 + 2  # large requests: no more of them than it takes
    stream.close()


def test_throughput_with_latency():
    """Not a timing claim: eight in flight must be well beyond one at a time."""
    def slow(body, rows):
        time.sleep(0.02)
        return echo(body, rows)

    started = time.monotonic()
    rows = run([records(range(4000))], slow, max_request_rows=50, max_concurrency=8, adaptive=False)
    assert len(rows) == 4000 and time.monotonic() - started < 0.5 * 80 * 0.02


def test_the_adaptive_limit_grows_and_shrinks():
    limit = Adaptive(16)
    for _ in range(40):
        limit.succeeded()
    assert limit.limit == 16
    limit.took(60.0)
    limit.throttled(0.001)
    limit.throttled(0.001)  # of the same round trip, however fast the refusal came
    assert limit.limit == 16 * 0.8
    limit = Adaptive(16)
    for _ in range(100):
        limit.throttled(0.0)
    assert limit.limit == 1


def test_tokens_are_shared_and_come_back(tmp_path):
    import multiprocessing

    pool, stop = TokenPool(str(tmp_path / "pool"), 2), threading.Event()
    with pool.token(stop), pool.token(stop):
        late = threading.Thread(target=stop.set)
        taken = []

        def third():
            with pool.token(stop):
                taken.append(1)

        waiter = threading.Thread(target=third)
        waiter.start()
        waiter.join(0.1)
        assert waiter.is_alive()
    waiter.join(5)
    assert taken and not late.is_alive()

    def die():
        import os

        assert TokenPool(str(tmp_path / "pool"), 2)._acquire(threading.Event()) is not None
        os._exit(9)  # without giving the token back

    pool.close()
    for _ in range(3):
        child = multiprocessing.get_context("fork").Process(target=die)
        child.start()
        child.join(10)
    with pool.token(stop), pool.token(stop):
        pass


def test_metrics():
    metrics = Metrics()
    run([records(range(100))], metrics=metrics, max_request_rows=10)
    counts, buckets = metrics.take()
    assert (counts["requests"], counts["rows"], counts["bytes_sent"]) == (10, 100, 700) and sum(buckets) == 10
    assert quantile_seconds([0] * 10 + [5] + [0] * 25, 0.5) == 2 ** -5
    assert metrics.take()[0]["rows"] == 0


def test_the_error_is_the_cause_and_not_its_echo():
    """Requests that are stopped because another one failed must not be what the user reads."""
    for _ in range(20):
        def failing(body, rows):
            if bytes(body).startswith(b"000007"):
                raise errors.AccessDenied("the cause", code="AccessDeniedException", http_status=403)
            time.sleep(0.002)
            raise errors.Throttled("slow", code="ThrottlingException")

        with pytest.raises(errors.AccessDenied, match="the cause"):
            run([records(range(40))], failing, max_request_rows=1, max_concurrency=8, adaptive=False)

"""Rows per second of ``transform`` against the loop a user would write, and against what the endpoint can give.

The endpoint is the local one, with a fixed latency (as a bare socket sees it, the server's own time included) and a
concurrency limit beyond which it throttles. Three ways, side by side: ours, ten lines of boto3 inside ``mapInPandas``, and the
theoretical limit: concurrency x rows a request / latency. Every time is that of a whole action, the start of Spark's job
included (a few tenths of a second); by hand and with faults a fifth of the rows is scored, since the first is so much slower.
"""
from __future__ import annotations

import argparse
import os
import re
import socket
import statistics
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
os.environ.setdefault("PYSPARK_PYTHON", sys.executable)

LATENCY, CONCURRENCY, BATCH = 0.02, 10, 100


def by_hand(df, url, endpoint):
    """What the pages and threads about this show: a client a task, batches, one request at a time."""
    def score(frames):
        import boto3

        client = boto3.client("sagemaker-runtime", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x",
                              aws_secret_access_key="y")
        for frame in frames:
            out = []
            for at in range(0, len(frame), BATCH):
                part = frame.iloc[at:at + BATCH]
                body = "\n".join(",".join(map(str, row)) for row in part["features"])
                answer = client.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Accept="text/csv", Body=body)
                out += [float(line) for line in answer["Body"].read().decode().splitlines()]
            yield frame.assign(score=out)

    return df.mapInPandas(score, "id long, features array<double>, score double")


def wire_latency(url, endpoint, body):
    """Median seconds from the first byte sent to the last received, over one open connection."""
    address = urlsplit(url)
    head = (f"POST /endpoints/{endpoint}/invocations HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: text/csv\r\n"
            f"Accept: text/csv\r\nContent-Length: {len(body)}\r\n\r\n").encode()
    taken = []
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(60):
            started = time.perf_counter()
            connection.sendall(head + body)
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += connection.recv(65536)
            head_, _, rest = answer.partition(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", head_.lower())[1])
            while len(rest) < length:
                rest += connection.recv(65536)
            taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_500_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    from pyspark.sql import SparkSession

    from sagemaker_pyspark import SageMakerModel, local
    from sagemaker_pyspark.transformation.deserializers import LinearLearnerRegressorProtobufResponseRowDeserializer
    from sagemaker_pyspark.transformation.serializers import ProtobufRequestRowSerializer

    spark = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
             .config("spark.ui.showConsoleProgress", "false").getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    def frame(rows):
        made = spark.range(0, rows, 1, 2).selectExpr("id", "transform(sequence(1, 10), x -> double(id)) features").cache()
        made.count()
        return made

    fewer = options.rows // 5
    df, fifth = frame(options.rows), frame(fewer)
    limit = CONCURRENCY * BATCH / LATENCY

    def made(aws):
        return SageMakerModel("ml.m5.xlarge", 1, ProtobufRequestRowSerializer(),
                              LinearLearnerRegressorProtobufResponseRowDeserializer(), modelImage="slow:1",
                              modelExecutionRoleARN=aws.role_arn)

    with local.SageMaker(images={"slow:1": local.Echo(LATENCY)}) as aws, made(aws).deployed() as probe:
        beyond = wire_latency(aws.endpoint_url, probe.endpointName, b"1,2,3\n" * BATCH) - LATENCY
    with local.SageMaker(images={"slow:1": local.Echo(LATENCY - beyond, CONCURRENCY)}) as aws:
        model = made(aws)
        model.setMaxRequestRows(BATCH).setMaxConcurrency(CONCURRENCY).setRequestsInFlight(CONCURRENCY).setSendOnce(False)
        with model.deployed():
            def ours(df=df):
                out = model.transform(df)
                return out.selectExpr("count(*)", "sum(cast(score != id as int))").first()

            def hand(df=fifth):
                out = by_hand(df, aws.endpoint_url, model.endpointName)
                return out.selectExpr("count(*)", "sum(cast(score != id as int))").first()

            ours(fifth), hand(fifth.limit(fewer // 5))  # both warm
            rates = {"ours": [], "by hand": []}
            for _ in range(options.runs):
                for name, run, rows in (("ours", ours, options.rows), ("by hand", hand, fewer)):
                    started = time.perf_counter()
                    assert tuple(run()) == (rows, 0)
                    rates[name].append(rows / (time.perf_counter() - started))
            median = {name: statistics.median(values) for name, values in rates.items()}
            seen = wire_latency(aws.endpoint_url, model.endpointName, b"1,2,3\n" * BATCH)
            print(f"{options.rows} rows, latency {LATENCY * 1000:.0f} ms ({seen * 1000:.1f} on the wire), concurrency {CONCURRENCY}, {BATCH} rows a request, "
                  f"medians of {options.runs} runs, rows per second")
            print(f"  limit of the endpoint {limit:10.0f}")
            print(f"  ours                  {median['ours']:10.0f}   {median['ours'] / limit:.0%} of the limit")
            print(f"  by hand               {median['by hand']:10.0f}   ours is {median['ours'] / median['by hand']:.1f} times as fast")
            for share in (0.1, 0.3):
                aws.faults.clear()
                aws.faults.add("InvokeEndpoint", throttle=share)
                aws.faults.add("InvokeEndpoint", error="InternalFailure", status=500, probability=0.01)
                started = time.perf_counter()
                rows, wrong = ours(fifth)
                print(f"  {share:.0%} throttled, 1% failing: {rows / (time.perf_counter() - started):10.0f}   "
                      f"{(rows - wrong) / fewer:.1%} of the rows right")
            aws.faults.clear()
    spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())

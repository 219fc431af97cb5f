"""Failures on purpose: in the words of the service that would fail, and recorded."""
import concurrent.futures
import urllib.error
import urllib.request

import botocore.exceptions
import pytest
from clients import client, code_of, endpoint, model, refused, until

from sagemaker_pyspark import errors


@pytest.fixture
def served(aws):
    """An endpoint that takes 0.02 s a request, eight at a time."""
    sm = client(aws, "sagemaker")
    model(sm, "faulty", "local/slow:1")
    endpoint(sm, "faulty", "faulty")
    yield client(aws, "sagemaker-runtime")
    aws.faults.clear()
    sm.delete_endpoint(EndpointName="faulty")
    sm.delete_endpoint_config(EndpointConfigName="faulty")
    sm.delete_model(ModelName="faulty")


def invoke(runtime, body=b"1\n", **more):
    return runtime.invoke_endpoint(EndpointName="faulty", Body=body, ContentType="text/csv", **more)["Body"].read()


@pytest.mark.parametrize("fault", [{"disconnect": True}, {"ambiguous": True}])
def test_a_dropped_call_is_recorded_and_not_counted(aws, served, fault):
    aws.faults.add("InvokeEndpoint", **fault)
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        invoke(served)
    assert [(r["resource"], r["rows"], r["status"]) for r in aws.requests if r["operation"] == "InvokeEndpoint"] == [("faulty", 1, 0)]
    assert aws.count("InvokeEndpoint") == 0


def test_s3_throttles_in_its_own_words(aws):
    s3, sm = client(aws, "s3"), client(aws, "sagemaker")
    aws.faults.add("*", throttle=1.0)
    response = refused(s3.list_buckets)
    assert response["Error"]["Code"] == "SlowDown" and response["ResponseMetadata"]["HTTPStatusCode"] == 503
    response = refused(sm.list_models)
    assert response["Error"]["Code"] == "ThrottlingException" and response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert refused(client(aws, "sts").get_caller_identity)["Error"]["Code"] == "ThrottlingException"


def test_retry_after_goes_with_the_error(aws, served):
    aws.faults.add("InvokeEndpoint", throttle=1.0, retry_after=7)
    assert refused(invoke, runtime=served)["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "7"
    aws.faults.clear()
    aws.faults.add("PutObject", error="SlowDown", status=503, retry_after=2)
    headers = refused(client(aws, "s3").put_object, Bucket=aws.bucket, Key="k", Body=b"")["ResponseMetadata"]["HTTPHeaders"]
    assert headers["retry-after"] == "2"


def test_a_body_over_the_limit(aws, served):
    aws.faults.add("InvokeEndpoint", over_bytes=4)
    assert invoke(served, b"1\n2\n") == b"1.0\n2.0\n"
    code, message = code_of(invoke, runtime=served, body=b"1\n2\n3\n")
    assert code == "ValidationError" and message.endswith("Member must have length less than or equal to 4")
    aws.faults.clear()
    assert code_of(invoke, runtime=served, body=b"1" * (6 * 1024 * 1024 + 1))[1].endswith("less than or equal to 6291456")


def test_more_requests_at_a_time_than_allowed_are_throttled(aws, served):
    aws.faults.add("InvokeEndpoint", latency=1.0)  # long enough for all five to arrive
    aws.faults.add("InvokeEndpoint", over_concurrency=2)

    def one(_):
        try:
            return invoke(served)
        except botocore.exceptions.ClientError as problem:
            return problem.response["Error"]["Code"]

    with concurrent.futures.ThreadPoolExecutor(5) as threads:
        answers = list(threads.map(one, range(5)))
    assert answers.count(b"1.0\n") == 2 and answers.count("ThrottlingException") == 3
    assert one(0) == b"1.0\n"  # what has ended is not in flight


def test_a_request_that_hangs_is_under_way_until_its_client_gives_up(aws, served):
    aws.faults.add("InvokeEndpoint", hang=True, first=1)
    aws.faults.add("InvokeEndpoint", over_concurrency=1, error="ServiceUnavailable", status=503)
    request = urllib.request.Request(f"{aws.endpoint_url}/endpoints/faulty/invocations", b"1\n", {"Content-Type": "text/csv"})
    with pytest.raises(OSError):
        urllib.request.urlopen(request, timeout=0.5)
    assert [r["status"] for r in aws.requests if r["operation"] == "InvokeEndpoint"] == [0]

    def free():
        try:
            return invoke(served)
        except botocore.exceptions.ClientError as problem:
            assert problem.response["Error"]["Code"] == "ServiceUnavailable"

    assert until(free) == b"1.0\n"


def test_a_fault_that_does_not_exist_is_refused(aws):
    with pytest.raises(errors.InvalidParameter, match="over_bytes.*got overbytes"):
        aws.faults.add("InvokeEndpoint", overbytes=1)


@pytest.mark.parametrize("target", ["SageMaker.ListModels", "Logs_20140328.GetLogEvents"])
@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_a_body_that_is_not_json(aws, target, body):
    request = urllib.request.Request(aws.endpoint_url, body, {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    assert caught.value.code == 400 and b"SerializationException" in caught.value.read()


def test_a_member_of_another_type_is_named(aws):
    request = urllib.request.Request(aws.endpoint_url, b'{"ResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:model/x", "Tags": 5}',
                                     {"X-Amz-Target": "SageMaker.AddTags"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    assert caught.value.code == 400 and b"must be a list" in caught.value.read()

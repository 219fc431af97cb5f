"""Models and endpoints: where model data comes from, who answers, and what happens when that changes."""
import io
import json
import tarfile
import threading

import pytest
from clients import ROLE, client, code_of, config, endpoint, in_service, mirror, model, until

from sagemaker_pyspark import local


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    images = {"mirror:1": mirror(tmp_path_factory.mktemp("image")), "echo:1": local.Echo(), "busy:1": local.Echo(0.5, 1)}
    with local.SageMaker(images=images, activate=False) as aws:
        yield aws


@pytest.fixture(scope="module")
def sm(other):
    return client(other, "sagemaker")


@pytest.fixture(scope="module")
def s3(other):
    s3 = client(other, "s3")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("weights")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    for key, body in {"m/weights": b"abc", "m/deep/er/bias": b"de", "packed.tar.gz": packed.getvalue(), "bad/a//b": b"x"}.items():
        s3.put_object(Bucket=other.bucket, Key=key, Body=body)
    return s3


def asked(other, name, body=b"x", **more):
    return json.loads(client(other, "sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=body, **more)["Body"].read())


def source(other, key, kind, compression):
    return {"S3DataSource": {"S3Uri": f"s3://{other.bucket}/{key}", "S3DataType": kind, "CompressionType": compression}}


def test_the_automatic_bucket(other, s3):
    assert other.bucket == "sagemaker-us-east-1-123456789012"
    assert other.bucket in [b["Name"] for b in s3.list_buckets()["Buckets"]]
    assert not any(r["operation"] == "CreateBucket" for r in other.requests)


@pytest.mark.parametrize("key, kind, compression, files", [
    ("m/", "S3Prefix", "None", {"weights": "abc", "deep/er/bias": "de"}),
    ("packed.tar.gz", "S3Object", "Gzip", {"weights": "abc"}),
    ("m/deep/er/bias", "S3Object", "None", {"bias": "de"})], ids=["prefix", "archive", "object"])
def test_model_data_source(other, sm, s3, key, kind, compression, files):
    name = f"source-{kind}-{compression}".lower()
    model(sm, name, "mirror:1", ModelDataSource=source(other, key, kind, compression))
    endpoint(sm, name, name)
    assert asked(other, name)["files"] == files
    code, message = code_of(sm.create_endpoint_config, EndpointConfigName="less", ProductionVariants=[
        {"VariantName": "v", "ModelName": name, "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1}}])
    assert code == "ValidationException" and "serverless" in message
    sm.delete_endpoint(EndpointName=name)


def test_model_data_that_cannot_be_deployed(other, sm, s3):
    def words(**definition):
        code, message = code_of(sm.create_model, ModelName="bad", ExecutionRoleArn=ROLE,
                                PrimaryContainer={"Image": "mirror:1", **definition})
        assert code == "ValidationException"
        return message

    both = words(ModelDataUrl=f"s3://{other.bucket}/packed.tar.gz", ModelDataSource=source(other, "m/", "S3Prefix", "None"))
    assert "Only one of ModelDataUrl and ModelDataSource" in both
    assert "must hold S3DataSource" in words(ModelDataSource={})
    assert "must be None for S3DataType S3Prefix" in words(ModelDataSource=source(other, "m/", "S3Prefix", "Gzip"))
    assert "must end with a slash" in words(ModelDataSource=source(other, "m", "S3Prefix", "None"))
    assert "Could not find model data" in words(ModelDataSource=source(other, "no/", "S3Prefix", "None"))
    assert "Could not find model data" in words(ModelDataSource=source(other, "m/", "S3Object", "Gzip"))
    assert "SingleModel on the local SageMaker" in words(Mode="MultiModel", ModelDataUrl=f"s3://{other.bucket}/m/")
    code, message = code_of(sm.create_model, ModelName="bad", ExecutionRoleArn=ROLE,
                            Containers=[{"Image": "mirror:1"}, {"Image": "echo:1"}])
    assert code == "ValidationException" and "only container" in message
    model(sm, "nameless", "mirror:1", ModelDataSource=source(other, "bad/", "S3Prefix", "None"))
    config(sm, "nameless", "nameless")
    sm.create_endpoint(EndpointName="nameless", EndpointConfigName="nameless")
    failed = until(lambda: (d := sm.describe_endpoint(EndpointName="nameless"))["EndpointStatus"] == "Failed" and d)
    assert "rename the object" in failed["FailureReason"]
    sm.delete_endpoint(EndpointName="nameless")


def test_a_request_for_another_model_or_variant_is_refused(other, sm):
    runtime = client(other, "sagemaker-runtime")
    model(sm, "target", "echo:1")
    sm.create_endpoint_config(EndpointConfigName="target", ProductionVariants=[
        {"VariantName": v, "ModelName": "target", "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1} for v in "ab"])
    sm.create_endpoint(EndpointName="target", EndpointConfigName="target")
    in_service(sm, "target")
    call = {"EndpointName": "target", "Body": b"1\n", "ContentType": "text/csv"}
    assert runtime.invoke_endpoint(**call)["InvokedProductionVariant"] == "a"
    assert runtime.invoke_endpoint(**call, TargetVariant="a")["Body"].read() == b"1.0\n"
    for more, words in (({"TargetModel": "m.tar.gz"}, "not a multi-model endpoint"), ({"TargetVariant": "c"}, "one of a, b"),
                        ({"TargetVariant": "b"}, "serves the first variant"),
                        ({"TargetContainerHostname": "h"}, "must be left out"), ({"InferenceComponentName": "i"}, "must be left out")):
        code, message = code_of(runtime.invoke_endpoint, **call, **more)
        assert code == "ValidationError" and words in message
    sm.delete_endpoint(EndpointName="target")


def test_an_update_drops_no_request(other, sm):
    for n in "12":
        model(sm, f"update-{n}", "mirror:1", Environment={"WHICH": n, "SLOW": "0.05"})
    config(sm, "update-2", "update-2", variant="second")
    endpoint(sm, "update", "update-1")
    seen, done = [], threading.Event()

    def ask():
        while not done.is_set():
            seen.append(asked(other, "update")["env"]["WHICH"])

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: len(seen) > 3)
        sm.update_endpoint(EndpointName="update", EndpointConfigName="update-2")
        assert sm.describe_endpoint(EndpointName="update")["EndpointStatus"] == "Updating"
        code, message = code_of(sm.update_endpoint, EndpointName="update", EndpointConfigName="update")
        assert code == "ValidationException" and "it is Updating" in message
        in_service(sm, "update")
        before = len(seen)
        until(lambda: len(seen) > before + 8)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert seen == sorted(seen) or seen[-3:] == ["2"] * 3  # requests under way at the change may end in either order
    assert set(seen) == {"1", "2"} and not [r for r in other.requests if r["resource"] == "update" and r["status"] >= 500]
    found = sm.describe_endpoint(EndpointName="update")
    assert found["EndpointConfigName"] == "update-2" and found["ProductionVariants"] == [{"VariantName": "second"}]


def test_an_update_that_fails_leaves_the_endpoint_as_it_was(other, sm, s3):
    model(sm, "stays", "mirror:1", Environment={"WHICH": "old"})
    endpoint(sm, "stays", "stays")
    model(sm, "breaks", "mirror:1", ModelDataSource=source(other, "bad/", "S3Prefix", "None"))
    config(sm, "breaks", "breaks")
    sm.update_endpoint(EndpointName="stays", EndpointConfigName="breaks")
    in_service(sm, "stays")
    found = sm.describe_endpoint(EndpointName="stays")
    assert found["EndpointConfigName"] == "stays" and "rename the object" in found["FailureReason"]
    assert asked(other, "stays")["env"]["WHICH"] == "old"


def test_a_copy_checks_who_owns_its_source(other, s3):
    copied = {"Bucket": other.bucket, "Key": "copy", "CopySource": f"{other.bucket}/m/weights"}
    assert code_of(s3.copy_object, **copied, ExpectedSourceBucketOwner="999999999999")[0] == "AccessDenied"
    s3.copy_object(**copied, ExpectedSourceBucketOwner="123456789012")
    assert s3.get_object(Bucket=other.bucket, Key="copy")["Body"].read() == b"abc"
    other.create_foreign_bucket("not-ours")
    assert code_of(s3.copy_object, **{**copied, "CopySource": {"Bucket": "not-ours", "Key": "k"}})[0] == "AccessDenied"
    assert other.count("CopyObject") == 1


def test_an_asynchronous_request_that_cannot_be_answered_says_so_on_s3(other, sm, s3):
    runtime = client(other, "sagemaker-runtime")
    output = {"OutputConfig": {"S3OutputPath": f"s3://{other.bucket}/out", "S3FailurePath": f"s3://{other.bucket}/failed"}}
    model(sm, "later", "busy:1")
    endpoint(sm, "later", "later", AsyncInferenceConfig=output)

    def ask(key):
        return runtime.invoke_endpoint_async(EndpointName="later", InputLocation=f"s3://{other.bucket}/{key}",
                                             ContentType="text/csv")["FailureLocation"].split("/", 3)[3]

    def read(key):
        return until(lambda: s3.list_objects_v2(Bucket=other.bucket, Prefix=key).get("Contents")) and s3.get_object(
            Bucket=other.bucket, Key=key)["Body"].read()

    missing = read(ask("nothing-here"))
    assert missing.startswith(b"ClientError") and b"nothing-here" in missing and b"NoSuchKey" in missing
    s3.put_object(Bucket=other.bucket, Key="rows.csv", Body=b"1\n")
    ask("rows.csv")
    assert b"Rate exceeded" in read(ask("rows.csv"))  # the image takes one at a time

"""The embedded SageMaker, by plain boto3, by the AWS CLI, and by what it leaves: nothing."""
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request

import boto3
import botocore.exceptions
import pytest

from sagemaker_pyspark import local
from sagemaker_pyspark.local.control import OPERATIONS

KMEANS = "382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1"


def client(aws, service):
    return boto3.client(service, endpoint_url=aws.endpoint_url, region_name="us-east-1", aws_access_key_id="x",
                        aws_secret_access_key="y")


def code_of(call, **arguments):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def job(name, **more):
    return {"TrainingJobName": name, "RoleArn": "arn:aws:iam::123456789012:role/x",
            "AlgorithmSpecification": {"TrainingImage": KMEANS, "TrainingInputMode": "File"},
            "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60}, "OutputDataConfig": {"S3OutputPath": "s3://local-data/out"},
            "InputDataConfig": [{"ChannelName": "train", "ContentType": "text/csv;label_size=0", "DataSource": {"S3DataSource": {
                "S3DataType": "S3Prefix", "S3Uri": "s3://local-data/in/"}}}], "HyperParameters": {"k": "2", "feature_dim": "2"},
            **more}


def ended(sm, name):
    for _ in range(400):
        found = sm.describe_training_job(TrainingJobName=name)
        if found["TrainingJobStatus"] not in ("InProgress", "Stopping"):
            return found
        time.sleep(0.05)
    raise AssertionError(found)


@pytest.fixture
def data(aws):
    s3 = client(aws, "s3")
    s3.create_bucket(Bucket="local-data")
    s3.put_object(Bucket="local-data", Key="in/a.csv", Body=b"0,0\n0,1\n9,9\n9,8\n")
    yield s3
    for item in s3.list_objects_v2(Bucket="local-data").get("Contents", ()):
        s3.delete_object(Bucket="local-data", Key=item["Key"])
    s3.delete_bucket(Bucket="local-data")


def test_every_operation_is_the_services_own(aws):
    import botocore.session

    known = botocore.session.get_session().get_service_model("sagemaker").operation_names
    assert set(OPERATIONS) <= set(known)
    assert code_of(client(aws, "sagemaker").list_notebook_instances)[0] == "UnknownOperationException"


def test_a_training_job_passes_through_its_states(aws, data):
    sm = client(aws, "sagemaker")
    sm.create_training_job(**job("states"), Tags=[{"Key": "a", "Value": "b"}])
    assert sm.describe_training_job(TrainingJobName="states")["TrainingJobStatus"] == "InProgress"
    done = ended(sm, "states")
    assert done["TrainingJobStatus"] == "Completed"
    assert [t["Status"] for t in done["SecondaryStatusTransitions"]] == [
        "Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert done["ModelArtifacts"]["S3ModelArtifacts"] == "s3://local-data/out/states/output/model.tar.gz"
    assert [m["MetricName"] for m in done["FinalMetricDataList"]] == ["train:msd"]
    assert sm.list_tags(ResourceArn=done["TrainingJobArn"])["Tags"] == [{"Key": "a", "Value": "b"}]
    logs = client(aws, "logs")
    stream = logs.describe_log_streams(logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="states/")["logStreams"][0]
    events = logs.get_log_events(logGroupName="/aws/sagemaker/TrainingJobs", logStreamName=stream["logStreamName"])["events"]
    assert any("training finished" in e["message"] for e in events)
    assert code_of(sm.create_training_job, **job("states"))[0] == "ResourceInUse"
    sm.delete_training_job(TrainingJobName="states")
    assert code_of(sm.describe_training_job, TrainingJobName="states") == ("ValidationException", "Requested resource not found.")


@pytest.mark.parametrize("change, words", [
    ({"HyperParameters": {"k": "1", "feature_dim": "2"}}, "Hyperparameter k"),
    ({"HyperParameters": {"k": "2", "feature_dim": "3"}}, "feature dimension"),
    ({"HyperParameters": {"k": "2", "feature_dim": "2", "kk": "1"}}, "'kk' was unexpected"),
    ({"InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": {
        "S3DataType": "S3Prefix", "S3Uri": "s3://local-data/nothing/"}}}]}, "No S3 objects found")])
def test_a_failing_job_says_why(aws, data, change, words):
    sm = client(aws, "sagemaker")
    name = f"fails-{abs(hash(words)) % 10**6}"
    sm.create_training_job(**job(name, **change))
    done = ended(sm, name)
    assert done["TrainingJobStatus"] == "Failed" and words in done["FailureReason"]


def test_requests_are_validated_as_the_service_does(aws):
    sm = client(aws, "sagemaker")
    code, message = code_of(sm.create_training_job, **job("under_score"))
    assert code == "ValidationException" and "trainingJobName" in message and "regular expression pattern" in message
    assert "enum value set" in code_of(sm.create_training_job, **job(
        "x", AlgorithmSpecification={"TrainingImage": KMEANS, "TrainingInputMode": "Tape"}))[1]
    assert "roleArn" in code_of(sm.create_training_job, **job("x", RoleArn="r" * 30))[1]
    assert "Could not find" in code_of(sm.describe_endpoint, EndpointName="nowhere")[1]
    assert "Could not find" in code_of(sm.create_endpoint, EndpointName="a", EndpointConfigName="nowhere")[1]
    assert code_of(client(aws, "sagemaker-runtime").invoke_endpoint, EndpointName="nowhere", Body=b"")[0] == "ValidationError"


def test_listings_are_paged_and_filtered(aws):
    sm = client(aws, "sagemaker")
    for n in range(25):
        sm.create_model(ModelName=f"page-{n:02d}", ExecutionRoleArn="arn:aws:iam::123456789012:role/x",
                        PrimaryContainer={"Image": "local/echo:1"})
    names = [m["ModelName"] for page in sm.get_paginator("list_models").paginate(
        SortBy="Name", SortOrder="Ascending", NameContains="page-", PaginationConfig={"PageSize": 7}) for m in page["Models"]]
    assert names == [f"page-{n:02d}" for n in range(25)]
    assert len(sm.list_models(NameContains="page-1")["Models"]) == 10
    for name in names:
        sm.delete_model(ModelName=name)


def test_stop_and_time_limit(aws, data, tmp_path):
    program = tmp_path / "slow.py"
    program.write_text("import time\ntime.sleep(60)\n")
    with local.SageMaker(images={"slow:1": [sys.executable, str(program)]}, activate=False) as other:
        sm, s3 = client(other, "sagemaker"), client(other, "s3")
        s3.create_bucket(Bucket="local-data")
        s3.put_object(Bucket="local-data", Key="in/a", Body=b"x")
        slow = {"TrainingImage": "slow:1", "TrainingInputMode": "File"}
        sm.create_training_job(**job("stopped", AlgorithmSpecification=slow))
        sm.stop_training_job(TrainingJobName="stopped")
        assert ended(sm, "stopped")["TrainingJobStatus"] == "Stopped"
        sm.create_training_job(**job("late", AlgorithmSpecification=slow, StoppingCondition={"MaxRuntimeInSeconds": 1}))
        assert ended(sm, "late")["SecondaryStatus"] == "MaxRuntimeExceeded"


def test_the_owner_of_a_bucket_is_checked(aws, data):
    assert code_of(data.put_object, Bucket="local-data", Key="k", Body=b"", ExpectedBucketOwner="999999999999")[0] == "AccessDenied"
    aws.create_foreign_bucket("not-yours")
    assert code_of(data.create_bucket, Bucket="not-yours")[0] == "BucketAlreadyExists"
    assert code_of(data.get_object, Bucket="not-yours", Key="k")[0] == "AccessDenied"


@pytest.mark.skipif(shutil.which("aws") is None, reason="needs the AWS CLI")
def test_the_aws_cli(aws):
    done = subprocess.run(["aws", "sagemaker", "list-endpoints", "--endpoint-url", aws.endpoint_url, "--region", "us-east-1"],
                          capture_output=True, text=True, env={**os.environ, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"})
    assert json.loads(done.stdout) == {"Endpoints": []}, done.stderr


def processes(folder):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as line, open(f"/proc/{entry}/environ", "rb") as environment:
                    if folder.encode() in line.read() + environment.read():
                        found.append(entry)
            except OSError:
                continue
    return found


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks into /proc")
def test_nothing_survives_the_block(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    program = tmp_path / "serve.py"
    program.write_text("import time\ntime.sleep(600)\n")
    with local.SageMaker(images={"hang:1": [sys.executable, str(program)]}, activate=False) as aws:
        sm = client(aws, "sagemaker")
        sm.create_model(ModelName="m", ExecutionRoleArn=aws.role_arn, PrimaryContainer={"Image": "hang:1"})
        sm.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[
            {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}])
        sm.create_endpoint(EndpointName="e", EndpointConfigName="c")
        for _ in range(100):
            if processes("sagemaker-local-"):
                break
            time.sleep(0.05)
        url = aws.endpoint_url
    for _ in range(100):
        if not processes(str(program)):
            break
        time.sleep(0.05)
    assert processes(str(program)) == []
    assert [p.name for p in tmp_path.iterdir()] == ["serve.py"]
    with pytest.raises(OSError):
        urllib.request.urlopen(url, timeout=2)


def test_as_a_server_of_its_own(tmp_path):
    server = subprocess.Popen([sys.executable, "-m", "sagemaker_pyspark.local", "serve", "--port", "0"], stdout=subprocess.PIPE)
    try:
        url = json.loads(server.stdout.readline())["endpoint_url"]
        assert url.startswith("http://127.0.0.1:")
        sts = boto3.client("sts", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y")
        assert sts.get_caller_identity()["Account"] == "123456789012"
    finally:
        server.terminate()
        assert server.wait(10) == 0
        server.stdout.close()

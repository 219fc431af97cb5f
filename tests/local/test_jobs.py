"""Training and transform jobs: what a container is given, and what is refused rather than ignored."""
import gzip
import json

import pytest
from clients import ROLE, client, code_of, mirror, model, until

from sagemaker_pyspark import local


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    images = {"mirror:1": mirror(tmp_path_factory.mktemp("image")), "echo:1": local.Echo()}
    with local.SageMaker(images=images, activate=False) as aws:
        sm, s3 = client(aws, "sagemaker"), client(aws, "s3")
        model(sm, "mirror", "mirror:1", Environment={"FROM": "model", "MODEL": "1"})
        model(sm, "echo", "echo:1")
        s3.put_object(Bucket=aws.bucket, Key="in/a.csv", Body=b"1,9\n2,9\n")
        s3.put_object(Bucket=aws.bucket, Key="zipped/a.csv.gz", Body=gzip.compress(b"3,9\n4,9\n"))
        yield aws


def transform(other, name, model_name, key="in/", kind="S3Prefix", source=None, output=None, **more):
    return {"TransformJobName": name, "ModelName": model_name, **more,
            "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": kind, "S3Uri": f"s3://{other.bucket}/{key}"}},
                               "ContentType": "text/csv", "SplitType": "Line", **(source or {})},
            "TransformOutput": {"S3OutputPath": f"s3://{other.bucket}/{name}", **(output or {})},
            "TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1}}


def run(other, name, *arguments, **more):
    """(the job as it ended, its answers by key)"""
    sm, s3 = client(other, "sagemaker"), client(other, "s3")
    sm.create_transform_job(**transform(other, name, *arguments, **more))
    done = until(lambda: (d := sm.describe_transform_job(TransformJobName=name))["TransformJobStatus"] != "InProgress" and d)
    found = s3.list_objects_v2(Bucket=other.bucket, Prefix=f"{name}/").get("Contents", ())
    return done, {o["Key"][len(name) + 1:]: s3.get_object(Bucket=other.bucket, Key=o["Key"])["Body"].read() for o in found}


def test_a_transform_job_of_an_echo_answers_as_its_endpoint(other):
    assert run(other, "echoes", "echo")[1] == {"a.csv.out": b"1.0\n2.0\n"}
    answers = run(other, "echo-lines", "echo", output={"Accept": "application/jsonlines", "AssembleWith": "Line"})[1]
    assert answers == {"a.csv.out": b'{"score": 1.0}\n{"score": 2.0}\n'}
    client(other, "s3").put_object(Bucket=other.bucket, Key="words/a", Body=b"one\n")
    done, answers = run(other, "echo-words", "echo", "words/")
    assert done["TransformJobStatus"] == "Failed" and "answered 400" in done["FailureReason"] and not answers


def test_a_zipped_input_is_unpacked(other):
    assert run(other, "unzips", "echo", "zipped/", source={"CompressionType": "Gzip"})[1] == {"a.csv.gz.out": b"3.0\n4.0\n"}
    done, answers = run(other, "not-zipped", "echo", source={"CompressionType": "Gzip"})
    assert done["TransformJobStatus"] == "Failed" and "CompressionType is Gzip, the object is not" in done["FailureReason"]
    assert not answers


def test_the_environment_of_a_transform_job(other):
    _, answers = run(other, "environment", "mirror", Environment={"FROM": "job", "JOB": "1"}, BatchStrategy="SingleRecord",
                     MaxPayloadInMB=2)
    first = json.JSONDecoder().raw_decode(answers["a.csv.out"].decode())[0]
    expected = {"FROM": "job", "JOB": "1", "MODEL": "1", "SAGEMAKER_BATCH": "true", "SAGEMAKER_BATCH_STRATEGY": "SINGLE_RECORD",
                "SAGEMAKER_MAX_PAYLOAD_IN_MB": "2"}
    assert first["body"] == "1,9\n" and {k: first["env"].get(k) for k in expected} == expected
    assert "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS" not in first["env"]


@pytest.mark.parametrize("change, words", [
    ({"DataProcessing": {"InputFilter": "$[1:]"}}, "InputFilter"), ({"DataProcessing": {"OutputFilter": "$.x"}}, "OutputFilter"),
    ({"DataProcessing": {"JoinSource": "Input"}}, "JoinSource"), ({"kind": "AugmentedManifestFile"}, "S3DataType"),
    ({"source": {"SplitType": "TFRecord"}}, "SplitType")])
def test_what_a_transform_job_could_only_ignore_is_refused(other, change, words):
    code, message = code_of(client(other, "sagemaker").create_transform_job, **transform(other, "refused", "echo", **change))
    assert code == "ValidationException" and words in message and "not supported by the local SageMaker" in message


def test_defaults_that_are_spelled_out_are_taken(other):
    processing = {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
    assert run(other, "defaults", "echo", DataProcessing=processing, source={"CompressionType": "None"})[1]


def test_a_model_of_a_data_source_is_not_for_transform_jobs(other):
    sm = client(other, "sagemaker")
    model(sm, "sourced", "mirror:1", ModelDataSource={"S3DataSource": {
        "S3Uri": f"s3://{other.bucket}/in/", "S3DataType": "S3Prefix", "CompressionType": "None"}})
    code, message = code_of(sm.create_transform_job, **transform(other, "sourced", "sourced"))
    assert code == "ValidationException" and "ModelDataUrl" in message


def test_an_augmented_manifest_is_refused(other):
    code, message = code_of(
        client(other, "sagemaker").create_training_job, TrainingJobName="augmented", RoleArn=ROLE,
        AlgorithmSpecification={"TrainingImage": "mirror:1", "TrainingInputMode": "File"},
        ResourceConfig={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60}, OutputDataConfig={"S3OutputPath": f"s3://{other.bucket}/o"},
        InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": {
            "S3DataType": "AugmentedManifestFile", "S3Uri": f"s3://{other.bucket}/in/a.csv", "AttributeNames": ["x"]}}}])
    assert code == "ValidationException" and "AugmentedManifestFile" in message and "channel train" in message

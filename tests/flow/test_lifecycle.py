"""After a failure at any API call of hosting, nothing of ours is left, or the error names what may be."""
import datetime
import os
import subprocess
import sys

import pytest

from sagemaker_pyspark import errors, hosting, sweeping
from sagemaker_pyspark.settings import CreatedResources, HostingSettings

CALLS = ["CreateModel", "CreateEndpointConfig", "CreateEndpoint", "DescribeEndpoint"]
NAMES = CreatedResources("life-model", "life-config", "life-endpoint")


def deploy(aws, **more):
    container = hosting.Container("local/echo:1", None)
    return hosting.deploy(aws.session, NAMES, container, aws.role_arn, HostingSettings(instance_type="ml.m5.xlarge", **more),
                          hosting.tags_of("test", "run-1", 3600))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", [
    {"error": "ValidationException", "status": 400}, {"error": "AccessDeniedException", "status": 400},
    {"error": "InternalFailure", "status": 500}, {"disconnect": True}, {"ambiguous": True}],
    ids=["refused", "denied", "broken", "dropped", "answer-lost"])
def test_a_failure_at_every_call(aws, call, fault):
    aws.faults.add(call, **fault)
    try:
        made = deploy(aws)
        assert fault == {"ambiguous": True}  # it took effect and was recognised as ours
        aws.faults.clear()
        hosting.delete(aws.session, made)
    except errors.SageMakerError as problem:
        assert not problem.created
    aws.faults.clear()
    left = aws.remaining()
    assert not any(left.values()), left


@pytest.mark.parametrize("call", ["DeleteEndpoint", "DeleteEndpointConfig", "DeleteModel"])
def test_what_cannot_be_deleted_is_named(aws, call):
    made = deploy(aws)
    aws.faults.add(call, error="AccessDeniedException", status=400)
    with pytest.raises(errors.CleanupError) as caught:
        hosting.delete(aws.session, made)
    kind = {"DeleteEndpoint": "endpoint life-endpoint", "DeleteEndpointConfig": "endpoint config life-config",
            "DeleteModel": "model life-model"}[call]
    assert caught.value.remaining == (kind,)
    aws.faults.clear()
    hosting.delete(aws.session, made)
    assert not any(aws.remaining().values())


def test_a_failed_undo_is_named_in_the_error(aws):
    aws.faults.add("CreateEndpoint", error="ValidationException", status=400)
    aws.faults.add("DeleteModel", error="AccessDeniedException", status=400)
    with pytest.raises(errors.AwsError, match="May still exist.*model life-model") as caught:
        deploy(aws)
    assert caught.value.created == ("model life-model",)


def test_a_resource_of_somebody_else_is_never_deleted(aws):
    aws.session.call("sagemaker", "create_model", ModelName="life-model", ExecutionRoleArn=aws.role_arn,
                     PrimaryContainer={"Image": "local/echo:1"})
    with pytest.raises(errors.AlreadyExists):
        deploy(aws)
    assert aws.remaining()["Model"] == ["life-model"]
    aws.session.call("sagemaker", "delete_model", ModelName="life-model")


def test_an_endpoint_that_does_not_come_up(spark, aws):
    container = hosting.Container("382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1", None)  # without a model
    with pytest.raises(errors.HostingError, match="ping health check"):
        hosting.deploy(aws.session, NAMES, container, aws.role_arn, HostingSettings(instance_type="ml.m5.xlarge"),
                       hosting.tags_of("test", "run-1", 60))
    assert not any(aws.remaining().values())


def test_sweep_finds_ours_by_tag_and_deletes_the_expired(aws):
    deploy(aws, expiry_seconds=1)
    aws.session.call("sagemaker", "create_model", ModelName="not-ours", ExecutionRoleArn=aws.role_arn,
                     PrimaryContainer={"Image": "local/echo:1"})
    found = sweeping.find(aws.session)
    assert [(f.kind, f.name) for f in found] == [("endpoint", "life-endpoint"), ("endpoint config", "life-config"),
                                                 ("model", "life-model")]
    assert sweeping.expired(found) == []
    later = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=2)
    sweeping.delete(aws.session, [f for f in found if f.is_expired(later)])
    assert aws.remaining()["Model"] == ["not-ours"]
    aws.session.call("sagemaker", "delete_model", ModelName="not-ours")


PROGRAM = """
import sys
from sagemaker_pyspark.session import Session
from sagemaker_pyspark import deployment, hosting
from sagemaker_pyspark.settings import *
session = Session(region="us-east-1", endpoint_url=sys.argv[1], local=True)
d = deployment.Deployment(session, hosting.Container("local/echo:1", None), sys.argv[2],
                          HostingSettings(instance_type="ml.m5.xlarge"), CreatedResources("exit-m", "exit-c", "exit-e"))
d.ensure(EndpointCreationPolicy.EPHEMERAL)
print("up", d.endpoint_name, flush=True)
{ending}
"""


@pytest.mark.parametrize("ending", ["pass", "raise ValueError", "raise KeyboardInterrupt", "sys.exit(3)"])
def test_an_ephemeral_endpoint_ends_with_the_interpreter(aws, ending):
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(ending=ending), aws.endpoint_url, aws.role_arn],
                          capture_output=True, text=True, timeout=60, cwd=os.getcwd())
    assert "up exit-e" in done.stdout, done.stderr
    assert not any(aws.remaining().values())

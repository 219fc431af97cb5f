"""Names, resources, images, settings, sessions, errors."""
import json
import pickle
import re
import subprocess
import sys

import pytest

import sagemaker_pyspark as sp
from sagemaker_pyspark import errors, images, settings
from sagemaker_pyspark.naming import NamePolicyFactory
from sagemaker_pyspark.resources import from_json
from sagemaker_pyspark.session import Session, current, use

NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


@pytest.mark.parametrize("prefix", ["", "job", "a" * 24, "ends-with-"])
def test_random_names_are_valid_and_differ(prefix):
    policies = [sp.RandomNamePolicyFactory(prefix).createNamePolicy() for _ in range(50)]
    for field in ("trainingJobName", "modelName", "endpointConfigName", "endpointName"):
        names = {getattr(p, field) for p in policies}
        assert len(names) == 50 and all(NAME.fullmatch(n) and n.startswith(prefix) for n in names)


@pytest.mark.parametrize("bad", ["under_score", "", "-x", "x-", "a" * 64, "dot.ted", None])
def test_bad_names_are_refused_at_once(bad):
    with pytest.raises(errors.InvalidParameter):
        sp.CustomNamePolicyFactory("ok", "ok", "ok", bad)


def test_custom_names():
    p = sp.CustomNamePolicyWithTimeStampSuffixFactory("job", "model", "config", "endpoint").createNamePolicy()
    assert p.trainingJobName.startswith("job-") and NAME.fullmatch(p.endpointName)
    f = sp.CustomNamePolicyFactory("a", "b", "c", "d")
    assert NamePolicyFactory.from_json(json.loads(json.dumps(f.to_json()))) == f


def test_resources():
    path = sp.S3DataPath("my-bucket", "some/prefix")
    assert path.toS3UriString() == "s3://my-bucket/some/prefix"
    for resource in (path, sp.S3AutoCreatePath(), sp.IAMRole("arn:aws:iam::1:role/x"), sp.IAMRoleFromConfig("my.key")):
        assert from_json(json.loads(json.dumps(resource.to_json()))) == resource
    with pytest.raises(errors.InvalidParameter, match="without s3://"):
        sp.S3DataPath("s3://my-bucket", "x")


@pytest.mark.parametrize("algorithm", ["kmeans", "pca", "lda", "linear-learner", "factorization-machines", "xgboost"])
def test_images_of_every_region(algorithm):
    known = images.regions(algorithm)
    assert len(known) >= (16 if algorithm == "lda" else 30)
    for region in known:
        assert re.fullmatch(r"\d{12}\.dkr\.ecr\.[a-z0-9\-]+\.[a-z0-9.\-]+/[a-z\-]+:[\w.\-]+", images.uri(algorithm, region))


def test_images_and_their_overrides(monkeypatch, tmp_path):
    assert images.uri("kmeans", "us-east-1") == "382416733822.dkr.ecr.us-east-1.amazonaws.com/kmeans:1"
    assert images.uri("xgboost", "us-west-2") == "246618743249.dkr.ecr.us-west-2.amazonaws.com/sagemaker-xgboost:3.2-0"
    assert images.uri("kmeans", "cn-north-1").endswith("amazonaws.com.cn/kmeans:1")
    with pytest.raises(errors.Unresolved, match="trainingImage=.*SAGEMAKER_PYSPARK_IMAGES"):
        images.uri("kmeans", "mars-1")
    with pytest.raises(errors.Unresolved, match="3.2-0"):
        images.uri("xgboost", "us-east-1", "9.9")
    extra = tmp_path / "images.json"
    extra.write_text('{"registries": {"first_party": {"mars-1": "111122223333"}}}')
    monkeypatch.setenv(images.OVERRIDE_VARIABLE, str(extra))
    assert images.uri("kmeans", "mars-1").startswith("111122223333.dkr.ecr.mars-1.")


@pytest.mark.parametrize("bad", [{"instance_count": 0}, {"volume_size_gb": True}, {"max_runtime_seconds": 28 * 86400 + 1},
                                 {"data_format": "avro"}, {"s3_distribution": "x"}, {"input_mode": "x"}, {"compression": "lzo"}])
def test_settings_refuse(bad):
    with pytest.raises(errors.InvalidParameter):
        settings.TrainingSettings(**bad)


def test_a_local_session_cannot_reach_anything_else():
    for url in (None, "https://s3.amazonaws.com", "http://10.0.0.1:4566", "http://localhost.evil.com"):
        with pytest.raises(errors.InvalidParameter, match="loopback"):
            Session(local=True, endpoint_url=url)
    session = Session(local=True, endpoint_url="http://127.0.0.1:1", region="us-east-1")
    for service in ("s3", "sts", "sagemaker", "sagemaker-runtime", "logs"):
        assert session.client(service).meta.endpoint_url == "http://127.0.0.1:1"


def test_a_session_is_a_recipe_without_credentials(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPLANTED")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    session = Session(region="eu-west-1").resolved()
    session.client("s3")
    data = pickle.dumps(session) + repr(session).encode()
    assert b"planted" not in data.lower() and pickle.loads(pickle.dumps(session)) == session
    assert session.client("s3") is session.client("s3")


def test_the_default_session_is_the_innermost():
    before = current()
    outer, inner = Session(region="eu-west-1"), Session(region="eu-west-2")
    with use(outer):
        with use(inner):
            assert current() is inner
        assert current() is outer
    assert current() is before


def test_no_region_is_said_before_anything(monkeypatch, tmp_path):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(errors.Unresolved, match="region"):
        Session().resolved()


def test_unreachable_and_clients_of_ones_own():
    session = Session(local=True, endpoint_url="http://127.0.0.1:9", region="us-east-1")
    with pytest.raises(errors.Unreachable, match="sts.get_caller_identity"):
        session.call("sts", "get_caller_identity")
    client = session.client("sagemaker")
    adopted = Session().with_clients(sagemaker=client)
    assert adopted.client("sagemaker") is client and adopted.region == "us-east-1"
    with pytest.raises(errors.InvalidParameter, match="boto3 client"):
        Session().with_clients(sagemaker="not a client")


def test_errors_survive_pickling():
    for name in errors.__all__:
        cls = getattr(errors, name)
        if isinstance(cls, type):
            error = cls("what", code="X", remaining=("a",))
            again = pickle.loads(pickle.dumps(error))
            assert type(again) is cls and str(again) == "what" and again.code == "X" and again.remaining == ("a",)
            assert again.request_id is None


def test_importing_costs_next_to_nothing():
    code = ("import time; t = time.time(); import sagemaker_pyspark, sys; took = time.time() - t; "
            "print(took, [m for m in ('boto3', 'botocore', 'pyspark', 'py4j', 'numpy', 'moto', 'sagemaker') if m in sys.modules])")
    took, modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split(" ", 1)
    assert modules.strip() == "[]" and float(took) < 1


def test_public_names_are_pinned():
    assert set(sp.__all__) == {
        "CreatedResources", "CustomNamePolicy", "CustomNamePolicyFactory", "CustomNamePolicyWithTimeStampSuffix",
        "CustomNamePolicyWithTimeStampSuffixFactory", "EndpointCreationPolicy", "HostingSettings", "IAMRole",
        "IAMRoleFromConfig", "IAMRoleResource", "NamePolicy", "NamePolicyFactory", "RandomNamePolicy",
        "RandomNamePolicyFactory", "S3AutoCreatePath", "S3DataPath", "S3Resource", "SageMakerClients", "SageMakerError",
        "SageMakerEstimator", "SageMakerEstimatorBase", "SageMakerModel", "SageMakerResourceCleanup", "ServerlessSettings",
        "Session", "classpath_jars"}
    for name in sp.__all__:
        assert getattr(sp, name) is not None
    assert all(path.endswith(".jar") for path in sp.classpath_jars())

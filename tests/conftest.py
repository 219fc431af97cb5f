"""Fixtures: one Spark session and one local SageMaker for all tests of a run."""
import os
import sys

import pytest

os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also run tests that take minutes")
    parser.addoption("--spark", choices=("classic", "connect"), help="kind of Spark session; by default SPARK_MODE or classic")


def pytest_configure(config):
    # Tests, and the modules that skip on it, read the one variable.
    if config.getoption("--spark"):
        os.environ["SPARK_MODE"] = config.getoption("--spark")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--long"):
        for item in items:
            if "long" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="only with --long"))


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """Classic by default; SPARK_MODE=connect for Spark Connect."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder
    if os.environ.get("SPARK_MODE") == "connect":
        builder = builder.remote("local[2]")
    else:
        builder = builder.master("local[2]").config("spark.ui.enabled", "false")
    session = (builder.config("spark.sql.shuffle.partitions", "2").config("spark.ui.showConsoleProgress", "false")
               .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse"))).getOrCreate())
    yield session
    session.stop()


@pytest.fixture(scope="session")
def connect():
    return os.environ.get("SPARK_MODE") == "connect"


@pytest.fixture(scope="session")
def local_sagemaker(tmp_path_factory):
    """One server for the whole run; tests that count or inject take ``aws``."""
    from sagemaker_pyspark import local

    with local.SageMaker(images={"local/echo:1": local.Echo(), "local/slow:1": local.Echo(0.02, 8)}) as server:
        yield server


@pytest.fixture
def aws(local_sagemaker):
    """The server with no faults and an empty log, and nothing of ours left behind by the test."""
    local_sagemaker.faults.clear()
    local_sagemaker.forget_requests()
    yield local_sagemaker
    local_sagemaker.faults.clear()
    from sagemaker_pyspark import sweeping

    # What a test left is its own failure and must not become the next one's.
    sweeping.delete(local_sagemaker.session, sweeping.find(local_sagemaker.session))
    s3 = local_sagemaker.session.client("s3")
    for uri in local_sagemaker.remaining()["objects"]:
        bucket, key = uri.split(" ")[0][5:].split("/", 1)
        s3.delete_object(Bucket=bucket, Key=key)

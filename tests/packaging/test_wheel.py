"""The wheel: small, complete, and without a dependency it does not need."""
import email
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("build")
    target = tmp_path_factory.mktemp("dist")
    done = subprocess.run([sys.executable, "-m", "build", "--no-isolation", "-o", target, ROOT], capture_output=True, text=True)
    if done.returncode and "not met" in done.stdout + done.stderr:
        pytest.skip("setuptools is not installed here")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert list(target.glob("*.tar.gz"))
    return next(target.glob("*.whl"))


def test_it_is_small_and_complete(wheel):
    assert wheel.stat().st_size < 1 << 20
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("images.json", "py.typed", "algorithms/KMeansSageMakerEstimator.py", "local/containers/hyperparameters.json"):
        assert f"sagemaker_pyspark/{name}" in names
    assert not [n for n in names if n.startswith(("tests/", "scripts/"))]


def test_it_depends_on_the_core_only(wheel):
    archive = zipfile.ZipFile(wheel)
    metadata = email.message_from_bytes(archive.read(next(n for n in archive.namelist() if n.endswith("METADATA"))))
    needed = sorted(r.split(">")[0].split("<")[0].strip() for r in metadata.get_all("Requires-Dist") if "extra ==" not in r)
    assert needed == ["boto3", "numpy", "protobuf", "pyarrow", "pyspark"]
    assert metadata["Version"] == "2.0.0.dev0"

"""The wheel and the sdist: small, complete, without a dependency they do not need, and built with or without Maven."""
import email
import io
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

pytest.importorskip("build")
requirements = pytest.importorskip("packaging.requirements")

ROOT = Path(__file__).parents[2]
JAR = "sagemaker_pyspark/jars/sagemaker-pyspark-codec.jar"


def build(source, target, *options, **environment):
    done = subprocess.run([sys.executable, "-m", "build", "--no-isolation", *options, "-o", target, source],
                          capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the sdist, and the wheel made from it."""
    target = tmp_path_factory.mktemp("dist")
    build(ROOT, target)
    return target


@pytest.fixture(scope="module")
def wheel(built):
    return next(built.glob("*.whl"))


@pytest.fixture(scope="module")
def described(wheel):
    archive = zipfile.ZipFile(wheel)
    return email.message_from_bytes(archive.read(next(n for n in archive.namelist() if n.endswith("METADATA"))))


def test_the_wheel_is_small_and_complete(wheel):
    assert wheel.stat().st_size < 1 << 20
    names = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "sagemaker_pyspark"
    wanted = {str(path.relative_to(ROOT)) for path in package.rglob("*") if path.suffix in (".py", ".pyi", ".json", ".typed")}
    assert wanted <= names, "not in the wheel"
    assert {name.split("/")[0] for name in names} == {"sagemaker_pyspark", "sagemaker_pyspark-2.0.0.dev0.dist-info"}
    assert any(name.endswith("LICENSE") for name in names)


def test_it_depends_on_the_core_only(described):
    needed = [requirements.Requirement(r) for r in described.get_all("Requires-Dist") if "extra ==" not in r]
    assert sorted(r.name for r in needed) == ["boto3", "numpy", "protobuf", "pyarrow", "pyspark"]
    spark = next(r for r in needed if r.name == "pyspark").specifier
    assert all(v in spark for v in ("3.5.0", "3.5.9", "4.1.4", "4.3.0", "5.0.0")) and "3.4.4" not in spark
    assert described["Version"] == "2.0.0.dev0"
    assert "Apache-2.0" in (described["License"] or described["License-Expression"])
    assert "# sagemaker_pyspark" in described.get_payload()


def test_the_local_extra_is_what_is_installed_here(described):
    """The tests run on the local SageMaker, so what it is made of is there, in versions the extra allows."""
    extra = [requirements.Requirement(r) for r in described.get_all("Requires-Dist") if "local" in r and "extra ==" in r]
    assert {"moto", "scikit-learn", "xgboost"} <= {r.name for r in extra}
    for requirement in extra:
        assert metadata.version(requirement.name) in requirement.specifier


def test_the_sdist_can_build_the_jar_elsewhere(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"setup.py", "pyproject.toml", "LICENSE", "README.md", "scala/pom.xml", "proto/record.proto"} <= names
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "scala").rglob("*.java") if "target" not in path.parts}
    assert sources and sources <= names
    assert not [n for n in names if n.startswith("scala/target")]


@pytest.fixture(scope="module")
def unpacked(built, tmp_path_factory):
    """The sdist's files, without a jar that came along."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        archive.extractall(folder)
    source = next(folder.iterdir())
    (source / JAR).unlink(missing_ok=True)
    return source


@pytest.mark.skipif(shutil.which("mvn") is None, reason="Maven is not there")
def test_the_jar_is_built_and_small_and_for_old_javas(unpacked, tmp_path):
    source = shutil.copytree(unpacked, tmp_path / "source")
    build(source, tmp_path, "--wheel")
    content = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).read(JAR)
    assert len(content) < 100_000
    jar = zipfile.ZipFile(io.BytesIO(content))
    classes = [n for n in jar.namelist() if n.endswith(".class")]
    assert classes
    for name in classes:
        magic, _, major = struct.unpack(">IHH", jar.read(name)[:8])
        assert (magic, major) == (0xCAFEBABE, 52), f"{name} is not for Java 8"
    assert not [n for n in jar.namelist() if n.startswith("META-INF/services")], "must register nothing by itself"
    # A second build takes the jar that is there.
    before = (source / JAR).stat().st_mtime_ns
    build(source, tmp_path, "--wheel")
    assert (source / JAR).stat().st_mtime_ns == before


def test_it_installs_without_maven_and_java(unpacked, tmp_path):
    build(unpacked, tmp_path, "--wheel", PATH=str(tmp_path))
    wheel = next(tmp_path.glob("*.whl"))
    assert JAR not in zipfile.ZipFile(wheel).namelist()
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    code = ("import sagemaker_pyspark, sagemaker_pyspark.algorithms as a; from sagemaker_pyspark import classpath_jars; "
            "print(sagemaker_pyspark.__file__, a.KMeansSageMakerEstimator(k=3).getK(), classpath_jars())")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
                          env={"PATH": str(tmp_path), "PYTHONPATH": str(site)})
    assert done.stdout.split() == [str(site / "sagemaker_pyspark" / "__init__.py"), "3", "[]"], done.stderr


def test_a_failing_maven_is_told_and_does_not_stop_the_installation(unpacked, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "mvn").write_text("#!/bin/sh\nexit 1\n")
    (tools / "mvn").chmod(0o755)
    told = build(unpacked, tmp_path, "--wheel", PATH=f"{tools}:{os.environ['PATH']}")
    assert "the JVM codec was not built" in told
    assert JAR not in zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()


def test_the_import_is_quick_and_light():
    code = ("import sys, time; start = time.perf_counter(); import sagemaker_pyspark; took = time.perf_counter() - start; "
            "print(took, [m for m in ('boto3', 'botocore', 'pyspark', 'py4j', 'numpy', 'pandas', 'pyarrow', 'moto', "
            "'sagemaker', 'google.protobuf') if m in sys.modules])")
    # The best of three, as the machine may be busy with other things.
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
            for _ in range(3)]
    assert min(float(out.split(" ", 1)[0]) for out in runs) < 0.5
    assert all(out.split(" ", 1)[1].strip() == "[]" for out in runs)


def test_using_it_starts_no_jvm_and_no_client():
    """A notebook can import everything before it chooses its Spark."""
    code = ("import sys, sagemaker_pyspark; from sagemaker_pyspark.algorithms import *; "
            "from sagemaker_pyspark.transformation import serializers, deserializers; "
            "[getattr(sagemaker_pyspark, name) for name in sagemaker_pyspark.__all__]; "
            "from pyspark import SparkContext; "
            "print(SparkContext._gateway, [m for m in ('boto3', 'moto', 'sagemaker', 'sklearn', 'xgboost') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "None []", done.stdout + done.stderr

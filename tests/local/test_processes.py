"""Containers as processes: they run in folders of their own and still find what the user's process finds."""
import os
import subprocess
import sys
from pathlib import Path

import sagemaker_pyspark
from sagemaker_pyspark.local.processes import python_path


def test_entries_of_python_path_become_absolute(monkeypatch, tmp_path):
    ours = str(Path(sagemaker_pyspark.__file__).resolve().parents[1])
    monkeypatch.chdir(tmp_path)
    joined = python_path(os.pathsep.join(["src", "/opt"])).split(os.pathsep)
    assert joined[:2] == [str(tmp_path / "src"), "/opt"]
    assert joined[2:] == ([] if Path(ours).name in ("site-packages", "dist-packages") else [ours])
    assert python_path("src", relative_to_us=False).split(os.pathsep)[0] == "src"  # a container's own, relative to its folder
    assert python_path(None) == os.pathsep.join(joined[2:])


def test_a_relative_python_path_reaches_the_containers(tmp_path):
    """Another project on a relative path, and this package as well: both are found from the container's own folder."""
    parent = Path(sagemaker_pyspark.__file__).resolve().parents[1]
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "theirs.py").write_text("import sagemaker_pyspark\n")
    program = tmp_path / "run.py"
    program.write_text(f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from clients import ROLE, client, until
from sagemaker_pyspark import local
with local.SageMaker(images={{"theirs:1": [sys.executable, "-m", "theirs"]}}, activate=False) as aws:
    sm = client(aws, "sagemaker")
    sm.create_training_job(
        TrainingJobName="j", RoleArn=ROLE, AlgorithmSpecification={{"TrainingImage": "theirs:1", "TrainingInputMode": "File"}},
        ResourceConfig={{"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1}},
        StoppingCondition={{"MaxRuntimeInSeconds": 60}}, OutputDataConfig={{"S3OutputPath": "s3://some-bucket/o"}})
    done = until(lambda: (d := sm.describe_training_job(TrainingJobName="j"))["TrainingJobStatus"] != "InProgress" and d)
    print(done["TrainingJobStatus"], done.get("FailureReason"))
""")
    link = tmp_path / "package"  # the package too is on a relative path
    link.mkdir()
    (link / "sagemaker_pyspark").symlink_to(parent / "sagemaker_pyspark")
    done = subprocess.run([sys.executable, str(program)], cwd=tmp_path, capture_output=True, text=True, timeout=90,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(["src", "package"])})
    assert done.stdout.startswith("Completed"), (done.stdout, done.stderr)

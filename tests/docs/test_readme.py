"""Every block of the README runs."""
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "README.md").read_text(), re.S)


def test_the_python_blocks_run_in_order(spark, capsys):
    names = {}
    for language, code in BLOCKS:
        if language == "python":
            exec(compile(code, "README.md", "exec"), names)
    out = capsys.readouterr().out
    assert "closest_cluster" in out and "100 rows in" in out
    assert "k must be a whole number >= 2, got 1" in out
    assert names["Sums"]().content_type == "text/csv"


def test_the_policy_is_json():
    policies = [json.loads(code) for language, code in BLOCKS if language == "json"]
    statements = [s["Action"] for p in policies for s in p["Statement"]]
    actions = [a for s in statements for a in ([s] if isinstance(s, str) else s)]
    import botocore.session

    model = botocore.session.get_session().get_service_model("sagemaker")
    for action in actions:
        if action.startswith("sagemaker:") and "Invoke" not in action:
            assert action.split(":")[1] in model.operation_names


def test_the_shell_blocks(aws, tmp_path):
    shell = [line for language, code in BLOCKS if language == "bash" for line in code.splitlines()]
    assert shell == ["./scripts/demo", "./scripts/test", 'pip install "sagemaker_pyspark[local]"',
                     'spark-submit --master "local[2]" my_job.py', "python -m sagemaker_pyspark sweep"]
    for script in shell[:2]:
        assert os.access(ROOT / script, os.X_OK)
        subprocess.run(["bash", "-n", ROOT / script], check=True)
    done = subprocess.run([sys.executable, "-m", "sagemaker_pyspark", "sweep", "--local", "--region", aws.region,
                           "--endpoint-url", aws.endpoint_url], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "0 of ours" in done.stdout


@pytest.mark.skipif(os.environ.get("SPARK_MODE") == "connect", reason="submits to a classic master")
def test_spark_submit(tmp_path):
    import pyspark

    (tmp_path / "my_job.py").write_text(
        next(code for language, code in BLOCKS if language == "python") + "\nprint('rows', df.count())\n")
    submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SPARK_HOME": str(Path(pyspark.__file__).parent)}
    done = subprocess.run([submit, "--master", "local[2]", "my_job.py"], cwd=tmp_path, capture_output=True, text=True,
                          timeout=240, env=environment)
    assert "rows 100" in done.stdout, done.stderr[-2000:]

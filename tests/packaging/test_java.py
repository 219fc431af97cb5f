"""The Java side's own tests, on the vectors that the Python side is tested on."""
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("mvn") is None, reason="Maven is not there")
def test_junit(tmp_path):
    # In a copy, so that a build at the same time is not disturbed.
    for folder in ("scala", "proto"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("target"))
    done = subprocess.run(["mvn", "-B", "-f", tmp_path / "scala" / "pom.xml", "test"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    total = re.findall(r"Tests run: (\d+), Failures: 0, Errors: 0, Skipped: 0", done.stdout)
    assert total and int(total[-1]) > 0, done.stdout[-2000:]

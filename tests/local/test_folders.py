"""What a killed process left is removed by the next one, and nothing else is."""
import json
import os
import signal
import subprocess
import sys
import tempfile

import pytest
from clients import until

from sagemaker_pyspark import local
from sagemaker_pyspark.local import folders

HOLD = """
import sys
from sagemaker_pyspark import local
with local.SageMaker(activate=False) as aws:
    print(aws._process.pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hold(tmp_path, monkeypatch):
    """Starts a process that holds a local SageMaker: (process, pid of the server)."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    started = []

    def start():
        process = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def left(tmp_path):
    return sorted(p.name for p in tmp_path.glob("sagemaker-local-*"))


def test_the_server_clears_up_after_a_killed_owner(hold, tmp_path):
    process, _ = hold()
    assert len(left(tmp_path)) == 1
    process.kill()
    until(lambda: not left(tmp_path))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="start times are read from /proc")
def test_what_was_killed_whole_is_swept_by_the_next(hold, tmp_path):
    living, _ = hold()
    kept = left(tmp_path)
    process, server = hold()
    os.kill(server, signal.SIGKILL)
    process.kill()
    process.wait()
    stale = set(left(tmp_path)) - set(kept)
    assert len(stale) == 1
    (tmp_path / "sagemaker-local-theirs").mkdir()  # nobody's mark: somebody else's
    with local.SageMaker(activate=False):
        assert not stale & set(left(tmp_path))
        assert {*kept, "sagemaker-local-theirs"} < set(left(tmp_path))
    assert left(tmp_path) == sorted([*kept, "sagemaker-local-theirs"])
    assert living.poll() is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="start times are read from /proc")
@pytest.mark.parametrize("change, stays", [({}, True), ({"started": "1"}, False), ({"pid": 2**22 + 1}, False),
                                           ({"pid": 2**22 + 1, "machine": ["elsewhere"]}, True), ({"pid": "?"}, True)])
def test_only_a_dead_owner_on_this_machine_gives_a_folder_up(tmp_path, monkeypatch, change, stays):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "sagemaker-local-x"
    folder.mkdir()
    folders.claim(str(folder))
    mark = folder / "owner.json"
    mark.write_text(json.dumps({**json.loads(mark.read_text()), **change}))
    folders.sweep()
    assert folder.exists() == stays
    link = tmp_path / "sagemaker-local-link"
    link.symlink_to(tmp_path)
    folders.sweep()
    assert link.exists()


def test_a_folder_that_was_chosen_is_not_removed(tmp_path):
    folders.remove(str(tmp_path))
    assert tmp_path.exists()

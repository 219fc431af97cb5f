"""What is taken out of the way of a worker's start."""
import subprocess
import sys
import zipfile
from pathlib import Path

SCRIPT = """
import importlib, sys, zipimport
sys.path.insert(0, sys.argv[1])
import first_module
from sagemaker_pyspark import workers
reads = []
original = zipimport._read_directory
zipimport._read_directory = lambda path: reads.append(path) or original(path)
workers.prepare()
workers.prepare()
for _ in range(3):
    importlib.invalidate_caches()
try:
    import second_module
except ImportError:
    pass
assert reads.count(sys.argv[1]) <= (0 if sys.version_info < (3, 13) else 1), reads
with open(sys.argv[2], "rb") as new, open(sys.argv[1], "wb") as out:
    out.write(new.read())
importlib.invalidate_caches()
import second_module
print("fine", second_module.VALUE)
"""


def test_an_archive_is_read_again_only_where_it_changed(tmp_path):
    for name, modules in (("old.zip", ["first_module"]), ("new.zip", ["first_module", "second_module"])):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for module in modules:
                archive.writestr(f"{module}.py", "VALUE = 7\n")
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path / "old.zip"), str(tmp_path / "new.zip")],
                          capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout == "fine 7\n", done.stderr


def test_connections_stay_as_they_are():
    """Acknowledging at once changes no connection and closes none."""
    import socket

    from sagemaker_pyspark import workers

    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        peer, _ = server.accept()
        with peer:
            for _ in range(3):
                workers.prepare()
                client.sendall(b"x")
                assert peer.recv(1) == b"x"


def test_collections_pass_over_modules_and_not_over_what_tasks_make():
    script = """
import gc, weakref
import numpy, sagemaker_pyspark.scorer
from sagemaker_pyspark import workers
class Ring:
    pass
def ring():
    made = Ring()
    made.itself = made
    return weakref.ref(made)
gc.disable()
for task in range(1, 200):
    before = ring()
    gc.collect()
    assert before() is None
    frozen = gc.get_freeze_count()
    workers.prepare()
    assert (gc.get_freeze_count() > frozen) == (task in (1, 2, 4, 8, 16, 32, 64, 128)), task
assert len(gc.get_objects()) < 0.1 * gc.get_freeze_count()
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.stdout == "fine\n", done.stdout + done.stderr

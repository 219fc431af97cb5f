"""Every notebook runs from top to bottom."""
import os
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


@pytest.mark.skipif(os.environ.get("SPARK_MODE") == "connect", reason="starts a classic session of its own")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_runs(path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": path.parents[1]}}
                            ).execute()
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", ())]
    assert not [o for o in outputs if o.output_type == "error"]
    last = next(o for o in reversed(outputs) if o.output_type == "execute_result")
    assert "'Endpoint': 0" in last.data["text/plain"] and "'objects': 0" in last.data["text/plain"]

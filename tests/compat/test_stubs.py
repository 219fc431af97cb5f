"""The .pyi files: as the declarations are now, complete, and what mypy makes of them."""
import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKED_IN = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("sagemaker_pyspark/**/*.pyi"))


@pytest.fixture(scope="module")
def made():
    spec = importlib.util.spec_from_file_location("stubs", ROOT / "scripts/stubs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.stubs()


def test_they_are_fresh(made):
    assert sorted(made) == CHECKED_IN
    stale = [path for path, text in made.items() if (ROOT / path).read_text() != text]
    assert not stale, "run scripts/stubs.py"


def defined(tree):
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.name
        elif isinstance(node, ast.AnnAssign):
            yield node.target.id
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if alias.asname)


@pytest.mark.parametrize("path", CHECKED_IN)
def test_they_hide_no_public_name(path):
    tree = ast.parse((ROOT / path).read_text())
    module = importlib.import_module(path.removesuffix(".pyi").removesuffix("/__init__").replace("/", "."))
    assert set(module.__all__) <= set(defined(tree))
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            source = getattr(module, node.name)
            methods = {name for name, value in vars(source).items() if callable(value) and re.match("get|set|[a-z]+$", name)
                       and not isinstance(value, type)}
            assert methods <= set(defined(node)), node.name


CODE = """
from sagemaker_pyspark import SageMakerEstimator, SageMakerModel
from sagemaker_pyspark.algorithms import KMeansSageMakerEstimator, LinearLearnerBinaryClassifier, XGBoostSageMakerEstimator
from sagemaker_pyspark.transformation.deserializers import KMeansProtobufResponseRowDeserializer
from sagemaker_pyspark.transformation.serializers import ProtobufRequestRowSerializer

k: int = KMeansSageMakerEstimator("ml.m5.xlarge", 1, k=2, init_method="kmeans++", mode="batch").setK(3).setTol(1).getK()
chained: KMeansSageMakerEstimator = KMeansSageMakerEstimator().setK(3).setMode("local").setCenterFactor("auto")
KMeansSageMakerEstimator().setK("three")  # refused
KMeansSageMakerEstimator().setKK(3)  # refused
KMeansSageMakerEstimator().setInitMethod("best")  # refused
KMeansSageMakerEstimator(k=2.5)  # refused
KMeansSageMakerEstimator(kk=3)  # refused
KMeansSageMakerEstimator(trainingInstanceCount="one")  # refused
text: str = KMeansSageMakerEstimator().getK()  # refused
epochs: int = KMeansSageMakerEstimator().getEpochs()  # refused: it may not be set
linear = LinearLearnerBinaryClassifier(loss="logistic", normalize_data="auto").setUseBias(True).setTargetRecall(0.5)
linear.setUseBias("yes")  # refused
LinearLearnerBinaryClassifier(loss="softmax_loss")  # refused: another predictor's
LinearLearnerBinaryClassifier(predictor_type="regressor")  # refused
XGBoostSageMakerEstimator(num_round=3, eval_metric=["auc", "error@0.7"]).setLambda(1.5).setNumClasses(3)
XGBoostSageMakerEstimator().setObjective("reg:sqerror")  # refused
codecs = ProtobufRequestRowSerializer(), KMeansProtobufResponseRowDeserializer()
model: SageMakerModel = SageMakerModel.fromEndpoint("e", *codecs).setMaxAttempts(3).setOnError("column")
SageMakerEstimator("image", requestRowSerializer=codecs[0], responseRowDeserializer=codecs[1]).setTimeoutSeconds(5).setMode("nowhere")  # refused
model.setMaxAttempts("3")  # refused
column: int = model.getErrorCol()  # refused
"""


def test_mypy_sees_what_is_generated(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "code.py").write_text(CODE)
    done = subprocess.run([sys.executable, "-m", "mypy", "--python-version", "3.10", "--follow-imports", "silent",
                           "--ignore-missing-imports", "code.py"], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "MYPYPATH": str(ROOT)})
    found = {int(line) for line in re.findall(r"^code\.py:(\d+): error", done.stdout, re.M)}
    assert found == {at for at, line in enumerate(CODE.splitlines(), 1) if "# refused" in line}, done.stdout + done.stderr

"""The main job: Spark ML pipelines trained, hosted and applied through SageMaker's API, on this machine."""
from __future__ import annotations

import base64
import io
import logging
import os
import sys
import time
from pathlib import Path

import numpy as np

os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)

REPORT = Path("demo-report.html")
INSTANCE = ("ml.m5.xlarge", 1, "ml.m5.xlarge", 1)


def main() -> int:
    logging.basicConfig(level=logging.WARNING, format="  %(message)s", stream=sys.stdout)
    logging.getLogger("sagemaker_pyspark").setLevel(logging.INFO)
    from pyspark.sql import SparkSession

    from sagemaker_pyspark import local

    started = time.time()
    spark = (SparkSession.builder.master("local[2]").appName("demo").config("spark.ui.enabled", "false")
             .config("spark.ui.showConsoleProgress", "false").config("spark.sql.shuffle.partitions", "2").getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    pages, ok = [], True
    with local.SageMaker() as aws:
        print(f"\nA local SageMaker is listening on {aws.endpoint_url}\n")
        for job in (cluster_digits, classify_cancer, regress_diabetes):
            title, text, figure, good = job(spark)
            print(f"\n  {text}  {'ok' if good else 'NOT GOOD ENOUGH'}\n")
            pages.append((title, text, figure))
            ok = ok and good
        left = aws.remaining()
    print("What is left on SageMaker and S3 now that everything was deleted:")
    names = {"Endpoint": "endpoints", "EndpointConfig": "endpoint configs", "Model": "models",
             "TrainingJob": "training jobs in progress", "TransformJob": "transform jobs in progress",
             "objects": "staged objects"}
    for kind, what in names.items():
        print(f"  {what}: {len(left[kind])}")
        ok = ok and not left[kind]
    seconds = time.time() - started
    write_report(pages, left, seconds)
    print(f"\nDone in {seconds:.0f} s. Plots are in {REPORT.resolve()}")
    spark.stop()
    return 0 if ok else 1


def heading(text: str) -> None:
    print(f"{text}\n{'-' * len(text)}")


def frame(spark, x, y):
    """(id, label, one column a feature)"""
    names = [f"f{at}" for at in range(x.shape[1])]
    rows = [(i, float(t), *map(float, r)) for i, (r, t) in enumerate(zip(x, y))]
    return spark.createDataFrame(rows, ["id", "label", *names]).repartition(2), names


def release(*stages) -> None:
    for stage in stages:
        if hasattr(stage, "delete"):
            stage.unpersist()
            stage.delete()


def cluster_digits(spark):
    """VectorAssembler, StandardScaler, PCA and K-Means as one pipeline."""
    from pyspark.ml import Pipeline
    from pyspark.ml.feature import StandardScaler, VectorAssembler
    from sklearn.cluster import KMeans
    from sklearn.datasets import load_digits

    from sagemaker_pyspark.algorithms import KMeansSageMakerEstimator, PCASageMakerEstimator
    from sagemaker_pyspark.transformation.serializers import ProtobufRequestRowSerializer

    heading("1. Digits: scale, project and cluster (PCA and K-Means on SageMaker)")
    x, y = load_digits(return_X_y=True)
    df, names = frame(spark, x, y)
    train, held_out = df.filter("id % 4 != 0"), df.filter("id % 4 = 0")
    pipeline = Pipeline(stages=[
        VectorAssembler(inputCols=names, outputCol="raw"),
        StandardScaler(inputCol="raw", outputCol="features", withMean=True, withStd=False),
        PCASageMakerEstimator(*INSTANCE, num_components=16),
        KMeansSageMakerEstimator(*INSTANCE, k=10, requestRowSerializer=ProtobufRequestRowSerializer(
            featuresColumnName="projection"))])
    model = pipeline.fit(train)
    out = model.transform(held_out)
    out.select("id", "label", "distance_to_cluster", "closest_cluster").show(5)
    rows = out.select("label", "projection", "distance_to_cluster", "closest_cluster").collect()
    fitted = model.transform(train).select("projection", "distance_to_cluster").collect()
    release(*model.stages)
    inertia = sum(r.distance_to_cluster ** 2 for r in fitted)
    reference = KMeans(10, n_init=10, random_state=0).fit(np.array([r.projection.toArray() for r in fitted])).inertia_
    label, cluster = np.array([r.label for r in rows]), np.array([r.closest_cluster for r in rows])
    purity = sum(np.unique(label[cluster == c], return_counts=True)[1].max() for c in np.unique(cluster)) / len(label)
    text = (f"inertia {inertia:.0f}, {inertia / reference:.3f} of scikit-learn's; on {len(rows)} held-out rows "
            f"{purity:.0%} share their cluster's commonest digit")

    def draw(axes):
        points = np.array([r.projection.toArray()[::-1][:2] for r in rows])
        axes.scatter(points[:, 0], points[:, 1], c=cluster, cmap="tab10", s=14)
        axes.set(xlabel="first component", ylabel="second component")

    return "Digits: PCA and K-Means", text, picture(draw), inertia <= 1.05 * reference


def classify_cancer(spark):
    """XGBoost on breast cancer."""
    from pyspark.ml.feature import VectorAssembler
    from sklearn.datasets import load_breast_cancer

    from sagemaker_pyspark.algorithms import XGBoostSageMakerEstimator

    heading("2. Breast cancer: classify (XGBoost on SageMaker)")
    df, names = frame(spark, *load_breast_cancer(return_X_y=True))
    df = VectorAssembler(inputCols=names, outputCol="features").transform(df).select("id", "label", "features")
    estimator = XGBoostSageMakerEstimator(*INSTANCE, num_round=20, objective="binary:logistic", max_depth=3)
    model = estimator.fit(df.filter("id % 4 != 0"))
    out = model.transform(df.filter("id % 4 = 0"))
    out.select("id", "label", "prediction").show(5)
    rows = out.select("label", "prediction").collect()
    release(model)
    accuracy = float(np.mean([(r.prediction > 0.5) == (r.label > 0.5) for r in rows]))

    def draw(axes):
        for value, name in ((0, "malignant"), (1, "benign")):
            axes.hist([r.prediction for r in rows if r.label == value], bins=20, range=(0, 1), alpha=0.7, label=name)
        axes.set(xlabel="predicted probability of benign", ylabel="rows")
        axes.legend()

    return ("Breast cancer: XGBoost", f"accuracy {accuracy:.3f} on {len(rows)} held-out rows", picture(draw),
            accuracy >= 0.93)


def regress_diabetes(spark):
    """LinearLearner on diabetes."""
    from pyspark.ml.feature import VectorAssembler
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import Ridge

    from sagemaker_pyspark.algorithms import LinearLearnerRegressor

    heading("3. Diabetes: predict a number (LinearLearner on SageMaker)")
    x, y = load_diabetes(return_X_y=True)
    df, names = frame(spark, x, y)
    df = VectorAssembler(inputCols=names, outputCol="features").transform(df).select("id", "label", "features")
    model = LinearLearnerRegressor(*INSTANCE).fit(df.filter("id % 4 != 0"))
    out = model.transform(df.filter("id % 4 = 0"))
    out.select("id", "label", "score").show(5)
    rows = out.select("label", "score").collect()
    release(model)
    label, score = np.array([r.label for r in rows]), np.array([r.score for r in rows])
    r2 = 1 - ((label - score) ** 2).sum() / ((label - label.mean()) ** 2).sum()
    kept = np.arange(len(x)) % 4 != 0
    reference = Ridge().fit(x[kept], y[kept]).score(x[~kept], y[~kept])

    def draw(axes):
        axes.scatter(label, score, s=14)
        axes.plot([label.min(), label.max()], [label.min(), label.max()], color="gray", linewidth=1)
        axes.set(xlabel="measured", ylabel="predicted")

    return ("Diabetes: LinearLearner", f"R2 {r2:.3f} on {len(rows)} held-out rows (scikit-learn's ridge: {reference:.3f})",
            picture(draw), r2 > reference - 0.05)


def picture(draw) -> str:
    """A plot as a data URI."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), dpi=110)
    draw(axes)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    out = io.BytesIO()
    figure.savefig(out, format="png")
    plt.close(figure)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def write_report(pages, left, seconds: float) -> None:
    cards = "".join(f"<section><h2>{title}</h2><img src='{figure}' alt='{title}'><p>{text}</p></section>"
                    for title, text, figure in pages)
    rest = ", ".join(f"{kind}: {len(items)}" for kind, items in left.items())
    REPORT.write_text(f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>sagemaker_pyspark demo</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#222}}
main{{display:grid;grid-template-columns:repeat(auto-fit,minmax(22rem,1fr));gap:1.5rem}}
section{{border:1px solid #ddd;border-radius:.5rem;padding:1rem}}h2{{margin:0 0 .5rem;font-size:1.1rem}}
img{{width:100%}}footer{{margin-top:2rem;color:#555}}</style>
<h1>Spark ML on SageMaker</h1><p>Trained, hosted and predicted by the local SageMaker in {seconds:.0f} s.</p>
<main>{cards}</main><footer>Left behind: {rest}</footer></html>""")


if __name__ == "__main__":
    sys.exit(main())

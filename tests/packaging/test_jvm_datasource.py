"""The JVM data source, on Spark as a user adds it: the jar on ``spark.jars``, in a process of its own."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import traceback
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "proto" / "vectors"
NAME = "io.sagemakerpyspark.datasource.SageMaker"


# -- here: build, run, and look at what each check said -----------------------------------------------------------------


@pytest.fixture(scope="module")
def jars(tmp_path_factory):
    if shutil.which("mvn") is None:
        pytest.skip("Maven is not there")
    # In a copy, so that a build at the same time is not disturbed.
    folder = tmp_path_factory.mktemp("jar") / "scala"
    shutil.copytree(ROOT / "scala", folder, ignore=shutil.ignore_patterns("target"))
    done = subprocess.run(["mvn", "-B", "-f", folder / "datasource" / "pom.xml", "package"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    return {path.name: path for path in (folder / "datasource" / "target").glob("*.jar")}


@pytest.fixture(scope="module")
def said(jars, tmp_path_factory):
    pytest.importorskip("pyspark")
    # The session of this process, and the way it talks to its JVM, are not to be found by the other.
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "PYSPARK_"))}
    environment.update(PYSPARK_PYTHON=sys.executable, PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    [jar] = [path for name, path in jars.items() if name.endswith("-shortname.jar")]
    results = tmp_path_factory.mktemp("said") / "results.json"
    done = subprocess.run([sys.executable, __file__, str(jar), str(results)], capture_output=True, text=True, env=environment)
    assert results.exists(), (done.stdout + done.stderr)[-4000:]
    return json.loads(results.read_text())


def test_only_the_second_jar_takes_the_short_name(jars):
    services = "META-INF/services/org.apache.spark.sql.sources.DataSourceRegister"
    assert len(jars) == 2
    for name, path in jars.items():
        assert path.stat().st_size < 100_000
        assert (services in zipfile.ZipFile(path).namelist()) == name.endswith("-shortname.jar")


# -- there: checks, each with a session and an empty folder -------------------------------------------------------------


def reader(spark, **options):
    return spark.read.format(NAME).options(**options)


def write(df, path, mode="append", **options):
    df.write.format(NAME).options(**options).mode(mode).save(str(path))


def refused(action, *words):
    try:
        action()
    except Exception as problem:
        missing = [word for word in words if word not in str(problem)]
        assert not missing, f"{missing} not in {str(problem)[:2000]}"
    else:
        raise AssertionError(f"not refused: {words}")


def float32(values):
    with np.errstate(over="ignore"):
        return np.array(values, np.float64).astype(np.float32).astype(np.float64)


def number(text):
    return struct.unpack(">d", bytes.fromhex(text))[0]


def expected(features):
    """The columns' values of a row of proto/vectors, by the name of the type."""
    from pyspark.ml.linalg import Matrices, Vectors

    [(kind, value)] = features.items()
    if kind == "dense":
        return Vectors.dense(float32([number(v) for v in value]))
    if kind == "sparse":
        return Vectors.sparse(value["size"], value["indices"], float32([number(v) for v in value["values"]]))
    if kind == "dense_matrix":
        return Matrices.dense(value["rows"], value["cols"], float32([number(v) for v in value["column_major_values"]]))
    return Matrices.sparse(value["rows"], value["cols"], value["colPtrs"], value["rowIndices"],
                           float32([number(v) for v in value["values"]]))


def same(found, want):
    assert type(found) is type(want) or "Matrix" in type(want).__name__, (found, want)
    np.testing.assert_array_equal(found.toArray(), want.toArray())
    if type(want).__name__.startswith("Sparse"):
        for name in ("indices", "colPtrs", "rowIndices"):
            if hasattr(want, name):
                np.testing.assert_array_equal(getattr(found, name), getattr(want, name))


def check_every_vector(spark, folder):
    cases = sorted(VECTORS.glob("*.json"))
    assert len(cases) >= 11
    for case in cases:
        rows = json.loads(case.read_text())["rows"]
        kind = "matrix" if case.stem.startswith("matrix") else "vector"
        df = reader(spark, featuresType=kind).load(str(case.with_suffix(".bin")))
        assert df.columns == ["label", "features"]
        found = df.collect()
        assert len(found) == len(rows)
        for got, row in zip(found, rows):
            want = None if row["label"] is None else float32([number(row["label"])])[0]
            assert got.label is None if want is None else np.array_equal(got.label, want, equal_nan=True)
            same(got.features, expected(row["features"]))
        # And written again, the bytes are the same.
        columns = df.coalesce(1) if rows[0]["label"] is not None else df.select("features").coalesce(1)
        write(columns, folder / case.stem)
        [path] = (folder / case.stem).iterdir()
        assert path.read_bytes() == case.with_suffix(".bin").read_bytes(), case.stem


def check_unsound_files_are_refused(spark, folder):
    files = sorted((VECTORS / "refused").glob("*.bin"))
    assert len(files) >= 12
    for path in files:
        refused(lambda path=path: reader(spark).load(str(path)).collect(), "offset", path.name)
    (folder / "cut.gz").write_bytes(bytes.fromhex("1f8b0800000000000003"))
    refused(lambda: reader(spark).load(str(folder)).collect(), "must be whole gzip", "cut.gz")


def plain(tensors):
    return {key: {"values": [bytes(b).hex() for b in t.bytes] if t.kind == "bytes" else list(t["values"]),
                  "keys": t["keys"] and list(t["keys"]), "shape": t.shape and list(t.shape)} for key, t in tensors.items()}


def check_every_tensor(spark, folder):
    for path in sorted((VECTORS / "read").glob("*.json")):
        found = reader(spark, tensors="true").load(str(path.with_suffix(".bin"))).collect()
        assert [{"features": plain(r.featureTensors), "label": plain(r.labelTensors), "uid": r.uid, "metadata": r.metadata,
                 "configuration": r.configuration} for r in found] == json.loads(path.read_text()), path.stem
    df = reader(spark, TENSORS="true").load(str(VECTORS / "read" / "bytes.bin"))
    [row] = df.selectExpr("featureTensors['image'].bytes[1] as second").collect()  # a field of a struct alone
    assert bytes(row.second) == b"\x00\xff"
    assert dict(df.dtypes)["featureTensors"] == (
        "map<string,struct<kind:string,values:array<double>,keys:array<bigint>,shape:array<bigint>,bytes:array<binary>>>")


def mixed(spark, count):
    from pyspark.ml.linalg import Vectors

    rng = np.random.default_rng(2)
    rows = []
    for at in range(count):
        values = rng.normal(size=int(rng.integers(0, 30))).astype(np.float32).astype(float)
        indices = sorted(rng.choice(1000, len(values), replace=False).tolist())
        rows.append((float(at), Vectors.dense(values) if at % 3 else Vectors.sparse(1000, indices, values)))
    return spark.createDataFrame(rows, ["label", "features"]).repartition(3), rows


def check_round_trip(spark, folder):
    df, rows = mixed(spark, 500)
    for compression, split in (("none", 1000), ("none", 0), ("gzip", 1000)):
        path = folder / f"{compression}-{split}"
        write(df, path, compression=compression)
        files = list(path.iterdir())
        ending = ".pbr.gz" if compression == "gzip" else ".pbr"
        assert len(files) == 3 and all(f.name.startswith("part-0") and f.name.endswith(ending) for f in files)
        read = reader(spark, splitBytes=split).load(str(path))
        found = read.collect()
        assert sorted(((r.label, r.features) for r in found), key=lambda row: row[0]) == rows
        pieces = sum(-(-f.stat().st_size // 1000) for f in files)
        assert read.rdd.getNumPartitions() == (pieces if ending == ".pbr" and split == 1000 else 3)
    write(df, path)
    assert reader(spark).load(str(path)).count() == 1000


def check_a_payload_that_looks_like_records(spark, folder):
    from sagemaker_pyspark.codecs import message, record, recordio

    made = message.message_class()()
    inner = recordio.frame(b"") * 300
    made.features["x"].bytes.value.append(inner)
    # At a multiple of four, where a frame could begin.
    made.features["x"].bytes.value[0] = bytes(-recordio.frame(made.SerializeToString()).index(inner) % 4) + inner
    small = record.encode_tensor([1.0])
    (folder / "x.pbr").write_bytes(small + recordio.frame(made.SerializeToString()) + small * 20)
    refused(lambda: reader(spark, splitBytes=1000).load(str(folder)).count(), "cannot be read in parts", "splitBytes=0", "x.pbr")
    assert reader(spark, splitBytes=0).load(str(folder)).count() == 22
    assert reader(spark).load(str(folder)).count() == 22


def check_columns_by_name(spark, folder):
    import pyspark.sql.functions as F
    from pyspark.ml.linalg import SparseVector

    df = spark.createDataFrame([([1.0, 2.0], 3), ([4.0, 5.0], 6)], "x array<float>, y int")
    write(df, folder / "a", labelcolumnname="y", FEATURESCOLUMNNAME="x")
    read = reader(spark, labelColumnName="y", featuresColumnName="x", featuresType="array").load(str(folder / "a"))
    assert sorted((r.y, list(r.x)) for r in read.collect()) == [(3.0, [1.0, 2.0]), (6.0, [4.0, 5.0])]
    assert sorted(r.y for r in read.select("y").collect()) == [3.0, 6.0]
    assert read.filter(F.col("y") > 4).count() == 1
    narrow = reader(spark).schema("features array<double>").load(str(folder / "a"))
    assert sorted(list(r.features) for r in narrow.collect()) == [[1.0, 2.0], [4.0, 5.0]]
    sparse = spark.createDataFrame([(SparseVector(4, [1], [2.0]),)], ["features"])
    write(sparse, folder / "b")
    [row] = reader(spark, featuresType="array").load(str(folder / "b")).collect()
    assert row.label is None and list(row.features) == [0.0, 2.0, 0.0, 0.0]
    for kind, value in (("decimal(5,2)", 2.5), ("boolean", 1.0), ("tinyint", 3.0)):
        write(sparse.select("features", F.lit(value).cast(kind).alias("label")), folder / kind)
        assert reader(spark).load(str(folder / kind)).first().label == value


def check_odd_rows_are_refused(spark, folder):
    from sagemaker_pyspark.codecs import message, recordio

    def load(change, **options):
        made = message.message_class()()
        change(made)
        (folder / "x.pbr").write_bytes(recordio.frame(made.SerializeToString()))
        return reader(spark, **options).load(str(folder)).collect

    def numbers(values, keys=(), shape=(), part="features"):
        def change(made):
            tensor = getattr(made, part)["values"].float32_tensor
            tensor.values.extend(values)
            tensor.keys.extend(keys)
            tensor.shape.extend(shape)
        return change

    def octets(made):
        made.features["values"].bytes.value.append(b"x")

    refused(load(octets), "must be numbers, got bytes", "tensors=true", "x.pbr")
    refused(load(numbers([1, 2], part="label")), "a label must be one number, got 2", "tensors=true")
    refused(load(numbers([1, 2], shape=[1, 2])), "[1, 2]", "featuresType=matrix")
    refused(load(numbers([1, 2]), featuresType="matrix"), "two lengths", "featuresType=vector")
    refused(load(numbers([1], [3])), "must have a shape", "tensors=true")
    refused(load(numbers([1], [3], [2**40])), "hold up to 2147483647", "tensors=true")
    refused(load(numbers([1], [3], [2**30]), featuresType="array"), "written out", "featuresType=vector")
    refused(load(numbers([1, 2], [3, 3], [9])), "each key once")
    refused(load(numbers([1, 2], shape=[3])), "must fill it, got 2")
    # Keys in any order are taken, and many columns need no pointers of their own.
    [row] = load(numbers([1, 2], [7, 3], [9]))()
    assert row.features.indices.tolist() == [3, 7] and row.features.values.tolist() == [2.0, 1.0]
    [row] = load(numbers([1, 2], [2**24, 3], [2, 2**25]), featuresType="matrix")()
    assert row.features.isTransposed and row.features[0, 3] == 2.0 and row.features[0, 2**24] == 1.0
    # What is not asked for is not looked at.
    assert reader(spark).load(str(folder)).select("label").collect()[0].label is None


def check_what_cannot_be_written_is_refused(spark, folder):
    out = folder / "out"
    arrays = "label double, features array<double>"
    nulls = [([(1.0, [1.0]), (None, [2.0])], "'label' must not be null"), ([(1.0, [1.0]), (2.0, None)], "'features' must not be null"),
             ([(1.0, [1.0, None])], "value 1 of a row is null")]
    for rows, message in nulls:
        for mode in ("append", "overwrite"):
            refused(lambda rows=rows, mode=mode: write(spark.createDataFrame(rows, arrays).coalesce(1), out, mode), message)
            assert not out.exists() or list(out.iterdir()) == []
    good = spark.createDataFrame([(1.0, [1.0])], arrays)
    refused(lambda: write(good.drop("features"), out), "'features' must exist", "featuresColumnName")
    refused(lambda: write(good, out, labelColumnName="y"), "'y' must exist")
    refused(lambda: write(spark.createDataFrame([("1", [1.0])], "label string, features array<double>"), out), "must be numbers, got string")
    refused(lambda: write(spark.createDataFrame([("1",)], "features string"), out), "must be a vector", "got string")
    refused(lambda: write(good, out, compression="zip"), "compression must be none or gzip")
    refused(lambda: write(good, out, numFeature=3), "unknown option 'numFeature'")
    refused(lambda: reader(spark, splitBytes="1k").load(str(VECTORS)).collect(), "splitBytes must be", "1k")
    refused(lambda: reader(spark, featuresType="list").load(str(VECTORS)).collect(), "featuresType must be")
    refused(lambda: reader(spark).load(str(folder / "nowhere")).collect(), "path must exist", "nowhere")
    refused(lambda: reader(spark).load().collect(), "needs a path")
    refused(lambda: reader(spark).schema("features string").load(str(VECTORS)).collect(), "cannot be read from a record")
    (folder / "file").write_text("x")
    refused(lambda: write(good, folder / "file"), "is a file")


def check_overwrite(spark, folder):
    (folder / "_keep").write_text("x")
    (folder / ".hidden").write_text("x")
    for value in (1.0, 2.0):
        write(spark.createDataFrame([([value],)], ["features"]), folder, "overwrite")
    assert [r.features.toArray().tolist() for r in reader(spark).load(str(folder)).collect()] == [[2.0]]
    # From the rows that are replaced themselves.
    write(reader(spark).load(str(folder)).select("features"), folder, "overwrite")
    assert reader(spark).load(str(folder)).count() == 1
    names = sorted(path.name for path in folder.iterdir())
    assert names[:2] == [".hidden", "_keep"] and len(names) == 3 and names[2].startswith("part-")
    write(reader(spark).load(str(folder)).select("features").limit(0), folder, "overwrite")
    assert reader(spark).load(str(folder)).count() == 0


def check_many_paths_and_the_short_name(spark, folder):
    for name in ("a", "b"):
        write(spark.createDataFrame([([1.0],)], ["features"]), folder / name)
    assert reader(spark).load([str(folder / "a"), str(folder / "b")]).count() == 2
    assert reader(spark).load(str(folder)).count() == 2
    assert reader(spark).load(str(folder / "?")).count() == 2
    assert spark.read.format("sagemaker").load(str(folder)).count() == 2


CHECKS = {name: found for name, found in list(globals().items()) if name.startswith("check_")}


@pytest.mark.parametrize("name", CHECKS)
def test_on_spark(said, name):
    assert said[name] == "ok", said[name]


def main(jar, results):
    from pyspark.sql import SparkSession

    said = {}
    with tempfile.TemporaryDirectory() as scratch:
        spark = (SparkSession.builder.master("local[2]").config("spark.jars", jar).config("spark.ui.enabled", "false")
                 .config("spark.ui.showConsoleProgress", "false").config("spark.sql.shuffle.partitions", "2").config("spark.sql.warehouse.dir", scratch + "/warehouse")
                 .getOrCreate())
        spark.sparkContext.setLogLevel("OFF")
        for name, check in CHECKS.items():
            folder = Path(scratch) / name
            folder.mkdir()
            try:
                check(spark, folder)
                said[name] = "ok"
            except Exception:
                said[name] = traceback.format_exc()[-6000:]
        spark.stop()
    Path(results).write_text(json.dumps(said))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""1.4.5's own writer on one data set of ``staging.py``; runs in an environment of its own (``staging.py --reference``).

Needs ``pyspark==3.3.*`` and ``sagemaker_pyspark==1.4.5`` on Python 3.10 or older; prints seconds beyond a noop read.
"""
import shutil
import statistics
import sys
import time

from pyspark.sql import SparkSession

import sagemaker_pyspark


def main() -> None:
    folder, sink, runs, name = sys.argv[1:]
    spark = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.driver.memory", "4g")
             .config("spark.driver.extraClassPath", ":".join(sagemaker_pyspark.classpath_jars()))
             .config("spark.ui.showConsoleProgress", "false").getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")

    def seconds(run) -> float:
        # A virtual machine gives free memory back and pays for each page it needs again; not what is measured here.
        len(b"x" * (1 << 30))
        started = time.perf_counter()
        run()
        return time.perf_counter() - started

    df = spark.read.parquet(f"{folder}/{name}")

    def write():
        df.write.format("sagemaker").mode("overwrite").save(sink)

    def read():
        df.write.format("noop").mode("overwrite").save()

    for run in (read, write) * 2:
        run()  # warm
    print(statistics.median(-seconds(read) + seconds(write) for _ in range(int(runs))))
    shutil.rmtree(sink)


if __name__ == "__main__":
    main()

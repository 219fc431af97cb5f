"""Packaging. The JVM codec's jar is built and included when Maven is there; without it the package is pure Python."""
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
JAR = HERE / "sagemaker_pyspark" / "jars" / "sagemaker-pyspark-codec.jar"


class BuildWithJar(build_py):
    """Build the codec first, if that is possible here."""

    def run(self):
        build_jar()
        super().run()


def build_jar():
    sources = [path for path in [*HERE.glob("scala/src/**/*.java"), HERE / "scala" / "pom.xml"] if path.exists()]
    if not sources or shutil.which("mvn") is None:
        return
    if JAR.exists() and JAR.stat().st_mtime >= max(path.stat().st_mtime for path in sources):
        return
    done = subprocess.run(["mvn", "-q", "-B", "-f", str(HERE / "scala" / "pom.xml"), "-DskipTests", "package"], check=False)
    built = sorted(HERE.glob("scala/target/sagemaker-pyspark-codec-*.jar"))
    if done.returncode or not built:
        print("warning: the JVM codec was not built; rows will be encoded by numpy", file=sys.stderr)
        return
    JAR.parent.mkdir(exist_ok=True)
    shutil.copyfile(built[-1], JAR)


setup(
    name="sagemaker_pyspark",
    version="2.0.0.dev0",
    description="Apache Spark ML on Amazon SageMaker: train, host and predict from DataFrames",
    long_description=(HERE / "README.md").read_text() if (HERE / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["sagemaker_pyspark", "sagemaker_pyspark.*"]),
    package_data={"sagemaker_pyspark": ["images.json", "py.typed", "jars/*.jar", "**/*.pyi", "**/*.json"]},
    install_requires=["boto3>=1.34", "numpy>=1.24", "pyarrow>=11.0.0", "protobuf>=4.21", "pyspark>=3.5"],
    extras_require={
        "local": ["moto[s3,iam,sts]>=5.1", "flask>=3", "flask-cors>=4", "aiohttp>=3.9", "scikit-learn>=1.3", "xgboost>=2.0"],
        "dev": ["pytest>=8", "hypothesis>=6", "ruff>=0.6", "mypy>=1.10", "import-linter>=2.0", "matplotlib>=3.8",
                "nbclient>=0.10", "nbformat>=5.10", "ipykernel>=6", "build>=1.2", "setuptools>=68", "wheel", "pandas>=2.0,<3"],
    },
    cmdclass={"build_py": BuildWithJar},
    classifiers=["Programming Language :: Python :: 3"],
    zip_safe=False,
)

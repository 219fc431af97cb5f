"""Training jobs: data from S3 into a folder, a process that trains on it, the model back to S3."""
from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .processes import Container, Images, pack
from .store import Store, now

__all__ = ["TrainingRunner", "objects_of"]

LOG_GROUP = "/aws/sagemaker/TrainingJobs"


class TrainingRunner:
    """Runs each job in a thread. The data of all instances goes to one host, which stands for the cluster."""

    def __init__(self, store: Store, images: Images, folder: str, s3: Callable[[], Any]):
        self._store, self._images, self._folder, self._s3 = store, images, Path(folder), s3
        self._running: dict[str, Container] = {}
        self._closing = False

    def start(self, item: dict[str, Any]) -> None:
        threading.Thread(target=self._guarded, args=(item,), daemon=True).start()

    def close(self) -> None:
        self._closing = True
        for container in list(self._running.values()):
            container.stop(0.5)

    def _guarded(self, item: dict[str, Any]) -> None:
        try:
            self._run(item)
        except _Failed as problem:
            self._end(item, "Failed", "Failed", FailureReason=str(problem)[:1024])
        except Exception as problem:  # the fault is ours and must still end the job
            self._end(item, "Failed", "Failed", FailureReason=f"InternalServerError: {type(problem).__name__}: {problem}")

    def _run(self, item: dict[str, Any]) -> None:
        name, image = item["TrainingJobName"], item["AlgorithmSpecification"]["TrainingImage"]
        stream = f"{name}/algo-1-{int(time.time())}"
        metrics = _Metrics(item["AlgorithmSpecification"].get("MetricDefinitions"), self._images.algorithm(image))

        def line(text: str) -> None:
            self._store.log(LOG_GROUP, stream, text)
            metrics.read(text)

        environment = {**item.get("Environment", {}), "TRAINING_JOB_NAME": name, "SM_CURRENT_HOST": "algo-1",
                       "SM_HPS": json.dumps(item.get("HyperParameters", {}))}
        container = Container(self._folder / "jobs" / name, self._images.command(image, "train") or [], environment, line)
        try:
            self._store.transition(item, "Starting", "Launching requested ML instances")
            self._store.transition(item, "Downloading", "Downloading input data")
            self._prepare(item, container)
            self._store.transition(item, "Training", "Training image download completed. Training in progress.")
            self._store.update(item, TrainingStartTime=now())
            started = time.monotonic()
            self._running[name] = container
            container.start()
            code, ended = self._watch(item, container)
            self._store.update(item, FinalMetricDataList=metrics.final(), TrainingEndTime=now(),
                               TrainingTimeInSeconds=max(1, round(time.monotonic() - started)),
                               BillableTimeInSeconds=max(1, round(time.monotonic() - started)))
            if ended:
                self._upload(item, container)
                self._end(item, "Stopped", ended)
                return
            if code != 0:
                reason = container.failure() or f"exit code {code}"
                kind = "" if reason.startswith(("ClientError", "AlgorithmError")) else "AlgorithmError: "
                raise _Failed(f"{kind}{reason}, exit code: {code}")
            self._store.transition(item, "Uploading", "Uploading generated training model")
            self._upload(item, container)
            self._end(item, "Completed", "Completed")
        finally:
            self._running.pop(name, None)
            container.stop(0.5)
            container.remove()

    def _watch(self, item: dict[str, Any], container: Container) -> tuple[int | None, str]:
        """(exit code, why it was stopped)."""
        deadline = time.monotonic() + item["StoppingCondition"].get("MaxRuntimeInSeconds", 86400)
        while True:
            code = container.wait(0.05)
            if code is not None:
                return code, ""
            why = ("Stopped" if item["TrainingJobStatus"] == "Stopping" or self._closing else
                   "MaxRuntimeExceeded" if time.monotonic() > deadline else "")
            if why:
                container.stop()
                return None, why

    def _prepare(self, item: dict[str, Any], container: Container) -> None:
        channels = {}
        for channel in item.get("InputDataConfig", ()):
            source = channel.get("DataSource", {}).get("S3DataSource")
            mode = channel.get("InputMode") or item["AlgorithmSpecification"]["TrainingInputMode"]
            if source is None or mode == "Pipe":
                raise _Failed(f"ClientError: the local SageMaker reads S3 in File and FastFile mode, channel "
                              f"{channel['ChannelName']} asks for {'Pipe mode' if source else 'another source'}")
            self._download(source, container.folder / "input/data" / channel["ChannelName"], channel["ChannelName"])
            channels[channel["ChannelName"]] = {
                "ContentType": channel.get("ContentType"), "TrainingInputMode": "File",
                "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"), "RecordWrapperType": "None"}
        container.write_config("hyperparameters.json", item.get("HyperParameters", {}))
        container.write_config("inputdataconfig.json", channels)
        container.write_config("resourceconfig.json", {"current_host": "algo-1", "hosts": ["algo-1"],
                                                       "network_interface_name": "lo"})

    def _download(self, source: dict[str, Any], target: Path, channel: str) -> None:
        target.mkdir(parents=True, exist_ok=True)
        s3 = self._s3()
        try:
            bucket, prefix, keys = objects_of(s3, source)
        except Exception as problem:
            raise _Failed(f"ClientError: Data download failed: {problem}, exit code: 1") from None
        if not keys:
            raise _Failed(f"ClientError: Data download failed: No S3 objects found under S3 URL "
                          f"\"{source['S3Uri']}\" given in input data source of channel {channel}. Please ensure that the "
                          "bucket exists in the selected region and that objects exist under that S3 prefix.")
        for key in keys:
            path = target / (key[len(prefix):].lstrip("/") or key.rsplit("/", 1)[-1])
            if not path.resolve().is_relative_to(target.resolve()):
                raise _Failed(f"ClientError: Data download failed: the key {key} leaves the folder of channel {channel}")
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                s3.download_file(bucket, key, str(path))
            except Exception as problem:
                raise _Failed(f"ClientError: Data download failed: s3://{bucket}/{key}: {problem}") from None

    def _upload(self, item: dict[str, Any], container: Container) -> None:
        if not any((container.folder / "model").iterdir()):
            return
        place = urlsplit(item["OutputDataConfig"]["S3OutputPath"])
        key = f"{place.path.strip('/')}/{item['TrainingJobName']}/output/model.tar.gz".lstrip("/")
        packed = container.folder / "model.tar.gz"
        pack(container.folder / "model", packed)
        try:
            self._s3().upload_file(str(packed), place.netloc, key)
        except Exception as problem:
            raise _Failed(f"ClientError: Artifact upload failed: {problem}") from None
        self._store.update(item, ModelArtifacts={"S3ModelArtifacts": f"s3://{place.netloc}/{key}"})

    def _end(self, item: dict[str, Any], status: str, secondary: str, **more: Any) -> None:
        self._store.transition(item, secondary, more.get("FailureReason", ""))
        self._store.update(item, TrainingJobStatus=status, **more)


class _Failed(Exception):
    """The reason a job ends with."""


class _Metrics:
    """Last value of each metric whose regular expression matched a log line."""

    def __init__(self, definitions: list[dict[str, str]] | None, algorithm: str | None):
        if not definitions and algorithm:
            from .containers import METRICS

            definitions = METRICS.get(algorithm, [])
        self._definitions = [(d["Name"], re.compile(d["Regex"])) for d in definitions or ()]
        self._values: dict[str, float] = {}

    def read(self, line: str) -> None:
        for name, pattern in self._definitions:
            found = pattern.search(line)
            if found:
                try:
                    self._values[name] = float(found.group(1))
                except (ValueError, IndexError):
                    pass

    def final(self) -> list[dict[str, Any]]:
        return [{"MetricName": k, "Value": v, "Timestamp": now()} for k, v in self._values.items()]


def objects_of(s3: Any, source: dict[str, Any]) -> tuple[str, str, list[str]]:
    """(bucket, prefix that file names leave out, keys) of an S3DataSource."""
    place = urlsplit(source["S3Uri"])
    bucket, key = place.netloc, place.path.lstrip("/")
    if source.get("S3DataType") == "ManifestFile":
        manifest = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        base = urlsplit(manifest[0]["prefix"])
        prefix = base.path.lstrip("/")
        return base.netloc, prefix, [prefix + name for name in manifest[1:]]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ()) if not item["Key"].endswith("/")]
    return bucket, key if key.endswith("/") else key.rsplit("/", 1)[0] + "/" if "/" in key else "", keys

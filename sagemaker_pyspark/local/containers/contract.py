"""The folder that stands for /opt/ml: configuration in, model and reason of failure out."""
from __future__ import annotations

import json
import math
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import data

__all__ = ["ClientError", "Job", "base_folder", "run"]

#: The service adds this one for tuning jobs; the containers accept it.
_FROM_THE_SERVICE = {"_tuning_objective_metric", "_num_gpus", "_num_kv_servers", "_kvstore", "_log_level"}


class ClientError(Exception):
    """Bad data or hyperparameters: the user's to mend, in the real containers' words."""


class Job:
    """What a training program is given.

    Attributes
    ----------
    hyper : dict of str
    folder : Path
    """

    def __init__(self, algorithm: str, folder: Path):
        self.algorithm, self.folder = algorithm, folder
        config = folder / "input/config"
        self.hyper: dict[str, str] = json.loads((config / "hyperparameters.json").read_text())
        self._channels = json.loads((config / "inputdataconfig.json").read_text())
        _validate(algorithm, self.hyper)

    def has(self, channel: str) -> bool:
        return channel in self._channels

    def channel(self, name: str, required: bool = True) -> data.Data | None:
        """Data of a channel, None for an optional one that is not there."""
        if name not in self._channels:
            if required:
                raise ClientError(f"Missing required data channel {name!r}")
            return None
        try:
            found = data.read(self.folder / "input/data" / name, self._channels[name].get("ContentType"), self.algorithm,
                              weighted=self.hyper.get("csv_weights") == "1")
        except data.BadData as problem:
            raise ClientError(f"Unable to read data channel '{name}'. {problem}") from None
        declared = self.hyper.get("feature_dim", "auto")
        if declared != "auto" and found.dim != int(float(declared)):
            raise ClientError(f"The feature dimension of the data in channel {name!r} is {found.dim}, but feature_dim is "
                              f"{declared}")
        return found

    def number(self, name: str, default: float) -> float:
        value = self.hyper.get(name, "auto")
        return default if value == "auto" else float(value)

    def whole(self, name: str, default: int) -> int:
        return int(self.number(name, default))

    def flag(self, name: str, default: bool) -> bool:
        value = self.hyper.get(name, "auto").lower()
        return default if value == "auto" else value == "true"

    def text(self, name: str, default: str) -> str:
        value = self.hyper.get(name, "auto")
        return default if value == "auto" else value

    def metric(self, channel: str, name: str, value: float) -> None:
        print(f"#quality_metric: host=algo-1, {channel} {name} <loss>={value:.10g}", flush=True)

    @property
    def model(self) -> Path:
        return self.folder / "model"


def base_folder() -> Path:
    return Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))


def run(algorithm: str, train: Callable[[Job], None]) -> int:
    """Train, and tell the service why if it fails."""
    folder = base_folder()
    try:
        job = Job(algorithm, folder)
        print(f"[{algorithm}] hyperparameters: {json.dumps(job.hyper, sort_keys=True)}", flush=True)
        train(job)
        print(f"[{algorithm}] training finished", flush=True)
        return 0
    except Exception as problem:
        reason = f"ClientError: {problem}" if isinstance(problem, (ClientError, data.BadData)) else (
            f"AlgorithmError: {type(problem).__name__}: {problem}")
        traceback.print_exc(file=sys.stdout)
        (folder / "output").mkdir(parents=True, exist_ok=True)
        (folder / "output/failure").write_text(reason)
        return 1


def _validate(algorithm: str, given: dict[str, str]) -> None:
    rules = json.loads((Path(__file__).parent / "hyperparameters.json").read_text())[algorithm]
    for name, rule in rules.items():
        if name not in given and (rule["required"] is True or name == _CONDITIONAL.get((algorithm, *_kind(given)))):
            raise ClientError(f"Hyperparameter '{name}' is required, it is missing")
    for name, text in given.items():
        if name in _FROM_THE_SERVICE:
            continue
        if name not in rules:
            raise ClientError(f"Additional hyperparameters are not allowed ('{name}' was unexpected)")
        problem = _problem(rules[name], text)
        if problem:
            raise ClientError(f"Hyperparameter {name}: {problem}, got '{text}'")


#: A hyperparameter that is required for one kind of model.
_CONDITIONAL = {("linear-learner", "multiclass_classifier"): "num_classes", ("xgboost", "multi:softmax"): "num_class",
                ("xgboost", "multi:softprob"): "num_class"}


def _kind(given: dict[str, str]) -> tuple[str]:
    return (given.get("predictor_type") or given.get("objective") or "",)


def _problem(rule: dict[str, Any], text: str) -> str | None:
    if (rule.get("accepts_auto") and text == "auto") or text in rule.get("extra_values", ()):
        return None
    if rule["type"] in ("int", "float"):
        try:
            value = float(text)
        except ValueError:
            return "must be a number"
        if not math.isfinite(value):
            return "must be a finite number"
        if rule["type"] == "int" and value != int(value):
            return "must be a whole number"
        low, high = rule.get("min"), rule.get("max")
        if low is not None and (value < low or (rule.get("min_exclusive") and value == low)):
            return f"must be at least {low}"
        if high is not None and (value > high or (rule.get("max_exclusive") and value == high)):
            return f"must be at most {high}"
    if rule["type"] == "bool" and text.lower() not in ("true", "false", "auto"):
        return "must be True or False"
    if rule["type"] == "str" and rule.get("enum") and text not in rule["enum"]:
        return f"must be one of {', '.join(rule['enum'])}"
    if rule["type"] in ("json_list", "csv_list") and rule.get("enum"):
        try:
            items = json.loads(text) if rule["type"] == "json_list" else [item.strip() for item in text.split(",")]
        except ValueError:
            return "must be a list in JSON"
        if not isinstance(items, list) or any(str(item).split("@")[0] not in rule["enum"] for item in items):
            return f"must hold only {', '.join(rule['enum'])}"
    return None

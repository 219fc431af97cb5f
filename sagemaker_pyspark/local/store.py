"""What the local SageMaker knows: named resources of each kind, tags, log lines."""
from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable
from typing import Any

from .validation import ServiceError

__all__ = ["ACCOUNT", "KINDS", "REGION", "Store", "now"]

ACCOUNT = "123456789012"
REGION = "us-east-1"

#: kind: (member that names it, ARN part, status member, member of a listing, summary members)
KINDS: dict[str, tuple[str, str, str | None, str]] = {
    "TrainingJob": ("TrainingJobName", "training-job", "TrainingJobStatus", "TrainingJobSummaries"),
    "TransformJob": ("TransformJobName", "transform-job", "TransformJobStatus", "TransformJobSummaries"),
    "Model": ("ModelName", "model", None, "Models"),
    "EndpointConfig": ("EndpointConfigName", "endpoint-config", None, "EndpointConfigs"),
    "Endpoint": ("EndpointName", "endpoint", "EndpointStatus", "Endpoints"),
}
_WORDS = {"TrainingJob": "training job", "TransformJob": "transform job", "Model": "model",
          "EndpointConfig": "endpoint configuration", "Endpoint": "endpoint"}


def now() -> float:
    return datetime.datetime.now(datetime.timezone.utc).timestamp()


class Store:
    """All state, behind one lock."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.items: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in KINDS}
        self.tags: dict[str, dict[str, str]] = {}
        self.logs: dict[tuple[str, str], list[tuple[int, str]]] = {}

    def add(self, kind: str, request: dict[str, Any], **extra: Any) -> dict[str, Any]:
        """A new resource; a taken name is refused as the service does."""
        field, part, _, _ = KINDS[kind]
        name = request[field]
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{part}/{name.lower()}"
        with self.lock:
            if name in self.items[kind]:
                code = "ResourceInUse" if kind.endswith("Job") else "ValidationException"
                raise ServiceError(code, f'Cannot create already existing {_WORDS[kind]} "{arn}".')
            item = {k: v for k, v in request.items() if k != "Tags"}
            item.update({f"{kind}Arn": arn, "CreationTime": now(), "LastModifiedTime": now(), **extra})
            self.items[kind][name] = item
            self.tags[arn] = {t["Key"]: t["Value"] for t in request.get("Tags", ())}
            return item

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found = self.items[kind].get(name)
        if found is None:
            arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{KINDS[kind][1]}/{str(name).lower()}"
            if kind.endswith("Job"):
                raise ServiceError("ValidationException", "Requested resource not found.")
            raise ServiceError("ValidationException", f'Could not find {_WORDS[kind]} "{arn}".')
        return found

    def remove(self, kind: str, name: str) -> None:
        with self.lock:
            item = self.get(kind, name)
            del self.items[kind][name]
            self.tags.pop(item[f"{kind}Arn"], None)

    def update(self, item: dict[str, Any], **changes: Any) -> None:
        with self.lock:
            item.update(changes, LastModifiedTime=now())

    def transition(self, item: dict[str, Any], status: str, message: str = "") -> None:
        """A training job's next secondary status."""
        with self.lock:
            moves = item.setdefault("SecondaryStatusTransitions", [])
            if moves:
                moves[-1].setdefault("EndTime", now())
            moves.append({"Status": status, "StartTime": now(), "StatusMessage": message})
            self.update(item, SecondaryStatus=status)

    def listing(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        """One page, filtered and sorted."""
        field, _, status, key = KINDS[kind]
        with self.lock:
            found = list(self.items[kind].values())
        tests: list[Callable[[dict[str, Any]], bool]] = []
        if request.get("NameContains"):
            tests.append(lambda i: request["NameContains"].lower() in i[field].lower())
        if request.get("StatusEquals") and status:
            tests.append(lambda i: i[status] == request["StatusEquals"])
        for member, test in (("CreationTimeAfter", lambda i, t: i["CreationTime"] >= t),
                             ("CreationTimeBefore", lambda i, t: i["CreationTime"] <= t)):
            if request.get(member) is not None:
                tests.append(lambda i, m=member, t=test: t(i, float(request[m])))  # type: ignore[misc]
        found = [i for i in found if all(test(i) for test in tests)]
        by_name = request.get("SortBy") == "Name"
        found.sort(key=lambda i: (i[field] if by_name else i["CreationTime"], i[field]),
                   reverse=request.get("SortOrder", "Descending") == "Descending")
        start, most = self._page(request)
        members = (field, f"{kind}Arn", "CreationTime", "LastModifiedTime", "TrainingEndTime", "TransformEndTime",
                   *((status,) if status else ()))
        page: dict[str, Any] = {key: [{m: i[m] for m in members if m in i and not (m == "LastModifiedTime" and not status)}
                                      for i in found[start:start + most]]}
        if start + most < len(found):
            page["NextToken"] = str(start + most)
        return page

    @staticmethod
    def _page(request: dict[str, Any]) -> tuple[int, int]:
        token = request.get("NextToken") or "0"
        if not token.isdigit():
            raise ServiceError("ValidationException", "Invalid NextToken.")
        return int(token), int(request.get("MaxResults") or 10)

    def log(self, group: str, stream: str, line: str) -> None:
        with self.lock:
            self.logs.setdefault((group, stream), []).append((int(time.time() * 1000), line))

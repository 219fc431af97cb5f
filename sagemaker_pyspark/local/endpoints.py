"""Endpoints: a process for each container of a model, healthy before it is in service."""
from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import artifacts, echo
from .processes import Container, Images, free_port, wait_for
from .store import Store

__all__ = ["EndpointRunner", "Served"]

HEALTHY_WITHIN_SECONDS = 60.0
#: A request that is under way when an update takes its containers away has this long, as long as any request has.
DRAIN_SECONDS = 70.0


class Served:
    """The running containers of one model, in the order a request passes them."""

    def __init__(self, ports: list[int], containers: list[Container], echo: dict[str, Any] | None):
        self.ports, self._containers, self.echo = ports, containers, echo
        self.serverless = self.asynchronous = False
        self.async_config: dict[str, Any] = {}
        self.variants: tuple[str, ...] = ()
        self.busy = 0

    @property
    def variant(self) -> str:
        """The variant that answers; the first of a config."""
        return self.variants[0]

    def post(self, body: bytes, content_type: str, accept: str) -> tuple[int, bytes, str]:
        """(status, body, content type), from a thread; the server's own path does the same without blocking."""
        if self.echo is not None:
            time.sleep(self.echo["latency_seconds"])
            return echo.answer(body, content_type, accept)
        for port in self.ports:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=70)
            try:
                connection.request("POST", "/invocations", body, {"Content-Type": content_type, "Accept": accept})
                answer = connection.getresponse()
                body, content_type = answer.read(), answer.getheader("Content-Type") or ""
            finally:
                connection.close()
            if answer.status >= 400:
                return answer.status, body, content_type
        return 200, body, content_type

    def stop(self) -> None:
        for container in self._containers:
            container.stop(0.5)
            container.remove()


class EndpointRunner:
    """Starts and stops what serves."""

    def __init__(self, store: Store, images: Images, folder: str, s3: Callable[[], Any]):
        self._store, self._images, self._folder, self._s3 = store, images, Path(folder), s3
        self.served: dict[str, Served] = {}
        self._retiring: list[Served] = []
        self._count = 0

    def start(self, item: dict[str, Any], config: dict[str, Any]) -> None:
        threading.Thread(target=self._run, args=(item, config), daemon=True).start()

    def _run(self, item: dict[str, Any], config: dict[str, Any]) -> None:
        try:
            served = self._bring_up(item["EndpointName"], config)
        except Exception as problem:
            self._store.update(item, EndpointStatus="Failed", FailureReason=str(problem)[:1024])
            return
        with self._store.lock:
            if item["EndpointStatus"] == "Creating":
                self.served[item["EndpointName"]] = served
                self._store.update(item, EndpointStatus="InService")
                return
        served.stop()  # deleted while it was coming up

    def update(self, item: dict[str, Any], config: dict[str, Any]) -> None:
        threading.Thread(target=self._update, args=(item, config), daemon=True).start()

    def _update(self, item: dict[str, Any], config: dict[str, Any]) -> None:
        """The old containers answer until the new ones are healthy, and end what they have begun."""
        name = item["EndpointName"]
        try:
            served = self._bring_up(name, config)
        except Exception as problem:
            with self._store.lock:  # rolled back: the endpoint goes on as it was
                if item["EndpointStatus"] == "Updating":
                    self._store.update(item, EndpointStatus="InService", FailureReason=str(problem)[:1024])
            return
        with self._store.lock:
            old = served  # deleted while it was being updated
            if item["EndpointStatus"] == "Updating":
                old, self.served[name] = self.served[name], served
                item.pop("FailureReason", None)
                self._store.update(item, EndpointStatus="InService", EndpointConfigName=config["EndpointConfigName"],
                                   ProductionVariants=[{"VariantName": v} for v in served.variants])
            self._retiring.append(old)
        wait_for(lambda: old.busy == 0, DRAIN_SECONDS)
        old.stop()
        self._retiring.remove(old)

    def _bring_up(self, name: str, config: dict[str, Any]) -> Served:
        variant = config["ProductionVariants"][0]
        served = self.launch(variant["ModelName"], f"/aws/sagemaker/Endpoints/{name}", variant["VariantName"])
        served.variants = tuple(v["VariantName"] for v in config["ProductionVariants"])
        served.serverless = bool(variant.get("ServerlessConfig"))
        served.async_config = config.get("AsyncInferenceConfig") or {}
        served.asynchronous = bool(served.async_config)
        return served

    @contextlib.contextmanager
    def borrowed(self, name: str) -> Iterator[Served | None]:
        """What serves an endpoint now, kept until the block ends even if an update replaces it."""
        with self._store.lock:
            served = self.served.get(name)
            if served is not None:
                served.busy += 1
        try:
            yield served
        finally:
            if served is not None:
                with self._store.lock:
                    served.busy -= 1

    def launch(self, model_name: str, log_group: str, variant: str, environment: dict[str, str] | None = None) -> Served:
        """Containers of a model, healthy, with a job's environment over the model's; raises with the reason otherwise."""
        model = self._store.get("Model", model_name)
        definitions = model.get("Containers") or [model["PrimaryContainer"]]
        echo = self._images.echo(definitions[0]["Image"]) if len(definitions) == 1 else None
        if echo is not None:
            return Served([], [], echo)
        ports, containers = [], []
        try:
            for definition in definitions:
                port, container = self._container(definition, log_group, variant, environment or {})
                ports.append(port)
                containers.append(container)
            for port, container in zip(ports, containers):
                self._await_health(port, container)
        except BaseException:
            Served(ports, containers, None).stop()
            raise
        return Served(ports, containers, None)

    def _container(self, definition: dict[str, Any], group: str, variant: str, more: dict[str, str]
                   ) -> tuple[int, Container]:
        with self._store.lock:
            self._count += 1
            number = self._count
        port, stream = free_port(), f"{variant}/i-{number:017x}"
        environment = {**definition.get("Environment", {}), **more, "SAGEMAKER_BIND_TO_PORT": str(port)}
        container = Container(self._folder / "endpoints" / str(number),
                              self._images.command(definition["Image"], "serve") or [], environment,
                              lambda line: self._store.log(group, stream, line))
        try:
            artifacts.load(self._s3(), definition, container.folder / "model")
        except BaseException:
            container.remove()
            raise
        container.start()
        return port, container

    @staticmethod
    def _await_health(port: int, container: Container) -> None:
        ended: list[int] = []

        def settled() -> bool:
            code = container.wait(0)
            if code is not None:
                ended.append(code)
                return True
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            try:
                connection.request("GET", "/ping")
                return connection.getresponse().status == 200
            except OSError:
                return False
            finally:
                connection.close()

        if not wait_for(settled, HEALTHY_WITHIN_SECONDS) or ended:
            why = f"the container ended with exit code {ended[0]}" if ended else "it did not answer in time"
            raise RuntimeError("The primary container for production variant AllTraffic did not pass the ping health "
                               f"check. Please check CloudWatch logs for this endpoint. ({why})")

    def delete(self, item: dict[str, Any]) -> None:
        threading.Thread(target=self._delete, args=(item,), daemon=True).start()

    def _delete(self, item: dict[str, Any]) -> None:
        with self._store.lock:
            served = self.served.pop(item["EndpointName"], None)
        if served is not None:
            served.stop()
        with self._store.lock:
            if self._store.items["Endpoint"].get(item["EndpointName"]) is item:
                self._store.remove("Endpoint", item["EndpointName"])

    def close(self) -> None:
        deadline = time.monotonic() + 5
        while self.served and time.monotonic() < deadline:
            self.served.popitem()[1].stop()
        for served in list(self._retiring):
            served.stop()

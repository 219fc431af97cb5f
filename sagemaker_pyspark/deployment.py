"""An endpoint that a model owns or borrows: created once when needed, deleted once when done.

Copies of a model share one deployment, since ``PipelineModel.transform(df, params)`` copies its stages.
"""
from __future__ import annotations

import atexit
import dataclasses
import logging
import threading
import uuid
from typing import Any

from . import errors, hosting
from .session import Session
from .settings import CreatedResources, EndpointCreationPolicy, HostingSettings

__all__ = ["Deployment"]

log = logging.getLogger(__name__)

#: Deployments to delete when the interpreter exits. Strong references: a model that went out of scope in a notebook
#: still has a running endpoint.
_ephemeral: set[Deployment] = set()


class Deployment:
    """The endpoint of a model.

    Parameters
    ----------
    session : Session
    container : hosting.Container or None
        None when only an existing endpoint can be used.
    role : str or None
    settings : HostingSettings
    names : CreatedResources
        Names for what will be created.
    existing : str, optional
        Name of an endpoint that somebody else owns; it is used and never deleted.
    """

    def __init__(self, session: Session, container: hosting.Container | None, role: str | None,
                 settings: HostingSettings, names: CreatedResources, existing: str | None = None):
        self.session, self.container, self.role = session, container, role
        self.settings, self.names, self.existing = settings, names, existing
        self.created = CreatedResources()
        self._lock = threading.RLock()
        self._generation = 0

    @property
    def endpoint_name(self) -> str | None:
        """The endpoint's name, None while there is none."""
        return self.existing or self.created.endpoint_name

    def ensure(self, policy: Any, settings: HostingSettings | None = None,
               extra: dict[str, Any] | None = None) -> str:
        """The name of an endpoint in service, created now if the policy allows.

        Raises
        ------
        HostingError
            There is no endpoint and the policy is DO_NOT_CREATE, or it did not come into service.
        """
        with self._lock:
            if self.endpoint_name:
                return self.endpoint_name
            if policy == EndpointCreationPolicy.DO_NOT_CREATE:
                raise errors.HostingError(
                    "transform needs an endpoint: the policy is DO_NOT_CREATE and none exists. Use "
                    "SageMakerModel.fromEndpoint, another endpointCreationPolicy, or mode='batch'")
            self._create(settings or self.settings, endpoint=True, extra=extra)
            if policy == EndpointCreationPolicy.EPHEMERAL:
                _delete_at_exit(self)
            return self.endpoint_name or ""

    def ensure_model(self) -> str:
        """The name of a SageMaker model without an endpoint, for batch transform; deleted at exit unless before."""
        with self._lock:
            if not self.created.model_name:
                self._create(self.settings, endpoint=False, extra=None)
                _delete_at_exit(self)
            return self.created.model_name or ""

    def _create(self, settings: HostingSettings, endpoint: bool, extra: dict[str, Any] | None) -> None:
        if self.container is None or not self.role:
            raise errors.HostingError(
                "an endpoint can be created only from a model image, its data and an execution role; this model was made "
                "from an existing endpoint that is gone or was deleted")
        if self.created.model_name:
            self.delete()
        tags = hosting.tags_of("transform", uuid.uuid4().hex, settings.expiry_seconds)
        self.created = hosting.deploy(self.session, self._next_names(), self.container, self.role, settings, tags,
                                      endpoint, extra)

    def _next_names(self) -> CreatedResources:
        """The given names, numbered from the second time on: a deleted endpoint keeps its name for minutes."""
        self._generation += 1
        if self._generation == 1:
            return self.names
        suffix = f"-{self._generation}"
        return CreatedResources(*(f"{name[:63 - len(suffix)].rstrip('-')}{suffix}" if name else None
                                  for name in dataclasses.astuple(self.names)))

    def delete(self) -> None:
        """Delete what this deployment created; an existing endpoint of somebody else's is left alone.

        Raises
        ------
        CleanupError
            Naming what may still exist.
        """
        with self._lock:
            if self.created:
                try:
                    hosting.delete(self.session, self.created)
                except errors.CleanupError:
                    _ephemeral.add(self)  # tried once more at exit
                    raise
                self.created = CreatedResources()
            _ephemeral.discard(self)


def _delete_at_exit(deployment: Deployment) -> None:
    _ephemeral.add(deployment)


@atexit.register
def _delete_all() -> None:
    """Runs at interpreter exit. Nothing can be raised to anybody then, so what is left is logged as an error."""
    for deployment in list(_ephemeral):
        try:
            deployment.delete()
        except Exception as problem:
            # A local SageMaker that has ended took everything with it.
            log.log(logging.DEBUG if deployment.session.local else logging.ERROR, "at exit: %s", problem)

"""Deleting what a model created, by name."""
from __future__ import annotations

from typing import Any

from . import hosting
from . import session as sessions
from .session import Session
from .settings import CreatedResources

__all__ = ["SageMakerResourceCleanup", "session_of"]


def session_of(given: Session | None, client: Any) -> Session:
    """The session to use: the one given, else the current one; with the caller's own client."""
    session = given or sessions.current()
    return session.with_clients(sagemaker=client) if client is not None else session


class SageMakerResourceCleanup:
    """Deletes what a model created, by name.

    Parameters
    ----------
    sagemakerClient : boto3 client, optional
    session : Session, optional
    """

    def __init__(self, sagemakerClient: Any = None, java_object: Any = None, *, session: Session | None = None):
        self._session = session_of(session, sagemakerClient)

    def deleteResources(self, created_resources: CreatedResources) -> None:
        """Delete endpoint, endpoint config and model of these names.

        Raises
        ------
        CleanupError
            Naming what may still exist.
        """
        hosting.delete(self._session, created_resources)

    def deleteEndpoint(self, name: str) -> None:
        self.deleteResources(CreatedResources(endpoint_name=name))

    def deleteEndpointConfig(self, name: str) -> None:
        self.deleteResources(CreatedResources(endpoint_config_name=name))

    def deleteModel(self, name: str) -> None:
        self.deleteResources(CreatedResources(model_name=name))


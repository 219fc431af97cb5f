"""InvokeEndpoint at a part of boto3's cost: botocore's own signer, connections and time-outs, without its general machinery.

A request of a hundred rows keeps a client busy for a millisecond, most of it with what is the same for each one: the user
agent's words, the endpoint's rules, checks of parameters. What this uses of botocore is not its public interface, so where a
part of it is missing, or a proxy is between, the public way is taken.
"""
from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote

from .exchange import Exchange, message
from .session import Session, translated

__all__ = ["Invoker"]

Answered = tuple[bytes, "str | None", "str | None"]
_OPERATION = "sagemaker-runtime.invoke_endpoint"


class Invoker:
    """Invokes one endpoint from one process.

    Parameters
    ----------
    session : Session
    endpoint_name : str
    content_type, accept : str
    connections : int
        Most that are kept open.
    timeout_seconds : float
        How long an answer is waited for.
    """

    def __init__(self, session: Session, endpoint_name: str, content_type: str, accept: str, connections: int,
                 timeout_seconds: float):
        self._client = session.client("sagemaker-runtime", max_pool_connections=max(10, connections),
                                      read_timeout=timeout_seconds)
        self._arguments = {"EndpointName": endpoint_name, "ContentType": content_type, "Accept": accept}
        self._signer: Any = getattr(self._client, "_request_signer", None)
        self._url = f"{self._client.meta.endpoint_url.rstrip('/')}/endpoints/{quote(endpoint_name, safe='')}/invocations"
        self._headers = {"Content-Type": content_type, "Accept": accept}
        self._exchange: Any = None
        with contextlib.suppress(AttributeError, TypeError, LookupError):
            self._exchange = Exchange(self._client._endpoint.http_session, self._url)
        agent = getattr(self._client.meta.config, "user_agent", None)
        if agent:
            self._headers["User-Agent"] = agent

    def __call__(self, body: bytes) -> Answered:
        """Send one body.

        Returns
        -------
        (body, content type, request id) of the answer

        Raises
        ------
        AwsError
            The subclass that fits, as :meth:`Session.call` does.
        """
        return self.prepared(body)()

    def prepared(self, body: bytes) -> Callable[[], Answered]:
        """The same in two steps: what takes no network now, the rest when the result is called. A signature lives for
        minutes, so it should be called soon."""
        if self._signer is None or self._exchange is None:
            return partial(self._publicly, body)
        from botocore.awsrequest import AWSRequest

        request = AWSRequest("POST", self._url, data=body, headers=self._headers)
        with translated(_OPERATION):
            self._signer.sign("InvokeEndpoint", request)
        prepared = request.prepare()
        return partial(self._directly, body, message(prepared.url, prepared.headers, body))

    def _directly(self, body: bytes, sent: bytes) -> Answered:
        with translated(_OPERATION):
            try:
                connection = self._exchange.connected()
            except Exception:  # nothing was sent yet, and botocore has a name for what is wrong
                return self._publicly(body)
            answer = self._exchange.send(connection, sent)
            if answer.status >= 300:
                raise _client_error(answer.status, answer.headers, answer.body)
            return answer.body, answer.headers.get("content-type"), answer.headers.get("x-amzn-requestid")

    def _publicly(self, body: bytes) -> Answered:
        with translated(_OPERATION):
            answer = self._client.invoke_endpoint(Body=body, **self._arguments)
            return answer["Body"].read(), answer.get("ContentType"), answer["ResponseMetadata"].get("RequestId")


def _client_error(status: int, headers: dict[str, str], body: bytes) -> Exception:
    """The error as botocore would have made it of a REST-JSON answer."""
    from botocore.exceptions import ClientError

    try:
        said = json.loads(body)
    except ValueError:  # a proxy's page, or nothing
        said = {}
    said = said if isinstance(said, dict) else {}
    code = headers.get("x-amzn-errortype") or said.get("__type") or said.get("code") or str(status)
    message = said.get("message", said.get("Message")) or (
        "" if said else http.client.responses.get(status, ""))
    response = {**said, "Error": {"Code": str(code).split(":")[0].rsplit("#", 1)[-1], "Message": message},
                "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers,
                                     "RequestId": headers.get("x-amzn-requestid")}}
    return ClientError(response, "InvokeEndpoint")

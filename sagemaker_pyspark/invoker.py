"""InvokeEndpoint at half of boto3's cost: botocore's own signer, connections and time-outs, without its general machinery.

A request of a hundred rows keeps a client busy for a millisecond, of which half goes into what is the same for each one:
the user agent's words, the endpoint's rules, checks of parameters. What this uses of botocore is not its public interface,
so where a part of it is missing, the public way is taken.
"""
from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote

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
        self._http: Any = getattr(getattr(self._client, "_endpoint", None), "http_session", None)
        self._url = f"{self._client.meta.endpoint_url.rstrip('/')}/endpoints/{quote(endpoint_name, safe='')}/invocations"
        self._headers = {"Content-Type": content_type, "Accept": accept}
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
        if self._signer is None or self._http is None:
            return partial(self._publicly, body)
        from botocore.awsrequest import AWSRequest

        request = AWSRequest("POST", self._url, data=body, headers=self._headers)
        with translated(_OPERATION):
            self._signer.sign("InvokeEndpoint", request)
        return partial(self._directly, request.prepare())

    def _publicly(self, body: bytes) -> Answered:
        with translated(_OPERATION):
            answer = self._client.invoke_endpoint(Body=body, **self._arguments)
            return answer["Body"].read(), answer.get("ContentType"), answer["ResponseMetadata"].get("RequestId")

    def _directly(self, request: Any) -> Answered:
        with translated(_OPERATION):
            answer = self._http.send(request)
            if answer.status_code >= 300:
                raise _client_error(answer)
            return answer.content, answer.headers.get("Content-Type"), answer.headers.get("x-amzn-RequestId")


def _client_error(answer: Any) -> Exception:
    """The error as botocore would have made it of a REST-JSON answer."""
    from botocore.exceptions import ClientError

    headers = {name.lower(): value for name, value in answer.headers.items()}
    try:
        said = json.loads(answer.content)
    except ValueError:  # a proxy's page, or nothing
        said = {}
    said = said if isinstance(said, dict) else {}
    code = headers.get("x-amzn-errortype") or said.get("__type") or said.get("code") or str(answer.status_code)
    message = said.get("message", said.get("Message")) or (
        "" if said else http.client.responses.get(answer.status_code, ""))
    response = {**said, "Error": {"Code": str(code).split(":")[0].rsplit("#", 1)[-1], "Message": message},
                "ResponseMetadata": {"HTTPStatusCode": answer.status_code, "HTTPHeaders": headers,
                                     "RequestId": headers.get("x-amzn-requestid")}}
    return ClientError(response, "InvokeEndpoint")

"""One HTTP exchange over a connection of botocore's pool, in as few steps as it takes.

A request in flight holds one of the places that an endpoint gives, so every step between the answer's last byte and the next
request's first is a loss. Botocore's connections are taken for what they know of TLS, certificates and time-outs; the words
on them are put together before and taken apart after. What is unusual in an answer goes to the standard library's parser.
"""
from __future__ import annotations

import http.client
import io
from typing import Any, NamedTuple
from urllib.parse import urlsplit

__all__ = ["Answered", "Exchange", "message"]

_CHUNK = 64 * 1024
_LONGEST_HEAD = 256 * 1024
_PORTS = {"http": 80, "https": 443}


class Answered(NamedTuple):
    """An answer, whatever its status; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def message(url: str, headers: Any, body: bytes) -> bytes:
    """A POST request as bytes.

    Parameters
    ----------
    headers : mapping of str to str or bytes
        With ``Content-Length``; ``Host`` is added as signatures expect it.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    if parts.port and parts.port != _PORTS.get(parts.scheme):
        host = f"{host}:{parts.port}"
    lines = [f"POST {parts.path or '/'} HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: identity\r\n".encode("ascii")]
    for name, value in headers.items():
        value = value.encode("latin-1") if isinstance(value, str) else value
        if b"\r" in value or b"\n" in value:
            raise ValueError(f"the header {name} must be one line")
        lines.append(b"%s: %s\r\n" % (name.encode("ascii"), value))
    return b"".join([*lines, b"\r\n", body])


class Exchange:
    """Exchanges with one URL.

    Parameters
    ----------
    session : botocore.httpsession.URLLib3Session
    url : str

    Raises
    ------
    AttributeError, TypeError, LookupError
        This botocore is made otherwise, or a proxy is between.
    """

    def __init__(self, session: Any, url: str):
        if session._proxy_config.proxy_url_for(url) is not None:
            raise LookupError("a proxy is between")
        self._url = url
        self._pool: Any = session._get_connection_manager(url).connection_from_url(url)
        session._setup_ssl_cert(self._pool, url, session._verify)
        self._seconds = float(self._pool.timeout.read_timeout)

    def connected(self) -> Any:
        """An open connection, to be handed to :meth:`send`. Raises what urllib3 raises."""
        connection = self._pool._get_conn()
        if connection.sock is None:
            try:
                connection.connect()
                connection.sock.settimeout(self._seconds)
            except BaseException:
                connection.close()
                raise
        return connection

    def send(self, connection: Any, sent: bytes) -> Answered:
        """Send a message and wait for its answer.

        Raises
        ------
        botocore.exceptions.ReadTimeoutError, botocore.exceptions.ConnectionClosedError
        """
        from botocore.exceptions import ConnectionClosedError, ReadTimeoutError

        reusable = False
        try:
            connection.sock.sendall(sent)
            answered, reusable = _answer(connection.sock)
            return answered
        except TimeoutError as problem:
            raise ReadTimeoutError(endpoint_url=self._url, error=problem) from None
        except (OSError, http.client.HTTPException) as problem:
            raise ConnectionClosedError(endpoint_url=self._url, request=None, error=problem) from None
        finally:
            if not reusable:
                connection.close()
            self._pool._put_conn(connection)


def _answer(sock: Any) -> tuple[Answered, bool]:
    """The next answer of a connection, and whether another request may follow."""
    came = bytearray()
    while (end := came.find(b"\r\n\r\n")) < 0:
        piece = sock.recv(_CHUNK)
        if not piece:
            raise http.client.RemoteDisconnected("the connection ended before an answer")
        came += piece
        if len(came) > _LONGEST_HEAD:
            raise http.client.LineTooLong("headers")
    first, *lines = came[:end].decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    length = headers.get("content-length", "")
    status = first[9:12]
    plain = (first.startswith("HTTP/1.1 ") and status.isdigit() and status not in ("204", "304") and status >= "200"
             and length.isascii() and length.isdigit() and "transfer-encoding" not in headers)
    if not plain:
        return _unusual(came, sock), False
    missing = end + 4 + int(length) - len(came)
    if missing > 0:
        rest = bytearray(missing)
        view = memoryview(rest)
        while view:
            count = sock.recv_into(view)
            if not count:
                raise http.client.IncompleteRead(b"", len(view))
            view = view[count:]
        came += rest
    body = bytes(memoryview(came)[end + 4:end + 4 + int(length)])
    return Answered(int(status), headers, body), missing >= 0 and headers.get("connection", "").lower() != "close"


def _unusual(came: bytearray, sock: Any) -> Answered:
    """An answer in chunks, until the connection's end, after an interim one, of HTTP/1.0: by the standard library."""
    response = http.client.HTTPResponse(_Replayed(came, sock), method="POST")  # type: ignore[arg-type]
    try:
        response.begin()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answered(response.status, headers, response.read())
    finally:
        response.close()


class _Replayed(io.RawIOBase):
    """What was read from a socket, and then the socket."""

    def __init__(self, came: bytearray, sock: Any):
        self._came, self._sock = memoryview(came), sock

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._came:
            return int(self._sock.recv_into(buffer))
        count = min(len(buffer), len(self._came))
        memoryview(buffer)[:count] = self._came[:count]
        self._came = self._came[count:]
        return count

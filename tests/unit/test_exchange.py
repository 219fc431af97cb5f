"""One exchange over botocore's connections, against servers that say it in every way HTTP allows, or break off."""
import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading

import pytest

from sagemaker_pyspark import errors
from sagemaker_pyspark.exchange import message
from sagemaker_pyspark.invoker import Invoker
from sagemaker_pyspark.session import Session

FINE = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nx-amzn-RequestId: r-1\r\nContent-Length: 4\r\n\r\n1\n2\n"


class Server:
    """Answers each request of each connection with the next of its answers: bytes, or pieces sent one by one; then, if told
    so, ends the connection."""

    def __init__(self, *answers, end=False, context=None):
        self.answers, self.end, self.connections, self.requests = list(answers), end, 0, []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port, self._context = self._listener.getsockname()[1], context
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                if self._context is not None:
                    try:
                        connection = self._context.wrap_socket(connection, server_side=True)
                    except (ssl.SSLError, OSError):
                        continue
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection):
        with connection, contextlib.suppress(OSError):
            while self.answers:
                self.requests.append(self._request(connection))
                if not self.requests[-1]:
                    return
                answer = self.answers.pop(0)
                for piece in answer if isinstance(answer, list) else [answer]:
                    connection.sendall(piece)
                    threading.Event().wait(0.02)
                if self.end:
                    return
            threading.Event().wait(10)

    @staticmethod
    def _request(connection):
        came = b""
        while b"\r\n\r\n" not in came or len(came.partition(b"\r\n\r\n")[2]) < 4:
            piece = connection.recv(65536)
            if not piece:
                return b""
            came += piece
        return came

    def close(self):
        self._listener.close()


@contextlib.contextmanager
def serving(*answers, seconds=5.0, scheme="http", **more):
    server = Server(*answers, **more)
    session = Session(region="eu-west-1", endpoint_url=f"{scheme}://127.0.0.1:{server.port}", local=True)
    try:
        yield server, Invoker(session, "fine", "text/csv", "text/csv", 4, seconds)
    finally:
        server.close()


def test_this_is_the_way_taken():
    with serving(FINE) as (_, invoke):
        assert invoke._exchange is not None, "botocore or urllib3 has changed: look for another way"


@pytest.mark.parametrize("answer", [
    FINE,
    [FINE[:9], FINE[9:60], FINE[60:-3], FINE[-3:]],
    FINE.replace(b"Content-Length: 4", b"cOnTeNt-LeNgTh:4"),
    FINE.replace(b"Content-Length: 4", b"Transfer-Encoding: chunked").replace(b"1\n2\n", b"2\r\n1\n\r\n2\r\n2\n\r\n0\r\n\r\n"),
    [b"HTTP/1.1 100 Continue\r\n\r\n", FINE],
    b"HTTP/1.1 100 Continue\r\n\r\n" + FINE,
    FINE.replace(b"HTTP/1.1", b"HTTP/1.0"),
], ids=["whole", "pieces", "case", "chunked", "continue", "continue-at-once", "1.0"])
def test_every_way_to_say_it(answer):
    with serving(answer, FINE) as (_, invoke):
        for _ in range(2):
            assert invoke(b"1,2\n") == (b"1\n2\n", "text/csv", "r-1")


def test_until_the_end_of_the_connection():
    with serving(FINE.replace(b"Content-Length: 4\r\n", b""), end=True) as (_, invoke):
        assert invoke(b"1,2\n")[0] == b"1\n2\n"


def test_an_open_connection_is_used_again():
    with serving(FINE, FINE, FINE) as (server, invoke):
        for _ in range(3):
            invoke(b"1,2\n")
        assert server.connections == 1


@pytest.mark.parametrize("answer", [FINE.replace(b"x-amzn", b"Connection: Close\r\nx-amzn"), FINE + b"surplus"])
def test_a_connection_that_is_done_is_not(answer):
    with serving(answer, FINE) as (server, invoke):
        assert invoke(b"1,2\n")[0] == b"1\n2\n"
        assert invoke(b"1,2\n")[0] == b"1\n2\n"
        assert server.connections == 2


def test_a_connection_that_the_server_ended_is_opened_again():
    with serving(FINE, FINE, end=True) as (server, invoke):
        for _ in range(2):
            assert invoke(b"1,2\n")[0] == b"1\n2\n"
            threading.Event().wait(0.1)
        assert server.connections == 2


@pytest.mark.parametrize("answer", [b"", FINE[:40], FINE[:-2], b"x" * 300_000, b"HTTP/1.1 abc\r\n\r\n", b"SSH-2.0-x\r\n\r\n",
                                    FINE.replace(b"Length: 4", b"Length: 5")],
                         ids=["nothing", "half-a-head", "half-a-body", "endless", "no-status", "no-http", "short"])
def test_what_breaks_off_is_a_lost_connection(answer):
    with serving(answer, FINE, end=True) as (_, invoke):
        with pytest.raises(errors.Unreachable) as caught:
            invoke(b"1,2\n")
        assert caught.value.code == "ConnectionClosedError"
        assert invoke(b"1,2\n")[0] == b"1\n2\n"


@pytest.mark.parametrize("answer", [b"", FINE[:-1]], ids=["silent", "stuck"])
def test_a_server_that_hangs(answer):
    with serving(answer, FINE, seconds=0.3) as (_, invoke):
        with pytest.raises(errors.Unreachable) as caught:
            invoke(b"1,2\n")
        assert caught.value.code == "ReadTimeoutError"


def test_nobody_there():
    with serving(FINE) as (server, invoke):
        pass
    threading.Event().wait(0.1)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    session = Session(region="eu-west-1", endpoint_url=f"http://127.0.0.1:{port}", local=True)
    with pytest.raises(errors.Unreachable) as caught:
        Invoker(session, "fine", "text/csv", "text/csv", 4, 5.0)(b"1,2\n")
    assert caught.value.code == "EndpointConnectionError"


def test_a_proxy_is_left_to_botocore(monkeypatch):
    with serving(FINE) as (server, _):
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{server.port}")
        monkeypatch.setenv("NO_PROXY", "")
        session = Session(region="eu-west-1", endpoint_url="http://127.0.0.2:9", local=True)
        invoke = Invoker(session, "fine", "text/csv", "text/csv", 4, 5.0)
        assert invoke._exchange is None
        assert invoke(b"1,2\n")[0] == b"1\n2\n"
        assert server.requests[0].startswith(b"POST http://127.0.0.2:9/endpoints/fine/invocations HTTP/1.1\r\n")


def test_tls_is_checked(tmp_path, monkeypatch):
    context = _certified(tmp_path)
    with serving(FINE, scheme="https", context=context) as (_, invoke):
        with pytest.raises(errors.Unreachable) as caught:
            invoke(b"1,2\n")
        assert caught.value.code == "SSLError"
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "cert.pem"))
    with serving(FINE, FINE, scheme="https", context=context) as (server, invoke):
        assert invoke._exchange is not None
        for _ in range(2):
            assert invoke(b"1,2\n")[0] == b"1\n2\n"
        assert server.connections == 1


def _certified(folder):
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
            .sign(key, hashes.SHA256()))
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_a_message():
    sent = message("https://runtime.example:8443/endpoints/a/invocations", {"A": "b", "C": b"d"}, b"body")
    assert sent == (b"POST /endpoints/a/invocations HTTP/1.1\r\nHost: runtime.example:8443\r\nAccept-Encoding: identity\r\n"
                    b"A: b\r\nC: d\r\n\r\nbody")
    assert b"Host: runtime.example\r\n" in message("https://runtime.example:443/", {}, b"")
    assert b"Host: [::1]:80\r\n" in message("https://[::1]:80/", {}, b"")
    with pytest.raises(ValueError, match="one line"):
        message("http://x/", {"A": "b\r\nC: d"}, b"")

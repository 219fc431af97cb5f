"""InvokeEndpoint, our way and boto3's: the same request on the wire, the same answers and errors."""
import http.server
import json
import threading

import pytest

from sagemaker_pyspark import errors
from sagemaker_pyspark.invoker import Invoker
from sagemaker_pyspark.session import Session

ANSWERS = {
    "fine": (200, {"Content-Type": "text/csv", "x-amzn-RequestId": "r-1"}, b"1\n2\n"),
    "model": (424, {"x-amzn-RequestId": "r-2", "x-amzn-ErrorType": "ModelError"}, json.dumps(
        {"Message": "Received server error (500)", "OriginalStatusCode": 500, "OriginalMessage": "oops"}).encode()),
    "busy": (400, {"x-amzn-ErrorType": "ThrottlingException:http://x", "Retry-After": "3"}, b'{"message": "Rate exceeded"}'),
    "missing": (400, {}, b'{"__type": "com.amazon#ValidationError", "message": "Endpoint missing of account 1 not found."}'),
    "cold": (429, {"x-amzn-ErrorType": "ModelNotReadyException"}, b'{"Message": "wait"}'),
    "proxy": (502, {"Content-Type": "text/html"}, b"<html>bad gateway</html>"),
    "expired": (403, {"x-amzn-ErrorType": "ExpiredTokenException"}, b'{"message": "expired"}'),
}


@pytest.fixture(scope="module")
def service():
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status, headers, answer = ANSWERS[self.path.split("/")[2].split("-")[0]]
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()


def both(service, name):
    session = Session(region="eu-west-1", endpoint_url=service[0], local=True)
    direct = Invoker(session, name, "text/csv", "application/json", 4, 5.0)
    public = Invoker(session, name, "text/csv", "application/json", 4, 5.0)
    public._signer = None
    assert direct._signer is not None and direct._exchange is not None, "botocore has changed: look for another way"
    return direct, public


def outcome(invoke):
    try:
        return invoke(b"1,2\n")
    except errors.SageMakerError as problem:
        return type(problem), str(problem), problem.details


@pytest.mark.parametrize("name", [*ANSWERS, "fine-and-longer.name"])
def test_answers_and_errors_are_boto3s(service, name):
    direct, public = both(service, name)
    assert outcome(direct) == outcome(public)


def test_the_request_is_boto3s(service):
    _, seen = service
    seen.clear()
    for invoke in both(service, "fine"):
        invoke(b"1,2\n")
    (path, headers, body), (path_, headers_, body_) = seen
    assert (path, body) == (path_, body_)
    same = ("content-type", "accept", "x-amzn-sagemaker-accept", "host", "content-length")
    assert {k: headers.get(k) for k in same if k in headers_} == {k: headers_[k] for k in same if k in headers_}
    scope = [h["authorization"].split("/", 1)[1].split(",")[0] for h in (headers, headers_)]
    assert scope[0] == scope[1] and "eu-west-1/sagemaker" in scope[0]
    assert "Botocore" in headers["user-agent"]

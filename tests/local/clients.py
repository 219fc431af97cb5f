"""Plain boto3 clients of a local SageMaker, and what tests of several files send through them."""
import sys
import time

import boto3
import botocore.exceptions
import pytest
from botocore.config import Config

ROLE = "arn:aws:iam::123456789012:role/x"

#: Answers every body with what of its environment and model folder the body names, so that a test can look in.
MIRROR = '''
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        import time; time.sleep(float(os.environ.get("SLOW", "0")))
        model = os.environ["SM_MODEL_DIR"]
        files = {os.path.relpath(os.path.join(d, n), model): open(os.path.join(d, n)).read()
                 for d, _, names in os.walk(model) for n in names}
        answer = json.dumps({"body": body, "files": files, "env": dict(os.environ)}).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(answer))); self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
'''


def client(aws, service):
    return boto3.client(service, endpoint_url=aws.endpoint_url, region_name="us-east-1", aws_access_key_id="x",
                        aws_secret_access_key="y", config=Config(retries={"total_max_attempts": 1}))


def refused(call, **arguments):
    """The response of a call that must be refused."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    return caught.value.response


def code_of(call, **arguments):
    error = refused(call, **arguments)["Error"]
    return error["Code"], error["Message"]


def mirror(folder):
    program = folder / "mirror.py"
    program.write_text(MIRROR)
    return [sys.executable, str(program)]


def until(settled, seconds=20):
    for _ in range(int(seconds / 0.05)):
        found = settled()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("did not settle")


def model(sm, name, image, **more):
    sm.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": image, **more})


def config(sm, name, model_name, variant="v", **more):
    sm.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[
        {"VariantName": variant, "ModelName": model_name, "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}], **more)


def endpoint(sm, name, model_name, **more):
    """An endpoint in service, with a config of its own name."""
    config(sm, name, model_name, **more)
    sm.create_endpoint(EndpointName=name, EndpointConfigName=name)
    in_service(sm, name)


def in_service(sm, name):
    status = until(lambda: (s := sm.describe_endpoint(EndpointName=name)["EndpointStatus"]) not in ("Creating", "Updating") and s)
    assert status == "InService", sm.describe_endpoint(EndpointName=name)

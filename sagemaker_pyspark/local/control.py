"""The control plane: what each SageMaker operation does."""
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from . import artifacts, endpoints, jobs, transforms, validation
from .processes import Images
from .store import KINDS, Store
from .validation import ServiceError

__all__ = ["Control", "OPERATIONS"]

#: Everything the server answers, and nothing more; tests hold it against botocore's model.
OPERATIONS = (
    *(f"{verb}{kind}" for kind in KINDS for verb in ("Create", "Describe")), *(f"List{kind}s" for kind in KINDS),
    "StopTrainingJob", "StopTransformJob", "UpdateEndpoint", "DeleteTrainingJob", "DeleteModel", "DeleteEndpointConfig",
    "DeleteEndpoint", "AddTags", "DeleteTags", "ListTags")


class Control:
    """Dispatches operations; long work goes on in threads of the runners."""

    def __init__(self, store: Store, images: Images, folder: str, s3: Callable[[], Any]):
        self.store, self.images, self.s3 = store, images, s3
        self.training = jobs.TrainingRunner(store, images, folder, s3)
        self.endpoints = endpoints.EndpointRunner(store, images, folder, s3)
        self.transform = transforms.TransformRunner(store, self.endpoints, s3)

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """One operation.

        Raises
        ------
        ServiceError
            As the service would answer.
        """
        if operation not in OPERATIONS:
            raise ServiceError("UnknownOperationException", f"the local SageMaker has no {operation}; it has "
                               f"{', '.join(OPERATIONS)}")
        validation.check(operation, request)
        method = getattr(self, "_" + re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower(), None)
        if method is not None:
            return dict(method(request))
        for kind, (field, *_) in KINDS.items():
            if operation == f"Describe{kind}":
                with self.store.lock:
                    return {k: v for k, v in self.store.get(kind, request[field]).items() if not k.startswith("_")}
            if operation == f"List{kind}s":
                return self.store.listing(kind, request)
        raise AssertionError(operation)

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def _create_training_job(self, request: dict[str, Any]) -> dict[str, Any]:
        _needs(request, "AlgorithmSpecification", "ResourceConfig", "StoppingCondition")
        _role(request["RoleArn"])
        image = request["AlgorithmSpecification"].get("TrainingImage")
        if not image or self.images.command(image, "train") is None:
            raise ServiceError("ValidationException", f"Cannot find the image {image!r} on the local SageMaker: map it "
                               "with local.SageMaker(images={image: command}).")
        for channel in request.get("InputDataConfig") or ():
            kind = channel["DataSource"].get("S3DataSource", {}).get("S3DataType", "S3Prefix")
            if kind not in ("S3Prefix", "ManifestFile"):
                raise validation.unsupported(f"S3DataType of channel {channel['ChannelName']}", kind, "S3Prefix or ManifestFile")
        item = self.store.add("TrainingJob", request, TrainingJobStatus="InProgress", SecondaryStatus="Starting")
        self.training.start(item)
        return {"TrainingJobArn": item["TrainingJobArn"]}

    def _stop_training_job(self, request: dict[str, Any]) -> dict[str, Any]:
        item = self.store.get("TrainingJob", request["TrainingJobName"])
        if item["TrainingJobStatus"] != "InProgress":
            raise ServiceError("ValidationException", f"The request was rejected because the training job is in status "
                               f"{item['TrainingJobStatus']}.")
        self.store.update(item, TrainingJobStatus="Stopping")
        self.store.transition(item, "Stopping")
        return {}

    def _delete_training_job(self, request: dict[str, Any]) -> dict[str, Any]:
        item = self.store.get("TrainingJob", request["TrainingJobName"])
        if item["TrainingJobStatus"] in ("InProgress", "Stopping"):
            raise ServiceError("ResourceInUse", "The training job is still in progress.")
        self.store.remove("TrainingJob", request["TrainingJobName"])
        return {}

    def _create_transform_job(self, request: dict[str, Any]) -> dict[str, Any]:
        transforms.check(request, self.store.get("Model", request["ModelName"]))
        item = self.store.add("TransformJob", request, TransformJobStatus="InProgress")
        self.transform.start(item)
        return {"TransformJobArn": item["TransformJobArn"]}

    def _stop_transform_job(self, request: dict[str, Any]) -> dict[str, Any]:
        item = self.store.get("TransformJob", request["TransformJobName"])
        if item["TransformJobStatus"] != "InProgress":
            raise ServiceError("ValidationException", f"The transform job is in status {item['TransformJobStatus']}.")
        self.store.update(item, TransformJobStatus="Stopping")
        return {}

    # -- hosting ------------------------------------------------------------------------------------------------------

    def _create_model(self, request: dict[str, Any]) -> dict[str, Any]:
        _role(request.get("ExecutionRoleArn") or "")
        containers = _containers(request)
        for container in containers:
            image = container.get("Image", "")
            if len(containers) > 1 and self.images.echo(image) is not None:
                raise ServiceError("ValidationException", f"An Echo image must be a model's only container, {image!r} is one of "
                                   f"{len(containers)}: use it in PrimaryContainer.")
            if self.images.echo(image) is None and self.images.command(image, "serve") is None:
                raise ServiceError("ValidationException", f"Cannot find the image {image!r} on the local SageMaker: map "
                                   "it with local.SageMaker(images={image: command}).")
            artifacts.check(self.s3(), container)
        return {"ModelArn": self.store.add("Model", request)["ModelArn"]}

    def _delete_model(self, request: dict[str, Any]) -> dict[str, Any]:
        self.store.remove("Model", request["ModelName"])
        return {}

    def _create_endpoint_config(self, request: dict[str, Any]) -> dict[str, Any]:
        for variant in request.get("ProductionVariants", ()):
            model = self.store.get("Model", variant.get("ModelName", ""))
            if variant.get("ServerlessConfig") and any(c.get("ModelDataSource") for c in _containers(model)):
                # Source: botocore service model, ContainerDefinition: not "in conjunction with" serverless endpoints.
                raise ServiceError("ValidationException", f"Model {variant['ModelName']} must name its data by ModelDataUrl "
                                   "for a serverless endpoint, it has ModelDataSource: create a model of a model.tar.gz.")
            if not variant.get("ServerlessConfig") and not variant.get("InstanceType"):
                raise ServiceError("ValidationException", "InstanceType or ServerlessConfig must be set for the "
                                   f"production variant {variant['VariantName']}.")
        return {"EndpointConfigArn": self.store.add("EndpointConfig", request)["EndpointConfigArn"]}

    def _delete_endpoint_config(self, request: dict[str, Any]) -> dict[str, Any]:
        self.store.remove("EndpointConfig", request["EndpointConfigName"])
        return {}

    def _create_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        config = self.store.get("EndpointConfig", request["EndpointConfigName"])
        item = self.store.add("Endpoint", request, EndpointStatus="Creating",
                              ProductionVariants=[{"VariantName": v["VariantName"]} for v in config["ProductionVariants"]])
        self.endpoints.start(item, config)
        return {"EndpointArn": item["EndpointArn"]}

    def _update_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        with self.store.lock:  # of two updates at a time one is refused
            item = self.store.get("Endpoint", request["EndpointName"])
            config = self.store.get("EndpointConfig", request["EndpointConfigName"])
            if item["EndpointStatus"] != "InService":
                raise ServiceError("ValidationException", f"Cannot update endpoint {item['EndpointArn']}: it must be InService, "
                                   f"it is {item['EndpointStatus']}. Wait for it, or delete it if it failed.")
            self.store.update(item, EndpointStatus="Updating")
        self.endpoints.update(item, config)
        return {"EndpointArn": item["EndpointArn"]}

    def _delete_endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        item = self.store.get("Endpoint", request["EndpointName"])
        if item["EndpointStatus"] == "Deleting":
            raise ServiceError("ValidationException", f'Could not find endpoint "{item["EndpointArn"]}".')
        self.store.update(item, EndpointStatus="Deleting")
        self.endpoints.delete(item)
        return {}

    # -- tags ---------------------------------------------------------------------------------------------------------

    def _add_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        tags = self._tags(request["ResourceArn"])
        tags.update({t["Key"]: t["Value"] for t in request["Tags"]})
        return {"Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}

    def _delete_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        tags = self._tags(request["ResourceArn"])
        for key in request["TagKeys"]:
            tags.pop(key, None)
        return {}

    def _list_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": [{"Key": k, "Value": v} for k, v in self._tags(request["ResourceArn"]).items()]}

    def _tags(self, arn: str) -> dict[str, str]:
        tags = self.store.tags.get(arn)
        if tags is None:
            raise ServiceError("ValidationException", f'Could not find resource "{arn}".')
        return tags

    def close(self) -> None:
        self.training.close()
        self.endpoints.close()


def _containers(model: dict[str, Any]) -> list[dict[str, Any]]:
    return list(model.get("Containers") or [model.get("PrimaryContainer") or {}])


def _needs(request: dict[str, Any], *members: str) -> None:
    """Members that the model made optional for another kind of job, and that an ordinary job needs."""
    for member in members:
        if not request.get(member):
            raise ServiceError("ValidationException", f"{member} must be specified.")


def _role(arn: str) -> None:
    if not re.fullmatch(r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+", arn):
        raise ServiceError("ValidationException", f"1 validation error detected: Value '{arn}' at 'roleArn' failed to "
                           "satisfy constraint: Member must satisfy regular expression pattern: "
                           "arn:aws[a-z\\-]*:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+")

"""Deployments as tests make them: small templates, and the API below one scope."""

import contextlib
import os
import uuid

import pytest

from support.instance import OperationFailed

V = "2021-04-01"
RG_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
SUB_SCHEMA = ("https://schema.management.azure.com/schemas/2018-05-01/"
              "subscriptionDeploymentTemplate.json#")
GALLERY = os.path.join(os.path.dirname(__file__), "..", "..", "templates", "gallery")
ACR = "Microsoft.ContainerRegistry/registries"


def unique(prefix="r"):
    return prefix + uuid.uuid4().hex[:12]


def template(resources, schema=RG_SCHEMA, **rest):
    return {"$schema": schema, "contentVersion": "1.0.0.0", "resources": resources, **rest}


def acr(name, **rest):
    return {"type": ACR, "apiVersion": "2023-07-01", "name": name, "location": "eastus",
            "sku": {"name": "Basic"}, "properties": {}, **rest}


def properties(body, parameters=None, mode="Incremental", **rest):
    values = {k: v if isinstance(v, dict) and "reference" in v else {"value": v}
              for k, v in (parameters or {}).items()}
    return {"properties": {"mode": mode, "template": body, "parameters": values, **rest}}


class Deployed:
    """What deploys below one scope, by name: a kind of it has call(), and start() as one is asked for."""

    def get(self, name):
        reply = self.call("GET", name)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def ends(self, name, reply, well=True):
        """Follows what was started to its end; what is shown of it then."""
        assert reply.status_code in (200, 201), reply.text
        with contextlib.nullcontext() if well else pytest.raises(OperationFailed):
            self.instance.finish(reply)
        return self.get(name)


class Scope(Deployed):
    """Deployments below one scope."""

    def __init__(self, instance, path, location=None):
        self.instance, self.location = instance, location
        self.path = f"{path}/providers/Microsoft.Resources/deployments"

    def call(self, method, name, body=None, what="", **options):
        if body is not None and self.location:
            body = {"location": self.location, **body}
        return self.instance.arm(method, f"{self.path}/{name}{what}", body, api=V, **options)

    def start(self, name, body, parameters=None, **rest):
        return self.call("PUT", name, properties(body, parameters, **rest))

    def run(self, body, parameters=None, name=None, **rest):
        name = name or unique("d")
        return self.ends(name, self.start(name, body, parameters, **rest))

    def fail(self, body, parameters=None, name=None, **rest):
        name = name or unique("d")
        return self.ends(name, self.start(name, body, parameters, **rest), well=False)["properties"]

    def operations(self, name):
        return self.call("GET", name, what="/operations").json()["value"]

    def what_if(self, body, parameters=None, format=None, **rest):
        settings = {"whatIfSettings": {"resultFormat": format}} if format else {}
        reply = self.call("POST", unique("w"), properties(body, parameters, **settings, **rest),
                          what="/whatIf")
        assert reply.status_code == 202, reply.text
        done = self.instance.finish(reply)
        assert done.json()["status"] == "Succeeded"
        return {c["resourceId"].rsplit("/", 1)[1]: c for c in done.json()["properties"]["changes"]}


def error(reply):
    return reply.json()["error"]


def nested(name, body, scope="inner", parameters=None, **rest):
    return {"type": "Microsoft.Resources/deployments", "apiVersion": "2021-04-01", "name": name,
            "properties": {"mode": "Incremental", "template": body,
                           "expressionEvaluationOptions": {"scope": scope},
                           **({"parameters": parameters} if parameters else {})}, **rest}


def many(base, count=12):
    """A serial loop, so that it takes a while."""
    return template([acr(f"[concat('{base}', copyIndex())]",
                         copy={"name": "all", "count": count, "mode": "serial", "batchSize": 1})])

"""A key vault of an instance and its data plane."""

import uuid

VAULTS_API = "2023-07-01"
DATA_API = "7.4"
PROVIDER = "providers/Microsoft.KeyVault"


class Vault:
    def __init__(self, instance, group, name=None):
        self.instance, self.group = instance, group
        self.name = name or f"v{uuid.uuid4().hex[:12]}"
        self.id = f"{instance.group_id(group)}/{PROVIDER}/vaults/{self.name}"
        self.url = f"https://{self.name.lower()}.vault.{instance.domain}:{instance.port}"
        self.scope = f"https://vault.{instance.domain}:{instance.port}/.default"
        self._token = None

    def policy(self, object_id, **permissions):
        return {"tenantId": self.instance.tenant, "objectId": object_id,
                "permissions": permissions}

    def put(self, **properties):
        body = {"location": "eastus", "properties": {
            "tenantId": self.instance.tenant, "sku": {"family": "A", "name": "standard"},
            **properties}}
        return self.instance.arm("PUT", self.id, body, api=VAULTS_API)

    def make(self, **properties):
        """With every right for the instance's own principal, purging included."""
        properties.setdefault("accessPolicies", [self.policy(
            own_object_id(self.instance), keys=["all", "purge"], secrets=["all", "purge"])])
        reply = self.put(**properties)
        assert reply.status_code == 200, reply.text
        return self

    def get(self):
        reply = self.instance.arm("GET", self.id, api=VAULTS_API)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def delete(self):
        reply = self.instance.arm("DELETE", self.id, api=VAULTS_API)
        assert reply.status_code == 200, reply.text

    def purge(self):
        return self.instance.arm(
            "POST", f"/subscriptions/{self.instance.subscription}/{PROVIDER}/locations/eastus"
            f"/deletedVaults/{self.name}/purge", api=VAULTS_API)

    def token(self):
        if self._token is None:
            self._token = self.instance.token(scope=self.scope)
        return self._token

    def call(self, method, path, body=None, token=None, api=DATA_API, **params):
        url = path if path.startswith("https://") else self.url + path
        if api and "api-version=" not in url:
            params["api-version"] = api
        return self.instance.session.request(
            method, url, params=params, json=body, timeout=60,
            headers={"Authorization": f"Bearer {token or self.token()}"})

    def good(self, method, path, body=None, status=200, **options):
        reply = self.call(method, path, body, **options)
        assert reply.status_code == status, reply.text
        return reply.json() if reply.content else None

    def refused(self, status, inner, method, path, body=None, **options):
        reply = self.call(method, path, body, **options)
        assert reply.status_code == status, reply.text
        error = reply.json()["error"]
        assert error.get("innererror", error)["code"] == inner, error


def own_object_id(instance):
    import jwt
    return jwt.decode(instance.token(), options={"verify_signature": False})["oid"]

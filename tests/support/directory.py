"""The directory of an instance through its Graph host: people and applications for tests."""

import contextlib
import json
import os
import uuid

AUTHORIZATION = "providers/Microsoft.Authorization"
ROLES_API = "2022-04-01"
LOCKS_API = "2020-05-01"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"


class Directory:
    def __init__(self, instance):
        self.instance = instance
        self.url = instance.management.replace("//management.", "//graph.")
        self._token = None

    def token(self):
        if self._token is None:
            self._token = self.instance.token(scope=f"{self.url}/.default")
        return self._token

    def call(self, method, path, body=None, token=None, **params):
        headers = {"Authorization": f"Bearer {token or self.token()}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self.instance.session.request(
            method, f"{self.url}/v1.0/{path}", params=params, headers=headers,
            data=None if body is None else json.dumps(body), timeout=60)

    def made(self, path, body):
        reply = self.call("POST", path, body)
        assert reply.status_code in (200, 201), reply.text
        return reply.json()

    def application(self, name=None):
        """A new application with its service principal and one secret."""
        app = self.made("applications", {"displayName": name or f"app-{uuid.uuid4().hex[:8]}"})
        sp = self.made("servicePrincipals", {"appId": app["appId"]})
        secret = self.made(f"applications/{app['id']}/addPassword", {})
        return Application(self, app, sp, secret)

    def user(self, password="Correct-horse-9", name=None):
        name = name or f"user{uuid.uuid4().hex[:8]}"
        return self.made("users", {
            "accountEnabled": True, "displayName": name, "mailNickname": name,
            "userPrincipalName": f"{name}@{self.instance.domain}",
            "passwordProfile": {"password": password}})

    def group(self, *members):
        name = f"group-{uuid.uuid4().hex[:8]}"
        group = self.made("groups", {"displayName": name, "mailNickname": name,
                                     "mailEnabled": False, "securityEnabled": True})
        for member in members:
            self.join(group["id"], member)
        return group

    def join(self, group, member):
        reply = self.call("POST", f"groups/{group}/members/$ref",
                          {"@odata.id": f"{self.url}/v1.0/directoryObjects/{member}"})
        assert reply.status_code == 204, reply.text

    def leave(self, group, member):
        reply = self.call("DELETE", f"groups/{group}/members/{member}/$ref")
        assert reply.status_code == 204, reply.text


class Application:
    def __init__(self, directory, app, sp, secret):
        self.directory, self.app, self.sp, self.secret = directory, app, sp, secret
        self.app_id, self.object_id = app["appId"], sp["id"]
        self.password = secret["secretText"]

    def token(self, scope=None):
        instance = self.directory.instance
        return instance.token(client_id=self.app_id, client_secret=self.password,
                              scope=scope or f"{instance.management}/.default")

    def try_token(self, **form):
        instance = self.directory.instance
        data = {"grant_type": "client_credentials", "client_id": self.app_id,
                "scope": f"{instance.management}/.default", **form}
        return instance.session.post(f"{instance.login}/{instance.tenant}/oauth2/v2.0/token",
                                     data=data)


def assign(instance, principal, role, scope, name=None, **properties):
    """Gives a role; returns the reply. role is a guid."""
    name = name or str(uuid.uuid4())
    body = {"properties": {
        "roleDefinitionId": f"/subscriptions/{instance.subscription}/{AUTHORIZATION}"
                            f"/roleDefinitions/{role}",
        "principalId": principal, **properties}}
    return instance.arm("PUT", f"{scope}/{AUTHORIZATION}/roleAssignments/{name}", body,
                        api=ROLES_API)


@contextlib.contextmanager
def locked(instance, scope, level):
    path = f"{scope}/{AUTHORIZATION}/locks/every"
    reply = instance.arm("PUT", path, {"properties": {"level": level}}, api=LOCKS_API)
    assert reply.status_code == 201, reply.text
    try:
        yield
    finally:
        assert instance.arm("DELETE", path, api=LOCKS_API).status_code == 200


def trust_issuers(instance, pem):
    """Asks issuers on the loopback, which is no public address, and believes this authority of theirs."""
    ca = os.path.join(instance.base, "issuer.pem")
    with open(ca, "wb") as f:
        f.write(pem)
    os.chmod(ca, 0o644)
    with open(os.path.join(instance.state, "config"), "a") as f:
        f.write(f"federation-allow = 127.0.0.0/8 ::1/128\nfederation-ca-file = {ca}\n")
    instance.stop("controlplane")
    instance.start("controlplane")

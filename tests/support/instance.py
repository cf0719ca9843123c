"""A whole Portolan instance for tests: started by ./dev up in a state directory of its own on a free
port, driven through its public API, removed afterwards."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from urllib.parse import urlsplit

import requests

DEV = os.environ.get("PORTOLAN_DEV", os.path.join(os.path.dirname(__file__), "..", "..", "dev"))
SUPPORT = os.path.dirname(os.path.abspath(__file__))
API = "2025-11-01"
GROUPS_API = "2024-11-01"
PROVIDER = "providers/Microsoft.ContainerRegistry"


class OperationFailed(AssertionError):
    pass


class Instance:
    def __init__(self, state=None, inside=()):
        """inside: what a command begins with that puts it where the instance is to be (a namespace)."""
        self.inside = list(inside)
        # Short, because Unix socket paths below it are limited to 107 bytes.
        self.base = state or tempfile.mkdtemp(prefix="pt-", dir="/tmp")
        os.chmod(self.base, 0o755)
        self.state = os.path.join(self.base, "s")
        self.env = {}
        self._token = None
        self._session = None

    # --- life ------------------------------------------------------------------------------------

    def up(self, *options, has_rates=False, port=0):
        """has_rates: registries keep the request rates of their tier, as they do unless told otherwise.
        Tests and benchmarks ask for more than those."""
        unlimited = () if has_rates else ("--set", "tier-rates=false")
        self.dev("up", "--port", str(port), *unlimited, *options)
        text = self.dev("env").stdout
        for line in text.splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            self.env[name] = value
        self.management = self.env["PORTOLAN_MANAGEMENT"]
        self.login = self.env["PORTOLAN_LOGIN"]
        self.domain = self.env["PORTOLAN_DOMAIN"]
        self.ca = self.env["PORTOLAN_CA_FILE"]
        self.subscription = self.env["AZURE_SUBSCRIPTION_ID"]
        self.tenant = self.env["AZURE_TENANT_ID"]
        self.port = str(urlsplit(self.management).port or 443)
        self.at_port = "" if self.port == "443" else f":{self.port}"  # after a host's name
        return self

    def down(self):
        reports = sanitizer_reports(self.log_text()) if self.env else []
        subprocess.run([DEV, "down", "--purge", "--state", self.state], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.base, ignore_errors=True)
        assert not reports, "\n".join(reports[:20])

    def dev(self, command, *options):
        done = subprocess.run([*self.inside, DEV, command, "--state", self.state, *options], text=True,
                              capture_output=True, timeout=600)
        if done.returncode:
            raise AssertionError(f"dev {command}: {done.stderr[-3000:]}\n{self.log_tail()}")
        return done

    def log_tail(self, lines=40):
        """The last lines of the log, without requests that went well."""
        try:
            with open(os.path.join(self.state, "log", "current"), errors="replace") as f:
                told = [x for x in f if "level=info event=request" not in x]
                return "".join(told[-lines:])
        except OSError:
            return ""

    def log_text(self):
        """All log lines of the instance, oldest first."""
        folder = os.path.join(self.state, "log")
        there = os.listdir(folder) if os.path.isdir(folder) else []
        names = sorted(n for n in there if n.startswith("@")) + ["current"] * ("current" in there)
        return "".join(open(os.path.join(folder, n), errors="replace").read() for n in names)

    def sql(self, database, statement):
        """Rows of a statement, as lists of text; database is "control" or a region."""
        done = subprocess.run(
            ["/usr/lib/postgresql/15/bin/psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v",
             "ON_ERROR_STOP=1", "-h", os.path.join(self.state, "pg", "run"), "-U", "portolan",
             "-d", f"portolan_{database}", "-c", statement],
            text=True, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines() if line]

    # --- services under the supervisor -----------------------------------------------------------

    def service(self, name):
        return os.path.join(self.state, "s6", "scan", name)

    def s6(self, program, *arguments):
        """As the user that the supervisor runs as: nobody else hears of its events, root neither."""
        owner = os.stat(self.state)
        as_owner = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} \
            if os.getuid() == 0 else {}
        return subprocess.run([program, *arguments], text=True, capture_output=True, timeout=60,
                              **as_owner)

    def pid(self, name):
        out = self.s6("s6-svstat", "-o", "pid", self.service(name)).stdout.strip()
        return int(out) if out.lstrip("-").isdigit() else -1

    def kill(self, name, how=signal.SIGKILL):
        """Signals a service that runs. One that is down has the pid -1, which to kill() means every
        process there is."""
        pid = self.pid(name)
        assert pid > 1, f"{name} does not run"
        os.kill(pid, how)
        return pid

    def stop(self, name):
        self.s6("s6-svc", "-d", self.service(name))
        self.s6("s6-svwait", "-D", "-t", "15000", self.service(name))

    def start(self, name):
        self.s6("s6-svc", "-u", self.service(name))
        self.s6("s6-svwait", "-U" if name != "postgres" else "-u", "-t", "15000", self.service(name))

    def dataplanes(self):
        scan = os.path.join(self.state, "s6", "scan")
        return sorted(n for n in os.listdir(scan) if n.startswith("dataplane-"))

    def dataplane_of(self, registry_id):
        uid = self.sql("control", f"select uid from resources where key = lower('{registry_id}')")
        assert uid, f"no row of {registry_id}"
        names = [n for n in self.dataplanes() if uid[0][0] in n]
        assert names, f"no data plane of {registry_id}"
        return names[0]

    # --- management API --------------------------------------------------------------------------

    @property
    def session(self):
        if self._session is None:
            self._session = requests.Session()
            self._session.verify = self.ca
            self._session.trust_env = False
        return self._session

    def token(self, fresh=False, **overrides):
        if self._token is None or fresh or overrides:
            form = {"grant_type": "client_credentials", "client_id": self.env["AZURE_CLIENT_ID"],
                    "client_secret": self.env["AZURE_CLIENT_SECRET"],
                    "scope": f"{self.management}/.default"}
            form.update(overrides)
            reply = self.session.post(f"{self.login}/{self.tenant}/oauth2/v2.0/token", data=form)
            assert reply.status_code == 200, reply.text
            if overrides:
                return reply.json()["access_token"]
            self._token = reply.json()["access_token"]
        return self._token

    def arm(self, method, path, body=None, api=API, headers=None, token=None, data=None, **params):
        """One management request; path is below the management host, or a whole URL."""
        url = path if path.startswith("https://") else self.management + path
        if api and "api-version=" not in url:
            params["api-version"] = api
        send = {"Authorization": f"Bearer {token or self.token()}"}
        if body is not None:
            data = json.dumps(body)
        if data is not None:
            send["Content-Type"] = "application/json"
        send.update(headers or {})
        return self.session.request(method, url, params=params, data=data, headers=send, timeout=60)

    def pages(self, path, api=API, token=None, **params):
        """The items of each page of a list; the next page is asked for when the last one has been dealt
        with."""
        url = path
        while url:
            reply = self.arm("GET", url, api=api, token=token, **params)
            assert reply.status_code == 200, reply.text
            yield reply.json()["value"]
            url, params = reply.json().get("nextLink"), {}

    def items(self, path, api=API, token=None, **params):
        return [item for page in self.pages(path, api, token, **params) for item in page]

    def finish(self, reply, timeout=60):
        """Follows a long-running operation to its end; returns the last poll."""
        url = reply.headers.get("Azure-AsyncOperation")
        deadline = time.monotonic() + timeout
        if url:
            while time.monotonic() < deadline:
                poll = self.arm("GET", url, api=None)
                assert poll.status_code == 200, poll.text
                status = poll.json()["status"]
                if status == "Succeeded":
                    return poll
                if status in ("Failed", "Canceled"):
                    raise OperationFailed(poll.text)
                time.sleep(0.02)
        elif reply.status_code == 202:
            while time.monotonic() < deadline:
                poll = self.arm("GET", reply.headers["Location"], api=None)
                if poll.status_code != 202:
                    assert poll.status_code in (200, 204), poll.text
                    return poll
                time.sleep(0.02)
        else:
            return reply
        raise AssertionError(f"the operation did not end within {timeout} s\n{self.log_tail()}")

    def group_id(self, group):
        return f"/subscriptions/{self.subscription}/resourceGroups/{group}"

    def registry_id(self, group, name):
        return f"{self.group_id(group)}/{PROVIDER}/registries/{name}"

    def make_group(self, name=None, location="eastus"):
        name = name or f"g{uuid.uuid4().hex[:8]}"
        reply = self.arm("PUT", self.group_id(name), {"location": location}, api=GROUPS_API)
        assert reply.status_code in (200, 201), reply.text
        return name

    def make_registry(self, group, name=None, sku="Basic", admin=True, wait=True, location="eastus",
                      **properties):
        name = name or f"r{uuid.uuid4().hex[:12]}"
        body = {"location": location, "sku": {"name": sku},
                "properties": {"adminUserEnabled": admin, **properties}}
        reply = self.arm("PUT", self.registry_id(group, name), body)
        assert reply.status_code in (200, 201), reply.text
        if wait:
            self.finish(reply)
        return self.registry(group, name)

    def registry(self, group, name):
        """One that is there."""
        return Registry(self, group, name)

    def delete(self, path, api=API):
        reply = self.arm("DELETE", path, api=api)
        assert reply.status_code in (200, 202, 204), reply.text
        return self.finish(reply)


def scoped_token(registry, *actions):
    """Name and password of a new token whose scope map has these actions."""
    instance, name = registry.instance, f"t{uuid.uuid4().hex[:10]}"
    made = instance.arm("PUT", f"{registry.id}/scopeMaps/{name}", {"properties": {"actions": list(actions)}})
    assert made.status_code in (200, 201), made.text
    instance.finish(instance.arm("PUT", f"{registry.id}/tokens/{name}",
                                 {"properties": {"scopeMapId": made.json()["id"]}}))
    reply = instance.arm("POST", f"{registry.id}/generateCredentials",
                         {"tokenId": f"{registry.id}/tokens/{name}"})
    assert reply.status_code == 200, reply.text
    return name, reply.json()["passwords"][0]["value"]


class Registry:
    """One registry of an instance and its data plane."""

    def __init__(self, instance, group, name):
        self.instance, self.group, self.name = instance, group, name
        self.id = instance.registry_id(group, name)
        suffix = "" if instance.port == "443" else f":{instance.port}"
        self.host = f"{name.lower()}.cr.{instance.domain}{suffix}"
        self.url = f"https://{self.host}"
        self._password = None

    @property
    def password(self):
        if self._password is None:
            reply = self.instance.arm("POST", f"{self.id}/listCredentials")
            assert reply.status_code == 200, reply.text
            self._password = reply.json()["passwords"][0]["value"]
        return self._password

    @property
    def auth(self):
        return (self.name, self.password)

    def access_token(self, scope):
        reply = self.instance.session.get(f"{self.url}/oauth2/token", auth=self.auth,
                                          params={"service": self.host, "scope": scope})
        assert reply.status_code == 200, reply.text
        return reply.json()["access_token"]

    def call(self, method, path, **options):
        if "headers" not in options or "Authorization" not in (options["headers"] or {}):
            options.setdefault("auth", self.auth)
        url = path if path.startswith("https://") else self.url + path
        return self.instance.session.request(method, url, timeout=60, **options)

    def push_blob(self, repository, content, digest=None):
        import hashlib
        digest = digest or "sha256:" + hashlib.sha256(content).hexdigest()
        begun = self.call("POST", f"/v2/{repository}/blobs/uploads/")
        assert begun.status_code == 202, begun.text
        location = begun.headers["Location"]
        join = "&" if "?" in location else "?"
        return self.call("PUT", f"{location}{join}digest={digest}", data=content,
                         headers={"Content-Type": "application/octet-stream"}), digest

    def push_image(self, repository, tag, content=b"layer"):
        """A small image by the API alone; returns the manifest's digest."""
        media = "application/vnd.oci.image"
        config = json.dumps({"architecture": "amd64", "os": "linux",
                             "rootfs": {"type": "layers", "diff_ids": []}}).encode()
        reply, config_digest = self.push_blob(repository, config)
        assert reply.status_code == 201, reply.text
        reply, layer_digest = self.push_blob(repository, content)
        assert reply.status_code == 201, reply.text
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": f"{media}.manifest.v1+json",
            "config": {"mediaType": f"{media}.config.v1+json", "digest": config_digest,
                       "size": len(config)},
            "layers": [{"mediaType": f"{media}.layer.v1.tar", "digest": layer_digest,
                        "size": len(content)}]})
        reply = self.call("PUT", f"/v2/{repository}/manifests/{tag}", data=manifest,
                          headers={"Content-Type": f"{media}.manifest.v1+json"})
        assert reply.status_code == 201, reply.text
        return reply.headers["Docker-Content-Digest"]


def make_image(folder, tag="v1", extra=0):
    """An OCI layout with a real busybox image; returns its manifest digest."""
    done = subprocess.run([os.path.join(SUPPORT, "make-image"), str(folder), tag, str(extra)],
                          text=True, capture_output=True, check=True)
    return done.stdout.strip().splitlines()[-1]


def sanitizer_reports(log):
    """Lines in which a sanitizer tells what it found: there are none."""
    return [line for line in log.splitlines()
            if re.search(r"(Address|Leak|Thread)Sanitizer|runtime error:", line)]


def unnamed_refusals(log):
    """Lines of requests that were refused by no rule: there are none."""
    return [line for line in log.splitlines()
            if re.search(r"\bstatus=40[13]\b", line) and not re.search(r"\brule=", line)]


def eventually(check, timeout=15, every=0.05):
    """Polls until check() is true (its value is returned); the last failure is raised."""
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            value = check()
            if value:
                return value
        except (AssertionError, requests.RequestException) as problem:
            last = problem
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {timeout} s: {last}")
        time.sleep(every)


@contextlib.contextmanager
def held_back(instance, group):
    """Nobody works on what is in the group: it is as if somebody else did."""
    rows = f"(group_key = '{group}' or key = lower('{instance.group_id(group)}'))"
    owner = str(uuid.uuid4())

    def take():
        instance.sql("control", f"""update resources
            set lease_owner = '{owner}', lease_until = now() + interval '1 minute'
            where {rows} and (lease_until is null or lease_until <= now())""")
        return instance.sql("control", f"""select 1 from resources
            where {rows} and lease_owner is distinct from '{owner}'""") == []
    eventually(take)
    try:
        yield
    finally:
        instance.sql("control", f"update resources set lease_owner = null, lease_until = null where {rows}")


def took_effect(what, check, timeout=30):
    """Waits, for as long as a busy machine may take, until a change holds, and says how long it took: the
    benchmark of it has the bound (./dev bench network)."""
    begun = time.monotonic()
    eventually(check, timeout, 0.01)
    print(f"in effect after {time.monotonic() - begun:.3f} s: {what}")

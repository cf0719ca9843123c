"""Network rules and data endpoints on a data plane of its own: clients of any address come as behind
the edge, with its secret; rules are published by SQL."""

import base64
import http.client
import json
import os
import select
import socket
import time

import pytest
import requests

from support.dataplane import DataPlane, sha256
from support.instance import eventually, took_effect
from support.rawhttp import proxy_v2
from support.routes import data_routes

pytestmark = pytest.mark.sanitized

SECRET = b"the-secret-of-the-edge"
PATHS = ["/v2/", "/v2/_catalog", "/v2/team/app/tags/list", "/v2/team/app/manifests/latest",
         "/acr/v1/_catalog", "/acr/v1/team/app/_tags", "/oauth2/token?service=x", "/nothing/here",
         "/data/team/app/blobs/sha256:00"]
DATA_HOST = "testreg.eastus.data.test"


class Plane(DataPlane):
    def __init__(self, *options):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.edge_port = free.getsockname()[1]
        super().__init__(*options)
        with open(self.path("edge.secret"), "wb") as f:
            f.write(SECRET)
        self.options += ["--edge-listen", f"127.0.0.1:{self.edge_port}", "--edge-secret-file",
                         self.path("edge.secret")]

    def rules(self, **settings):
        """Publishes settings; those not named are as at first."""
        names = ["networkRuleSet", "publicNetworkAccess", "dataEndpointEnabled", "dataEndpointHost",
                 "networkRuleBypassOptions", "networkRuleBypassAllowedForTasks", "networkServices",
                 "privateLinks"]
        drop = " - ".join(f"'{n}'" for n in names)
        self.pg.sql(f"update registries set settings = (settings - {drop}) || "
                    f"'{json.dumps(settings)}'::jsonb, generation = generation + 1")

    def client(self, address, host=None, link=b""):
        return Client(self, address, host, link)


class Client:
    """A kept-alive connection from an address of the test's choice."""

    def __init__(self, plane, address, host, link=b""):
        self.plane, self.host = plane, host or plane.login_server
        self.http = http.client.HTTPConnection("127.0.0.1", plane.edge_port, timeout=20)
        self.http.sock = socket.create_connection(("127.0.0.1", plane.edge_port), timeout=20)
        self.http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.http.sock.sendall(proxy_v2(SECRET + link, address))

    def call(self, method, path, auth=True, headers=(), body=None):
        send = {"Host": self.host, **dict(headers)}
        if auth:
            pair = ":".join(self.plane.admin).encode()
            send["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        self.http.request(method, path, body=body, headers=send)
        reply = self.http.getresponse()
        reply.content = reply.read()
        return reply

    def close(self):
        self.http.close()


@pytest.fixture(scope="module")
def plane():
    it = Plane()
    try:
        yield it.start()
        it.check()
        it.stop()
    finally:
        it.close()


@pytest.fixture(autouse=True)
def open_again(plane):
    yield
    plane.rules()
    eventually(lambda: plane.call("GET", "/v2/").status_code == 200)


def is_refused(reply, address):
    if reply.status != 403:
        return False
    if reply.getheader("Content-Type") == "application/json; charset=utf-8" and reply.content:
        assert json.loads(reply.content) == {"errors": [{
            "code": "DENIED",
            "message": f"client with IP '{address}' is not allowed access. Refer "
                       "https://aka.ms/acr/firewall to grant access."}]}
    return True


def deny(*values):
    return {"networkRuleSet": {"defaultAction": "Deny",
                               "ipRules": [{"action": "Allow", "value": v} for v in values]}}


def settle(plane, client_address, want):
    """Waits until new connections get the verdict."""
    def verdict():
        client = plane.client(client_address)
        status = client.call("GET", "/v2/").status
        client.close()
        return status
    took_effect(f"{client_address} gets {want}", lambda: verdict() == want)


@pytest.mark.parametrize("address,is_in", [
    ("203.0.113.7", True), ("203.0.113.8", False), ("198.51.100.0", True),
    ("198.51.100.255", True), ("198.51.101.0", False), ("::ffff:203.0.113.7", True),
    ("::ffff:203.0.113.8", False), ("2001:db8::7", False), ("127.0.0.1", False)])
def test_every_path_obeys_the_rules(plane, address, is_in):
    plane.rules(**deny("203.0.113.7", "198.51.100.0/24"))
    settle(plane, "192.0.2.1", 403)
    client = plane.client(address)
    shown = address.removeprefix("::ffff:")
    for auth in (True, False):
        for path in PATHS:
            for method in ("GET", "HEAD", "PUT", "DELETE"):
                reply = client.call(method, path, auth=auth)
                if is_in:
                    assert b"is not allowed access" not in reply.content, (method, path)
                    assert path == PATHS[-1] or reply.status != 403, (method, path)
                else:
                    assert is_refused(reply, shown), (method, path, reply.status)
    client.close()


def test_every_route_obeys_the_rules(plane):
    plane.rules(**deny("203.0.113.7"))
    settle(plane, "192.0.2.1", 403)
    routes = [row[2:] for row in data_routes()]
    assert len(routes) >= 50
    for method, path in routes:
        for auth in (True, False):
            client = plane.client("192.0.2.1")
            assert is_refused(client.call(method, path, auth=auth), "192.0.2.1"), (method, path)
            client.close()


def test_43_headers_change_nothing(plane):
    plane.rules(**deny("203.0.113.7"))
    settle(plane, "192.0.2.1", 403)
    client = plane.client("192.0.2.1")
    for name, value in [("X-Forwarded-For", "203.0.113.7"), ("Forwarded", "for=203.0.113.7"),
                        ("X-Real-IP", "203.0.113.7"), ("True-Client-IP", "203.0.113.7"),
                        ("X-Client-IP", "203.0.113.7")]:
        assert is_refused(client.call("GET", "/v2/", headers={name: value}), "192.0.2.1"), name
    client.close()
    # On the listener without an edge the socket's address counts, and PROXY is no request.
    assert plane.call("GET", "/v2/", headers={"X-Forwarded-For": "203.0.113.7"},
                      ).status_code == 403
    with socket.create_connection(("127.0.0.1", plane.port), timeout=10) as raw:
        raw.sendall(proxy_v2(SECRET, "203.0.113.7") + b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while chunk := raw.recv(4096):
            answer += chunk
    assert b"200 OK" not in answer and b"401" not in answer.split(b"\r\n")[0]


def test_public_access_and_links(plane):
    link = b"/subscriptions/s/subnets/a"
    plane.rules(publicNetworkAccess="Disabled", **deny("203.0.113.7"))
    settle(plane, "203.0.113.7", 403)
    rules = deny("10.0.0.0/8")
    rules["networkRuleSet"]["virtualNetworkRules"] = [{"action": "Allow", "id": link.decode()}]
    plane.rules(**rules)
    settle(plane, "10.0.0.1", 200)
    # The same address by another network is somebody else.
    for came_by, status in [(link, 200), (b"/subscriptions/s/subnets/b", 403), (b"", 200)]:
        client = plane.client("10.0.0.1", link=came_by)
        assert client.call("GET", "/v2/").status == status, came_by
        client.close()


def test_55_a_change_reaches_kept_connections(plane):
    client = plane.client("203.0.113.7")
    for rules, status in [(deny(), 403), (deny("203.0.113.7"), 200), (deny("203.0.113.8"), 403),
                          ({}, 200), ({"publicNetworkAccess": "Disabled"}, 403), ({}, 200)]:
        plane.rules(**rules)
        took_effect(f"rules to {status}", lambda: client.call("GET", "/v2/").status == status)
    client.close()


def test_55_a_change_of_rules_is_read_along_with_the_look(plane):
    """What a data plane asks all the time brings the rules; of what did not change it reads nothing."""
    client = plane.client("203.0.113.7")
    with plane.pg.statements() as asked:
        for rules, status in [(deny(), 403), ({}, 200)] * 3:
            plane.rules(**rules)
            took_effect(f"rules to {status}", lambda: client.call("GET", "/v2/").status == status)
        assert asked().count("projection_look") >= 6
        # Names that sign in, and imports, are looked after at every change.
        assert set(asked()) == {"projection_look", "account_compare", "import_next"}, asked()
        assert asked().count("account_compare") == 6
        plane.pg.sql("update grants set permissions = permissions; "
                     "update registries set generation = generation + 1")
        eventually(lambda: client.call("GET", "/v2/").status == 200 and "projection_grants" in asked())
    client.close()


def test_a_change_holds_after_a_pause(plane):
    """The first request after idling is judged by the rules of now, not by those remembered."""
    client = plane.client("203.0.113.7")
    for auth in (True, False):
        assert client.call("GET", "/v2/", auth=auth).status != 403
        plane.rules(**deny())
        time.sleep(1.1)
        assert is_refused(client.call("GET", "/v2/", auth=auth), "203.0.113.7")
        plane.rules()
        time.sleep(1.1)
        assert client.call("GET", "/v2/", auth=auth).status != 403
    client.close()


def test_refusals_are_logged_with_the_rule(plane):
    plane.rules(**deny())
    settle(plane, "203.0.113.99", 403)
    client = plane.client("203.0.113.99")
    client.call("GET", "/v2/logged/app/tags/list")
    client.close()
    eventually(lambda: [line for line in plane.log().splitlines()
                        if "/v2/logged/app/tags/list" in line and "peer=203.0.113.99" in line
                        and "rule=network:defaultAction" in line])


class SlowReader:
    """Asks for a blob and reads no more of it than has come with the head of the reply."""

    def __init__(self, plane, address, path, link=b""):
        self.client = plane.client(address, link=link)
        self.client.http.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        pair = base64.b64encode(":".join(plane.admin).encode()).decode()
        self.client.http.request("GET", path, headers={"Host": plane.login_server,
                                                       "Authorization": f"Basic {pair}"})
        self.reply = self.client.http.getresponse()
        assert self.reply.status == 200

    def rest(self):
        """What comes until the end, or until it is broken off."""
        try:
            return self.reply.read()
        except http.client.IncompleteRead as e:
            return e.partial
        except ConnectionError:
            return b""
        finally:
            self.client.close()


@pytest.fixture(params=["true", "false"], ids=["encrypted", "plain"])
def lone(request):
    it = Plane("--encryption", request.param)
    try:
        yield it.start()
        it.check()
    finally:
        it.close()


def test_55_what_is_being_sent_ends_with_the_rules(lone):
    """A download that only waits for its reader is broken off, too, whether it comes piece by piece, from
    memory or from a file; those of clients that are still let in go on."""
    subnet, link = b"subnet:one", b"11111111-2222-4333-8444-555555555555"
    lone.rules(privateLinks=[{"id": link.decode()}])
    eventually(lambda: lone.client("10.0.0.2", link=link).call("GET", "/v2/").status == 200)
    content = os.urandom(1 << 16) * 512
    path = f"/v2/slow/one/blobs/{lone.push_blob('slow/one', content)}"
    readers = [SlowReader(lone, "203.0.113.7", path) for _ in range(4)]
    readers.append(SlowReader(lone, "10.0.0.1", path, subnet))
    stay = [SlowReader(lone, "203.0.113.8", path), SlowReader(lone, "10.0.0.2", path, link)]

    def ended():
        return [line for line in lone.log().splitlines()
                if "method=GET" in line and path in line and "status=200" in line]
    assert not ended()
    lone.rules(privateLinks=[{"id": link.decode()}], **deny("203.0.113.8"))
    eventually(lambda: len(ended()) >= len(readers))
    assert len(ended()) == len(readers)
    for reader in readers:
        assert len(reader.rest()) < len(content)
    for reader in stay:
        assert reader.rest() == content
    eventually(lambda: len(ended()) == len(readers) + len(stay))


# --- what was begun before a change ---------------------------------------------------------------

INSIDE = "203.0.113.7"


def shut_out(plane, allowed):
    """Only that address is let in from now on."""
    plane.rules(**deny(allowed))
    settle(plane, allowed, 200)
    settle(plane, "192.0.2.1", 403)


def once(plane, method, path, **options):
    """A request on a connection of its own: one that is refused before its body may end it."""
    client = plane.client(INSIDE)
    try:
        return client.call(method, path, **options)
    finally:
        client.close()


def begin_upload(plane, repository):
    reply = once(plane, "POST", f"/v2/{repository}/blobs/uploads/")
    assert reply.status == 202, reply.content
    return reply.getheader("Location")


def put_last(plane, place, digest, **options):
    return once(plane, "PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", **options)


def test_an_upload_in_chunks_begun_before_a_change(plane):
    """No step of it is taken any more, nor any other way to write, nor is a token to be had for one; let in
    again, its owner goes on where it was."""
    parts = [os.urandom(5000) for _ in range(3)]
    digest = sha256(b"".join(parts))
    plane.push_blob("early/source", b"mounted from here")
    shut_out(plane, INSIDE)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    status, refresh = exchange(plane, plane.client(INSIDE), access_token=plane.directory_token())
    assert status == 200
    place = begin_upload(plane, "early/bird")

    def chunk(n):
        return once(plane, "PATCH", place, body=parts[n],
                    headers={"Content-Range": f"{5000 * n}-{5000 * n + 4999}"})
    assert chunk(0).status == 202
    shut_out(plane, "203.0.113.8")
    mount = f"/v2/early/bird/blobs/uploads/?mount={sha256(b'mounted from here')}&from=early/source"
    ask = f"grant_type=refresh_token&service=x&scope=repository:early/bird:pull&refresh_token={refresh}"
    for reply in (chunk(1), once(plane, "GET", place), once(plane, "DELETE", place),
                  put_last(plane, place, digest, body=parts[1] + parts[2]), once(plane, "POST", mount),
                  once(plane, "PUT", "/v2/early/bird/manifests/v1", body=b"{}"),
                  once(plane, "POST", "/oauth2/token", auth=False, body=ask, headers=form)):
        assert is_refused(reply, INSIDE), reply.content
    shut_out(plane, INSIDE)
    stands = once(plane, "GET", place)
    assert (stands.status, stands.getheader("Range")) == (204, "0-4999")
    missing = once(plane, "HEAD", f"/v2/early/bird/blobs/{sha256(b'mounted from here')}")
    assert missing.status == 404
    assert chunk(1).status == 202 and chunk(2).status == 202
    assert put_last(plane, place, digest).status == 201
    assert once(plane, "GET", f"/v2/early/bird/blobs/{digest}").content == b"".join(parts)
    assert once(plane, "POST", mount).status == 201
    assert once(plane, "POST", "/oauth2/token", auth=False, body=ask, headers=form).status == 200


def test_55_what_is_being_received_ends_with_the_rules(plane):
    """A chunk under way is refused in the middle; what came before is kept for whoever comes again."""
    shut_out(plane, INSIDE)
    content = os.urandom(1 << 16) * 256
    place = begin_upload(plane, "under/way")
    client = plane.client(INSIDE)
    pair = base64.b64encode(":".join(plane.admin).encode()).decode()
    wire, sent = client.http.sock, 1 << 20
    wire.sendall((f"PATCH {place} HTTP/1.1\r\nHost: {plane.login_server}\r\nAuthorization: Basic {pair}\r\n"
                  f"Content-Length: {len(content)}\r\n\r\n").encode() + content[:sent])
    shut_out(plane, "203.0.113.8")
    while not select.select([wire], [], [], 0.02)[0]:
        assert sent < len(content), "it was taken whole"
        wire.sendall(content[sent:sent + (1 << 16)])
        sent += 1 << 16
    reply = http.client.HTTPResponse(wire, method="PATCH")
    reply.begin()
    assert reply.status == 403
    client.close()
    eventually(lambda: any("method=PATCH" in line and "/under/way/" in line and "status=403" in line
                           and "rule=network:defaultAction" in line for line in plane.log().splitlines()))
    shut_out(plane, INSIDE)
    came = once(plane, "GET", place)
    assert came.status == 204, came.content
    there = int(came.getheader("Range").split("-")[1]) + 1
    assert 0 < there <= sent
    rest = once(plane, "PATCH", place, body=content[there:],
                headers={"Content-Range": f"{there}-{len(content) - 1}"})
    assert rest.status == 202, rest.content
    assert put_last(plane, place, sha256(content)).status == 201


def test_a_listener_for_both_families_knows_them_apart():
    """Without an edge, on one socket: who comes by IPv4 has a mapped address there, and obeys IPv4 rules."""
    it = DataPlane()
    it.options = ["--listen", f"[::]:{it.port}"]
    try:
        it.start()

        def status(host):
            return requests.get(f"http://{host}:{it.port}/v2/", auth=it.admin, timeout=10).status_code
        assert status("127.0.0.1") == status("[::1]") == 200
        for value, v4, v6 in (("127.0.0.0/8", 200, 403), ("192.0.2.1", 403, 403), ("0.0.0.0/0", 200, 403)):
            it.pg.sql(f"update registries set settings = settings || '{json.dumps(deny(value))}'::jsonb, "
                      "generation = generation + 1")
            eventually(lambda: (status("127.0.0.1"), status("[::1]")) == (v4, v6))
    finally:
        it.close()


# --- data endpoints -------------------------------------------------------------------------------

@pytest.fixture
def link(plane):
    """A blob, a data endpoint, and a link to the blob there (its path)."""
    plane.content = b"a layer that is moved to the data endpoint" * 100
    plane.push_image("team/data", "v1")
    plane.digest = plane.push_blob("team/data", plane.content)
    with_data(plane)
    reply = eventually(lambda: moved(plane))
    location = reply.headers["Location"]
    assert location.startswith(f"http://{DATA_HOST}:{plane.port}/")
    yield location.split(str(plane.port), 1)[1]
    plane.call("PATCH", "/acr/v1/team/data", json={"readEnabled": True})


def with_data(plane, **settings):
    plane.rules(dataEndpointEnabled=True, dataEndpointHost=DATA_HOST, **settings)


def moved(plane, user=None, **more):
    reply = plane.call("GET", f"/v2/team/data/blobs/{plane.digest}", allow_redirects=False,
                       **({"auth": user} if user else {}), **more)
    return reply if reply.status_code == 307 else None


def dead_to_all(plane, link):
    """Whatever is asked for: a part, the head; and the log says what stopped it."""
    assert at_data(plane, link, Range="bytes=0-9").status_code == 403
    assert at_data(plane, link, "HEAD").status_code == 403
    return eventually(lambda: any("rule=lock" in line and "/data/team/data/" in line
                                  for line in plane.log().splitlines()))


def at_data(plane, path, method="GET", **headers):
    return requests.request(method, plane.url + path, timeout=20,
                            headers={"Host": f"{DATA_HOST}:{plane.port}", **headers})


def test_32_links_serve_their_blob_only(plane, link):
    reply = at_data(plane, link)
    assert reply.status_code == 200 and reply.content == plane.content
    assert reply.headers["Docker-Content-Digest"] == plane.digest
    head = at_data(plane, link, "HEAD")
    assert head.status_code == 200 and int(head.headers["Content-Length"]) == len(plane.content)
    part = at_data(plane, link, Range="bytes=10-19")
    assert part.status_code == 206 and part.content == plane.content[10:20]
    other = plane.push_blob("team/data", b"another blob of the same repository")
    assert at_data(plane, link.replace(plane.digest, other)).status_code == 403
    plane.push_blob("team/other", plane.content)
    assert at_data(plane, link.replace("team/data", "team/other")).status_code == 403
    path, query = link.split("?")
    for part in query.split("&"):
        name, value = part.split("=", 1)
        for at in range(len(value)):
            changed = value[:at] + ("A" if value[at] != "A" else "B") + value[at + 1:]
            twisted = link.replace(part, f"{name}={changed}")
            assert at_data(plane, twisted).status_code == 403, (name, at)
        assert at_data(plane, link.replace(part, "")).status_code == 403
    assert at_data(plane, path).status_code == 403


def test_32_only_links_on_the_data_endpoint(plane, link):
    for path in ("/v2/", f"/v2/team/data/blobs/{plane.digest}", "/oauth2/token", "/acr/v1/_catalog"):
        reply = requests.get(plane.url + path, auth=plane.admin, timeout=20,
                             headers={"Host": f"{DATA_HOST}:{plane.port}"})
        assert reply.status_code == 403, path
    begun = requests.post(plane.url + "/v2/team/data/blobs/uploads/", auth=plane.admin, timeout=20,
                          headers={"Host": DATA_HOST})
    assert begun.status_code == 403
    assert requests.get(plane.url + link, auth=plane.admin, timeout=20).status_code == 403
    # Uploads, manifests and HEAD stay where they were.
    assert plane.push_blob("team/data", b"uploaded while moved") == sha256(b"uploaded while moved")
    head = plane.call("HEAD", f"/v2/team/data/blobs/{plane.digest}", allow_redirects=False)
    assert head.status_code == 200
    missing = plane.call("GET", f"/v2/team/data/blobs/{sha256(b'missing')}", allow_redirects=False)
    assert missing.status_code == 404


def test_32_links_end_with_what_allowed_them(plane, link):
    def dead():
        return at_data(plane, link).status_code == 403

    def alive():
        return at_data(plane, link).status_code == 200
    plane.rules(dataEndpointEnabled=True, dataEndpointHost=DATA_HOST, **deny("203.0.113.7"))
    eventually(dead, timeout=10)
    with_data(plane)
    eventually(alive, timeout=10)
    plane.rules()
    eventually(dead, timeout=10)
    with_data(plane)
    eventually(alive, timeout=10)
    locked = plane.call("PATCH", "/acr/v1/team/data", json={"readEnabled": False})
    assert locked.status_code == 200, locked.text
    assert dead() and dead_to_all(plane, link)
    plane.call("PATCH", "/acr/v1/team/data", json={"readEnabled": True})
    assert alive()
    plane.pg.sql("update registries set settings = settings || '{\"adminUserEnabled\":false}', "
                 "generation = generation + 1")
    try:
        eventually(dead, timeout=10)
    finally:
        plane.pg.sql("update registries set settings = settings || '{\"adminUserEnabled\":true}', "
                     "generation = generation + 1")
    eventually(alive, timeout=10)


def test_32_a_link_is_its_subjects(plane, link):
    """A token's link dies with the token's password, the admin's does not."""
    reader = ("reader", plane.secrets["reader"])
    mine = moved(plane, reader).headers["Location"].split(str(plane.port), 1)[1]
    assert mine != link and at_data(plane, mine).status_code == 200
    hashed = plane.pg.sql("select hash from credentials where username = 'reader'")
    plane.pg.sql("update credentials set hash = '$sha256$none$none' where username = 'reader'; "
                 "update registries set generation = generation + 1")
    try:
        eventually(lambda: at_data(plane, mine).status_code == 403, timeout=10)
        assert at_data(plane, link).status_code == 200
    finally:
        plane.pg.sql(f"update credentials set hash = '{hashed}' where username = 'reader'; "
                     "update registries set generation = generation + 1")


def test_32_links_expire(plane, link):
    """Each link tells its end, at most 20 minutes off; one of the past is refused though its time is
    all that is wrong with it (the key is known to this test alone)."""
    import hashlib
    import hmac
    until = int(dict(p.split("=", 1) for p in link.split("?")[1].split("&"))["until"])
    assert 1100 < until - time.time() <= 1200
    who = dict(p.split("=", 1) for p in link.split("?")[1].split("&"))["who"]
    with open(plane.path("directory.pem.registry"), "rb") as pem:
        key = hmac.new(pem.read(), b"portolan data link 1", hashlib.sha256).digest()

    def signed(end):
        parts = [plane.id, "eastus", "team/data", plane.digest, who]
        text = "".join(f"{len(p)}:{p}" for p in parts) + str(end)
        mac = hmac.new(key, text.encode(), hashlib.sha256).digest()
        sig = base64.urlsafe_b64encode(mac).decode().rstrip("=")
        return f"/data/team/data/blobs/{plane.digest}?until={end}&who={who}&sig={sig}"
    assert at_data(plane, signed(until)).status_code == 200
    assert at_data(plane, signed(int(time.time()) - 1)).status_code == 403
    assert at_data(plane, signed(int(time.time()) + 86400)).status_code == 403


# --- services that bypass the rules ---------------------------------------------------------------

CLOSED = {"publicNetworkAccess": "Disabled"}
STRANGE = "203.0.113.9"


def exchange(plane, client, **form):
    """The refresh token that a directory token is traded for, and the status."""
    body = "&".join(f"{k}={v}" for k, v in {"grant_type": "access_token", "service":
                                           plane.login_server, **form}.items())
    reply = client.call("POST", "/oauth2/exchange", auth=False, body=body,
                        headers={"Content-Type": "application/x-www-form-urlencoded"})
    content = json.loads(reply.content or b"{}")
    return reply.status, content.get("refresh_token")


def service_gets_in(plane):
    """Statuses of a service's way: exchange, token, a listing with it."""
    client = plane.client(STRANGE)
    status, refresh = exchange(plane, client, access_token=plane.directory_token())
    client.close()
    return status, refresh


@pytest.mark.parametrize("kind,switch,others", [
    ("TrustedService", {"networkRuleBypassOptions": "AzureServices"},
     [{"networkRuleBypassOptions": "None"},
      {"networkRuleBypassOptions": "None", "networkRuleBypassAllowedForTasks": True}]),
    ("Task", {"networkRuleBypassAllowedForTasks": True},
     [{"networkRuleBypassAllowedForTasks": False},
      {"networkRuleBypassOptions": "AzureServices"}])])
def test_51_a_service_is_known_by_its_identity(plane, kind, switch, others):
    named = {"networkServices": {plane.principal: kind}}
    plane.rules(**CLOSED, **switch)
    eventually(lambda: service_gets_in(plane)[0] == 403, timeout=10)  # it is no service yet
    plane.rules(**CLOSED, **switch, **named)
    eventually(lambda: service_gets_in(plane)[0] == 200, timeout=10)
    refresh = service_gets_in(plane)[1]
    client = plane.client(STRANGE)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    ask = f"grant_type=refresh_token&service=x&scope=registry:catalog:*&refresh_token={refresh}"
    reply = client.call("POST", "/oauth2/token", auth=False, body=ask, headers=form)
    content = json.loads(reply.content)
    assert reply.status == 200, content
    bearer = {"Authorization": "Bearer " + content["access_token"]}
    assert client.call("GET", "/v2/", auth=False, headers=bearer).status == 200
    # Nobody else, whatever they claim; nor a service without a proof.
    for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"Authorization": "Bearer x.y.z"},
                    {"x-ms-client-principal-id": plane.principal},
                    {"User-Agent": "AzureContainerRegistryTasks"}):
        other = plane.client(STRANGE)
        assert other.call("GET", "/v2/", auth=False, headers=headers).status == 403, headers
        other.close()
    stranger = plane.client(STRANGE)
    assert stranger.call("GET", "/v2/").status == 403  # the admin user
    for body in ("", "grant_type=refresh_token&refresh_token=x", "grant_type=password"):
        assert stranger.call("POST", "/oauth2/token", auth=False, body=body,
                             headers=form).status == 403, body
    stranger.close()
    # The switch holds on a connection that was open before, with tokens that were good before.
    for off in others:
        plane.rules(**CLOSED, **off, **named)
        eventually(lambda: client.call("GET", "/v2/", auth=False, headers=bearer).status == 403,
                   timeout=10)
        plane.rules(**CLOSED, **switch, **named)
        eventually(lambda: client.call("GET", "/v2/", auth=False, headers=bearer).status == 200,
                   timeout=10)
    client.close()
    plane.rules()


def test_51_an_import_is_known_by_the_directorys_word(plane):
    """Its token names the registry that it reads; anybody else's may say what it likes."""
    plane.rules(**CLOSED, networkRuleBypassOptions="AzureServices")
    settle(plane, STRANGE, 403)
    client = plane.client(STRANGE)

    def traded(**claims):
        return exchange(plane, client, access_token=plane.directory_token(**claims))
    assert traded()[0] == 403
    assert traded(xms_import="11111111-2222-4333-8444-555555555555")[0] == 403
    assert traded(xms_import=plane.id, aud="https://elsewhere.test")[0] == 403
    status, refresh = traded(xms_import=plane.id)
    assert status == 200
    pair = base64.b64encode(f"00000000-0000-0000-0000-000000000000:{refresh}".encode()).decode()
    reply = client.call("GET", "/oauth2/token?service=x&scope=registry:catalog:*", auth=False,
                        headers={"Authorization": f"Basic {pair}"})
    assert reply.status == 200, reply.content
    bearer = {"Authorization": "Bearer " + json.loads(reply.content)["access_token"]}
    assert client.call("GET", "/v2/", auth=False, headers=bearer).status == 200
    plane.rules(**CLOSED, networkRuleBypassOptions="None", networkRuleBypassAllowedForTasks=True)
    eventually(lambda: client.call("GET", "/v2/", auth=False, headers=bearer).status == 403)
    client.close()

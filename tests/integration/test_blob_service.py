"""The storage host: signed URLs that sources of runs go to and logs of runs come from, in the form of a
storage account's blob service."""

import base64
import datetime
import hashlib
import hmac
import os
import re
import socket
import ssl
import stat
import urllib.parse
import uuid
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.directory import Directory, assign
from support.instance import eventually

TASKS = "2019-06-01-preview"
DAY = 86400
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
pytestmark = pytest.mark.sanitized


@pytest.fixture(scope="module")
def home(instance):
    group = instance.make_group()
    yield instance.make_registry(group)
    instance.delete(instance.group_id(group), api="2024-11-01")


def upload_url(registry):
    reply = registry.instance.arm("POST", f"{registry.id}/listBuildSourceUploadUrl", api=TASKS)
    assert reply.status_code == 200, reply.text
    return reply.json()["uploadUrl"], reply.json()["relativePath"]


def run_of(registry):
    reply = registry.instance.arm("POST", f"{registry.id}/scheduleRun", {
        "type": "EncodedTaskRunRequest", "encodedTaskContent": "eA==", "platform": {"os": "Linux"}},
        api=TASKS)
    assert reply.status_code == 200, reply.text
    return reply.json()


def log_url(registry, run):
    reply = registry.instance.arm("POST", f"{run['id']}/listLogSasUrl", api=TASKS)
    assert reply.status_code == 200, reply.text
    assert list(reply.json()) == ["logLink"]
    return reply.json()["logLink"]


def put(registry, url, data=b"", comp=None, block=None, headers=None, kind="BlockBlob"):
    more = {"comp": comp, "blockid": base64.b64encode(block.encode()).decode() if block else None}
    for name, value in more.items():
        if value is not None:
            url += f"&{name}={urllib.parse.quote(value, safe='')}"
    sent = {"x-ms-version": "2021-12-02", **({"x-ms-blob-type": kind} if kind and not comp else {})}
    return registry.instance.session.put(url, data=data, headers={**sent, **(headers or {})})


def block_list(*blocks, kind="Latest"):
    ids = "".join(f"<{kind}>{base64.b64encode(b.encode()).decode()}</{kind}>" for b in blocks)
    return f"<?xml version='1.0' encoding='utf-8'?>\n<BlockList>{ids}</BlockList>".encode()


def refusal(reply, status, code):
    """Storage's form of it, in body and header."""
    assert reply.status_code == status, reply.text
    assert reply.headers["x-ms-error-code"] == code
    if reply.request.method != "HEAD":
        error = ET.fromstring(reply.text)
        assert error.tag == "Error" and error.find("Code").text == code
        assert reply.headers["x-ms-request-id"] in error.find("Message").text
    return True


def folder(registry, path):
    uid = registry.instance.sql("control", "select uid from resources where key = "
                                f"lower('{registry.id}')")[0][0]
    name = path.rsplit("/", 1)[1].removesuffix(".tar.gz")
    return os.path.join(registry.instance.state, "regions", "eastus", "blobs", "sources", uid, name)


def under_way(place):
    return [n for n in os.listdir(place) if n.startswith("tmp-")] if os.path.isdir(place) else []


def blocks_in(place):
    """The names that the list has, and all files."""
    with open(os.path.join(place, "list")) as f:
        return f.read().split(), sorted(n for n in os.listdir(place) if n not in ("list", "lock"))


# --- signed URLs ----------------------------------------------------------------------------------

def test_an_upload_url(instance, home):
    url, path = upload_url(home)
    parts = urllib.parse.urlsplit(url)
    assert parts.netloc == f"tasks.blob.{instance.domain}:{instance.port}"
    assert re.fullmatch(r"source/\d{8}/[0-9a-f]{32}\.tar\.gz", path)
    assert parts.path == "/" + folder(home, path).split("/")[-2] + "/" + path
    query = urllib.parse.parse_qs(parts.query)
    assert set(query) == {"sv", "sr", "sp", "se", "sig"} and query["sp"] == ["cw"]
    left = datetime.datetime.fromisoformat(query["se"][0].replace("Z", "+00:00")) - \
        datetime.datetime.now(datetime.timezone.utc)
    assert datetime.timedelta(minutes=59) < left <= datetime.timedelta(hours=1)
    assert upload_url(home)[1] != path


def test_only_what_was_signed_is_done(instance, home):
    url, path = upload_url(home)
    other, other_path = upload_url(home)
    elsewhere, _ = upload_url(instance.make_registry(home.group))
    base, query = url.split("?")
    other_query, fields = other.split("?")[1], dict(urllib.parse.parse_qsl(query))

    def with_(**changes):
        return base + "?" + urllib.parse.urlencode(
            {k: v for k, v in {**fields, **changes}.items() if v is not None})
    later = fields["se"].replace("20", "21", 1)
    tampered = [
        f"{base}?{other_query}", f"{base.replace(path, other_path)}?{query}",
        f"{elsewhere.split('?')[0]}?{query}", base, f"{base}x?{query}", f"{base}/x?{query}",
        with_(se=later), with_(sp="rcw"), with_(sp="r"), with_(sv="2020-02-10"), with_(sr="c"),
        with_(sig=None), with_(sig=""), with_(sig=fields["sig"][:-1]), with_(sig=fields["sig"] + "A"),
        with_(sig=base64.b64encode(bytes(32)).decode()), with_(se="never"), with_(se=None),
        f"{url}&sp=cw", f"{url}&sig={urllib.parse.quote(fields['sig'])}",
        with_(sig=fields["sig"].swapcase())]
    for bad in tampered:
        assert refusal(put(home, bad, b"x"), 403, "AuthenticationFailed"), bad
    assert not os.path.exists(folder(home, path))
    # It writes, and reads nothing.
    assert put(home, url, b"x").status_code == 201
    for method in ("GET", "HEAD"):
        refusal(instance.session.request(method, url), 403, "AuthorizationPermissionMismatch")
    refusal(instance.session.delete(url), 405, "UnsupportedHttpVerb")
    refusal(instance.session.put(base.split(instance.port)[0] + instance.port + "/x"), 404,
            "ResourceNotFound")
    renamed = url.replace("tasks.blob.", "other.blob.", 1)
    refusal(put(home, renamed, b"x"), 404, "ResourceNotFound")


def test_a_url_expires(instance, home):
    """One that was signed an hour ago, by the key of this instance."""
    with open(os.path.join(instance.state, "keys", "service.key")) as f:
        service = bytes.fromhex(f.read().strip())
    key = hmac.new(service, b"storage links", hashlib.sha256).digest()
    url, _ = upload_url(home)
    parts = urllib.parse.urlsplit(url)
    fields = dict(urllib.parse.parse_qsl(parts.query))

    def signed(expiry):
        text = "\n".join([fields["sv"], fields["sr"], fields["sp"], expiry, parts.path])
        mac = base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()
        return parts._replace(query=urllib.parse.urlencode({**fields, "se": expiry, "sig": mac})).geturl()
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    assert signed(fields["se"]).split("sig=")[1] == url.split("sig=")[1]
    past = (now - datetime.timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    reply = put(home, signed(past), b"x")
    assert refusal(reply, 403, "AuthenticationFailed") and "expired" in reply.text
    soon = (now + datetime.timedelta(seconds=60)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert put(home, signed(soon), b"x").status_code == 201


# --- uploads --------------------------------------------------------------------------------------

def test_a_source_in_one_piece(instance, home):
    url, path = upload_url(home)
    content = os.urandom(3 * 65536 + 17)
    asked = str(uuid.uuid4())
    reply = put(home, url, content, headers={"x-ms-client-request-id": asked})
    assert reply.status_code == 201 and reply.content == b""
    assert reply.headers["ETag"].startswith('"0x') and reply.headers["Last-Modified"].endswith("GMT")
    assert reply.headers["x-ms-client-request-id"] == asked and reply.headers["x-ms-request-id"]
    assert reply.headers["x-ms-request-server-encrypted"] == "true"
    place = folder(home, path)
    listed, files = blocks_in(place)
    assert listed == files and len(files) == 1
    with open(os.path.join(place, files[0]), "rb") as f:
        stored = f.read()
    assert content[:64] not in stored and len(stored) == len(content) + 40 + 4 * 16
    assert stat.S_IMODE(os.stat(place).st_mode) == 0o700
    # Again, as after an answer that was lost: one takes the other's place.
    assert put(home, url, content).status_code == 201
    again, files = blocks_in(place)
    assert again == files and len(files) == 1 and again != listed
    assert refusal(put(home, url, b"y", headers={"If-None-Match": "*"}), 409, "BlobAlreadyExists")
    assert blocks_in(place)[0] == again


def test_a_source_in_blocks(instance, home):
    url, path = upload_url(home)
    names = [f"block-{i:04}" for i in range(6)]
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda n: put(home, url, n.encode() * 20000, "block", n), names))
    assert [r.status_code for r in replies] == [201] * 6
    assert not os.path.exists(os.path.join(folder(home, path), "list"))
    refusal(put(home, url, block_list(*names, "block-none"), "blocklist"), 400, "InvalidBlockList")
    wanted = [names[i] for i in (3, 0, 0, 5)]
    done = put(home, url, block_list(*wanted), "blocklist")
    assert done.status_code == 201 and done.headers["ETag"], done.text
    listed, files = blocks_in(folder(home, path))
    digests = [hashlib.sha256(base64.b64encode(n.encode())).hexdigest() for n in wanted]
    assert listed == digests
    # What no list names is gone; the same list again does no harm.
    assert files == sorted(set(digests))
    assert put(home, url, block_list(*wanted, kind="Uncommitted"), "blocklist").status_code == 201
    assert blocks_in(folder(home, path)) == (listed, files)


@pytest.mark.parametrize("body", [
    b"", b"<", b"<BlockList>", b"<BlockList/>", b"<BlockList></BlockLists>", b"\0", b"{}",
    b"<!DOCTYPE x><BlockList></BlockList>", b"<BlockList><Latest>!!!!</Latest></BlockList>",
    b"<BlockList><Latest>YQ==</Committed></BlockList>", b"<BlockList><Latest></Latest></BlockList>",
    b"<BlockList><Latest>&amp;</Latest></BlockList>", b"<BlockList><!-- --></BlockList>",
    b"<BlockList a='b'></BlockList>", b"<BlockList></BlockList>\0", b"<BlockList></BlockList>x",
    b"<BlockList>" + b"<Latest>YQ==</Latest>" * 4097 + b"</BlockList>",
], ids=str)
def test_block_lists_that_are_none(home, body):
    url, path = upload_url(home)
    assert put(home, url, b"content", "block", "a").status_code == 201
    refusal(put(home, url, body, "blocklist"), 400, "InvalidXmlDocument")
    assert put(home, url, block_list("a"), "blocklist").status_code == 201


def test_uploads_that_are_refused(home):
    url, path = upload_url(home)
    for kind in (None, "PageBlob", "AppendBlob"):
        refusal(put(home, url, b"x", kind=kind), 400, "InvalidHeaderValue")
    for name, value in (("Content-MD5", "x"), ("If-Match", "*"), ("x-ms-lease-id", "x"),
                        ("x-ms-copy-source", "https://example.test/")):
        refusal(put(home, url, b"x", headers={name: value}), 400, "UnsupportedHeader")
    refusal(put(home, url, b"x", headers={"If-None-Match": '"0x1"'}), 400, "InvalidHeaderValue")
    refusal(put(home, url, b"x", comp="metadata"), 400, "InvalidQueryParameterValue")
    for bad in ("", "!", base64.b64encode(b"a" * 65).decode()):
        reply = home.instance.session.put(f"{url}&comp=block&blockid={urllib.parse.quote(bad)}", data=b"x")
        refusal(reply, 400, "InvalidQueryParameterValue")
    refusal(put(home, url, block_list(), "blocklist"), 400, "InvalidBlockList")
    too_long = b"<BlockList>" + b" " * (4096 * 160 + 2000)
    refusal(put(home, url, too_long, "blocklist"), 413, "RequestBodyTooLarge")
    assert not os.path.exists(os.path.join(folder(home, path), "list"))


def test_a_block_has_a_most(home):
    url, path = upload_url(home)
    mebibyte = bytes(1 << 20)

    def stream(count):
        for _ in range(count):
            yield mebibyte
    assert put(home, url, stream(100), "block", "largest").status_code == 201
    refusal(put(home, url, stream(101), "block", "larger"), 413, "RequestBodyTooLarge")
    files = os.listdir(folder(home, path))
    assert files == [hashlib.sha256(base64.b64encode(b"largest")).hexdigest()]
    # A list may name a block again and again, as long as the whole keeps to its most.
    assert put(home, url, block_list(*["largest"] * 10), "blocklist").status_code == 201
    refusal(put(home, url, block_list(*["largest"] * 11), "blocklist"), 413, "RequestBodyTooLarge")


def test_a_broken_upload_leaves_nothing(instance, home):
    url, path = upload_url(home)
    parts = urllib.parse.urlsplit(url)
    context = ssl.create_default_context(cafile=instance.ca)
    with socket.create_connection(("127.0.0.1", int(instance.port))) as plain:
        with context.wrap_socket(plain, server_hostname=parts.hostname) as s:
            s.sendall((f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
                       "x-ms-blob-type: BlockBlob\r\nContent-Length: 1000000\r\n\r\n").encode())
            s.sendall(bytes(400000))
            eventually(lambda: under_way(folder(home, path)))
    eventually(lambda: not os.listdir(folder(home, path)))


# --- how long ------------------------------------------------------------------------------------

def test_sources_go_after_a_day(instance, home):
    old, young = upload_url(home), upload_url(home)
    for url, _ in (old, young):
        assert put(home, url, b"content").status_code == 201
    for (_, path), age in ((old, DAY + 60), (young, DAY - 60)):
        place = folder(home, path)
        then = os.stat(place).st_mtime - age
        os.utime(place, (then, then))
    eventually(lambda: not os.path.exists(folder(home, old[1])), timeout=90)
    assert blocks_in(folder(home, young[1]))[0]


def test_sources_go_with_their_registry(instance, group):
    registry = instance.make_registry(group)
    (url, path), other = upload_url(registry), upload_url(registry)[0]
    assert put(registry, url, b"content").status_code == 201
    place = os.path.dirname(folder(registry, path))
    instance.delete(registry.id)
    assert not os.path.exists(place)
    refusal(put(registry, other, b"content"), 404, "BlobNotFound")
    assert not os.path.exists(place)


def test_a_registry_has_a_number_of_sources(instance, group):
    registry = instance.make_registry(group)
    url, path = upload_url(registry)
    above = os.path.dirname(folder(registry, path))
    assert put(registry, url, b"x").status_code == 201
    owner = os.stat(above)
    for i in range(999):
        os.mkdir(os.path.join(above, f"{i:032x}"))
        os.chown(os.path.join(above, f"{i:032x}"), owner.st_uid, owner.st_gid)
    refusal(put(registry, upload_url(registry)[0], b"x"), 409, "TooManySources")
    assert put(registry, url, b"y").status_code == 201


# --- logs -----------------------------------------------------------------------------------------

def test_the_log_of_a_run(instance, home):
    run = run_of(home)
    url = log_url(home, run)
    assert urllib.parse.urlsplit(url).path.endswith(f"/logs/{run['name']}/rawtext.log")
    head, whole = instance.session.head(url), instance.session.get(url)
    for reply in (head, whole):
        assert reply.status_code == 200
        assert reply.headers["x-ms-blob-type"] == "AppendBlob"
        assert reply.headers["x-ms-meta-Complete"] == "failed"
        assert int(reply.headers["Content-Length"]) == len(whole.content)
    assert head.headers["ETag"] == whole.headers["ETag"]
    lines = whole.text.split("\r\n")
    assert run["name"] in lines[0] and "no build workers" in lines[1]
    assert lines[2].endswith(f"Run {run['name']}: Failed.") and lines[3:] == [""]
    assert run["properties"]["runErrorMessage"] in whole.text
    # The url of one log leads to no other, and writes nothing.
    other = run_of(home)
    refusal(instance.session.get(url.replace(run["name"], other["name"])), 403, "AuthenticationFailed")
    refusal(put(home, url, b"x"), 403, "AuthorizationPermissionMismatch")


def test_parts_of_a_log(instance, home):
    url = log_url(home, run_of(home))
    whole = instance.session.get(url)
    size = len(whole.content)
    for header, first, last in (("bytes=0-9", 0, 9), ("bytes=5-", 5, size - 1),
                                (f"bytes={size - 1}-99999", size - 1, size - 1)):
        for name in ("x-ms-range", "Range"):
            part = instance.session.get(url, headers={name: header, "If-Match": whole.headers["ETag"]})
            assert part.status_code == 206 and part.content == whole.content[first:last + 1]
            assert part.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
    refusal(instance.session.get(url, headers={"x-ms-range": f"bytes={size}-"}), 416, "InvalidRange")
    refusal(instance.session.get(url, headers={"If-Match": '"0x1"'}), 412, "ConditionNotMet")


def test_a_run_that_is_not_over(instance, home):
    run = run_of(home)
    uid = instance.sql("control", f"select uid from resources where key = lower('{run['id']}')")[0][0]
    instance.sql("control", "update resources set status = jsonb_set(status, '{properties,status}', "
                 f"'\"Running\"') where uid = '{uid}'")
    url = log_url(home, run)
    assert "x-ms-meta-Complete" not in instance.session.head(url).headers
    assert instance.arm("POST", f"{run['id']}/cancel", api=TASKS).status_code == 200
    assert instance.session.head(url).headers["x-ms-meta-Complete"] == "canceled"


def test_urls_need_their_permission(instance, home):
    app = Directory(instance).application()
    assign(instance, app.object_id, READER, home.id)
    token = app.token()
    for path in ("listBuildSourceUploadUrl", f"runs/{run_of(home)['name']}/listLogSasUrl"):
        eventually(lambda: instance.arm("GET", home.id, token=token).status_code == 200)
        reply = instance.arm("POST", f"{home.id}/{path}", api=TASKS, token=token)
        assert reply.status_code == 403 and "AuthorizationFailed" in reply.text


# --- kills ----------------------------------------------------------------------------------------

def test_a_kill_in_the_middle_of_an_upload(own_instance):
    """What was acknowledged is there, what was under way is not, and it can be sent again."""
    it = own_instance
    registry = it.make_registry(it.make_group())
    url, path = upload_url(registry)
    assert put(registry, url, b"first", "block", "a").status_code == 201
    place, killed = folder(registry, path), []

    def stream():
        for i in range(64):
            yield bytes(1 << 16)
            if i == 32:
                eventually(lambda: under_way(place))
                killed.append(it.kill("controlplane"))
    try:
        assert put(registry, url, stream(), "block", "b").status_code != 201
    except OSError:
        pass
    assert killed and not os.path.exists(os.path.join(place, "list"))
    eventually(lambda: put(registry, url, b"second", "block", "b").status_code == 201, timeout=30)
    assert put(registry, url, block_list("a", "b"), "blocklist").status_code == 201
    listed, files = blocks_in(place)
    assert len(listed) == 2 and set(listed) <= set(files)
    # The debris of the killed one goes with the source.
    assert under_way(place)

"""Attacks on tokens, identities and rights. Each test is named by the number of the past hole it
comes from. Forged tokens are signed with the instance's real keys wherever a refusal could otherwise
be the signature's doing."""

import base64
import hashlib
import hmac
import itertools
import json
import os
import re
import socket
import statistics
import threading
import time
import uuid

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from support.instance import GROUPS_API, PROVIDER, eventually
from support.rawhttp import (MIB, Bounded, Plane, Signer, add_token, ask, at_edge, base64url, bearer_of,
                             call, head, is_clean, move_on, read_token, sha256)

pytestmark = pytest.mark.sanitized

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
NOBODY = "00000000-0000-0000-0000-000000000000"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
SETTLE_S = 1.6  # within one second what is published or assigned holds


@pytest.fixture(scope="module")
def area(instance):
    """A group of this file's own; its registries go with it."""
    group = instance.make_group()
    yield group
    instance.arm("DELETE", instance.group_id(group), api=GROUPS_API)


@pytest.fixture(scope="module")
def target(instance, area):
    it = instance.make_registry(area, sku="Premium")
    it.push_image("team/a", "v1")
    it.push_image("secret", "v1")
    return it


@pytest.fixture(scope="module")
def other(instance, area):
    it = instance.make_registry(area, sku="Premium")
    it.push_image("team/a", "v1")
    return it


@pytest.fixture(scope="module")
def plane(instance, target):
    return Plane(instance, target)


class Principal:
    """A service principal with a secret and role assignments, as the directory holds them."""

    def __init__(self, instance, *assignments):
        self.instance, self.id, self.app = instance, str(uuid.uuid4()), str(uuid.uuid4())
        self.secret, salt = uuid.uuid4().hex, os.urandom(16)
        digest = hashlib.sha256(salt + self.secret.encode()).hexdigest()
        instance.sql("control", f"""insert into principals (object_id, tenant_id, kind, app_id,
            display_name) values ('{self.id}', '{instance.tenant}', 'ServicePrincipal', '{self.app}',
            'test'); insert into principal_secrets (id, principal_id, hash, hint) values
            ('{uuid.uuid4()}', '{self.id}', '$sha256${salt.hex()}${digest}', 'xxx')""")
        for role, scope in assignments:
            self.assign(role, scope)

    def assign(self, role, scope):
        self.instance.sql("control", f"""insert into role_assignments (id, scope, scope_key, tenant_id,
            role_definition_id, principal_id, principal_type, created_by, updated_by) values
            ('{uuid.uuid4()}', '{scope}', lower('{scope}'), '{self.instance.tenant}', '{role}',
            '{self.id}', 'ServicePrincipal', 'test', 'test')""")

    def token(self, scope=None):
        return self.instance.token(client_id=self.app, client_secret=self.secret,
                                   scope=scope or f"{self.instance.management}/.default")


def exchange(registry, token):
    return call(registry, "POST", "/oauth2/exchange", data={
        "grant_type": "access_token", "service": registry.host, "access_token": token})


def refresh(registry, token, scope="repository:team/a:pull"):
    return call(registry, "POST", "/oauth2/token", data={
        "grant_type": "refresh_token", "service": registry.host, "scope": scope,
        "refresh_token": token})


def refresh_token(instance, registry):
    reply = exchange(registry, instance.token())
    assert reply.status_code == 200, reply.text
    return reply.json()["refresh_token"]


def oci_error(reply, status, code):
    assert reply.status_code == status, (reply.status_code, reply.text[:400])
    assert [e["code"] for e in reply.json()["errors"]] == [code], reply.text
    assert is_clean(reply.text), reply.text


def arm_error(reply, status, *codes):
    assert reply.status_code == status, (reply.status_code, reply.text[:400])
    assert reply.json()["error"]["code"] in codes, reply.text
    assert is_clean(reply.text), reply.text


# --- 1-3, 7: forged tokens ------------------------------------------------------------------------

def raw_sign(pem, header, payload, der=False):
    """A token of exactly these bytes, signed with the key."""
    text = f"{base64url(header)}.{base64url(payload)}"
    key = pem if hasattr(pem, "sign") else serialization.load_pem_private_key(pem, None)
    signature = key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
    if not der:
        r, s = decode_dss_signature(signature)
        size = (key.key_size + 7) // 8
        signature = r.to_bytes(size, "big") + s.to_bytes(size, "big")
    return f"{text}.{base64url(signature)}"


def public_forms(pem):
    """Every form in which an implementation might hold the public key as an HMAC secret."""
    public = serialization.load_pem_private_key(pem, None).public_key()
    spki, form = serialization.PublicFormat.SubjectPublicKeyInfo, public.public_bytes
    text = form(serialization.Encoding.PEM, spki)
    yield from (text, text.strip(), text.replace(b"\n", b"\r\n"),
                form(serialization.Encoding.DER, spki),
                form(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint), b"")


def forgeries(signer, kid, claims, other_kid, listener):
    """Name and text of each token that must be refused; `signer` has the verifier's real key."""
    now, real = int(time.time()), signer.pem
    good = {"alg": "ES256", "typ": "JWT", "kid": kid}
    body = json.dumps(claims).encode()
    genuine = raw_sign(real, json.dumps(good).encode(), body)
    h, c, s = genuine.split(".")

    def signed(header=None, payload=None, key=real, drop=(), **changes):
        header = {k: v for k, v in {**good, **(header or {})}.items() if v is not None}
        if payload is None:
            payload = json.dumps({k: v for k, v in {**claims, **changes}.items()
                                  if k not in drop}).encode()
        return raw_sign(key, json.dumps(header).encode(), payload)
    # 1: the algorithm is the verifier's choice.
    for alg in ("none", "NonE", "None", "NONE", "", "nOnE"):
        head_ = base64url({**good, "alg": alg})
        yield f"alg {alg!r}, no signature", f"{head_}.{c}."
        yield f"alg {alg!r}, a real signature", signed({"alg": alg})
    for alg in ("es256", "ES384", "ES512", "ES256K", "RS256", "PS256", "EdDSA", "HS256", "ES256 ",
                "ES256\0", ["ES256"], 256, None):
        yield f"alg {alg!r}, a real signature", signed({"alg": alg})
    for alg, digest in (("HS256", hashlib.sha256), ("HS384", hashlib.sha384), ("HS512", hashlib.sha512)):
        for n, key in enumerate(public_forms(real)):
            text = f"{base64url({**good, 'alg': alg})}.{c}"
            yield f"{alg} with the public key {n}", \
                f"{text}.{base64url(hmac.new(key, text.encode(), digest).digest())}"
    strangers = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1(),
                 "secp256k1": ec.SECP256K1()}
    for name, curve in strangers.items():
        yield f"a stranger's {name}", signed(key=ec.generate_private_key(curve))
    rsa_key, text = rsa.generate_private_key(65537, 2048), f"{h}.{c}"
    from cryptography.hazmat.primitives.asymmetric import padding
    yield "a stranger's RSA", f"{text}." + base64url(rsa_key.sign(
        text.encode(), padding.PKCS1v15(), hashes.SHA256()))
    order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
    raw = base64.urlsafe_b64decode(s + "==")
    for name, value in (("zeros", bytes(64)), ("r = s = n", order.to_bytes(32, "big") * 2),
                        ("r = 0", bytes(32) + raw[32:]), ("s = 0", raw[:32] + bytes(32)),
                        ("ones", b"\xff" * 64), ("one byte short", raw[:-1]),
                        ("one byte long", raw + b"\0"), ("a zero first", b"\0" + raw)):
        yield f"signature {name}", f"{h}.{c}.{base64url(value)}"
    yield "a DER signature", raw_sign(real, json.dumps(good).encode(), body, der=True)
    # 2: keys come from the verifier alone.
    mine = ec.generate_private_key(ec.SECP256R1())
    numbers = mine.public_key().public_numbers()
    jwk = {"kty": "EC", "crv": "P-256", "kid": kid, "x": base64url(numbers.x.to_bytes(32, "big")),
           "y": base64url(numbers.y.to_bytes(32, "big"))}
    url = f"http://127.0.0.1:{listener}/keys"
    for name, value in (("jwk", jwk), ("jku", url), ("x5u", url), ("x5c", ["MIIB"])):
        for at in (kid, "mine"):
            yield f"{name} in the header, kid {at!r}", signed({name: value, "kid": at}, key=mine)
    for value in ("../../x", "../keys/service.key", "/dev/null", "' or '1'='1", "x' union select '",
                  kid + "\0", kid + " ", kid.swapcase(), kid[:-1], "", "*", "%", None, 1, [kid],
                  {"kid": kid}, other_kid, "x" * 10_000, "\u202e"):
        yield f"kid {str(value)[:30]!r}", signed({"kid": value})
    # 3: an extension that is not understood is a reason to refuse.
    for value in (["exp"], ["b64"], ["http://example.com/x"], [], "exp", None and 0, {}, 1):
        if value is not None:
            yield f"crit {value!r}", signed({"crit": value, "exp": now + 600, "b64": False})
    for value in ("JWS", "at+jwt", "application/x", 1, ["JWT"]):
        yield f"typ {value!r}", signed({"typ": value})
    # Claims, with a signature that is right.
    for value in (now - 1, 0, -1, now + 600.5, str(now + 600), None, True, [now + 600], {}):
        yield f"exp {value!r}", signed(exp=value)
    yield "no exp", signed(drop=("exp",))
    for value in (now + 3600, str(now), [now], True):
        yield f"nbf {value!r}", signed(nbf=value)
    for value in ("https://evil.example", "", None, 1, [], [["x"]], {}, "HTTPS://EVIL"):
        yield f"aud {value!r}", signed(aud=value)
    yield "no aud", signed(drop=("aud",))
    for value in ("https://evil.example/", "", None, [claims["iss"]], claims["iss"] + "x"):
        yield f"iss {value!r}", signed(iss=value)
    yield "no iss", signed(drop=("iss",))
    # Documents that two readers could read differently.
    text = json.dumps(claims)
    for name, payload in (("twice exp", text[:-1] + f',"exp":{now + 10**6}}}'),
                          ("twice aud", '{"aud":"x",' + text[1:]), ("an array", f"[{text}]"),
                          ("a text", '"x"'), ("nothing", ""), ("two objects", text + text),
                          ("exp 1e400", text[:-1] + ',"a":1e400}'), ("NUL", text + "\0"),
                          ("comment", text[:-1] + "/**/}"), ("utf-16", text.encode("utf-16")),
                          ("not utf-8", text.encode()[:-1] + b',"a":"\xff"}')):
        yield f"claims: {name}", signed(payload=payload if isinstance(payload, bytes)
                                        else payload.encode())
    yield "header twice alg", raw_sign(real, f'{{"alg":"none",{json.dumps(good)[1:]}'.encode(), body)
    yield "header array", raw_sign(real, json.dumps([good]).encode(), body)
    # Framing.
    padding_ = "=" * (-len(h) % 4)
    for name, token in (("unsigned", f"{h}.{c}."), ("two parts", f"{h}.{c}"), ("four", genuine + ".x"),
                        ("padding", f"{h}{padding_ or '='}.{c}.{s}"), ("a dot behind", genuine + "."),
                        ("a space inside", f"{h}. {c}.{s}"), ("no header", f".{c}.{s}"),
                        ("no claims", f"{h}..{s}"), ("dots", ".."), ("plus", f"{h}.{c}.{'+' * 86}"),
                        ("other claims", f"{h}.{base64url({**claims, 'jti': 'x'})}.{s}"),
                        ("other header", f"{base64url({**good, 'x': 1})}.{c}.{s}")):
        yield f"framing: {name}", token
    # 7: what costs much to read.
    yield "JWE", ".".join([base64url({"alg": "dir", "enc": "A256GCM", "zip": "DEF", "kid": kid}), "",
                           base64url(b"x" * 12), base64url(b"x" * 5000), base64url(b"x" * 16)])
    yield "deep claims", signed(payload=b'{"a":' * 2000 + b"1" + b"}" * 2000)
    yield "deep header", raw_sign(real, b"[" * 3000, body)
    yield "deep, beside the claims", signed(payload=(
        text[:-1] + ',"a":' + "[" * 3000 + "]" * 3000 + "}").encode())
    yield "dots, many", "." * 16_000
    yield "very long", f"{h}.{c}.{'A' * 30_000}"
    yield "long claims", signed(pad="x" * 15_000)


@pytest.fixture(scope="module")
def listener():
    """A port that must never be asked for keys."""
    asked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        def listen():
            try:
                server.accept()[0].close()
                asked.set()
            except OSError:
                pass
        threading.Thread(target=listen, daemon=True).start()
        yield server.getsockname()[1]
        assert not asked.is_set(), "a token made the server fetch something"
        server.shutdown(socket.SHUT_RDWR)


def can_be_header(token):
    return len(token) < 12_000 and token == token.strip() and token.isascii()


def test_01_02_03_07_forged_access_tokens(target, other, plane, listener):
    header, claims = read_token(target.access_token("repository:team/a:pull"))
    signer = Signer.of_registry(plane)
    their_kid = read_token(other.access_token("repository:team/a:pull"))[0]["kid"]
    genuine = raw_sign(signer.pem, json.dumps(header).encode(), json.dumps(claims).encode())
    path = "/v2/team/a/manifests/v1"
    assert call(target, "GET", path, bearer=genuine).status_code == 200
    bad = dict(forgeries(signer, header["kid"], claims, their_kid, listener))
    bad.update({f"{name} {value!r}": raw_sign(signer.pem, json.dumps(header).encode(), json.dumps(
        {**claims, name: value}).encode()) for name, value in (
            ("registry", NOBODY), ("registry", None), ("registry", [plane.uid]),
            ("grant_type", "refresh_token"), ("grant_type", None), ("kind", "root"), ("kind", 2),
            ("kind", "principal"), ("mark", ""), ("mark", None), ("sub", "nobody"), ("sub", None),
            ("sub", "team/a"), ("access", []), ("access", None), ("access", "repository:team/a:pull"),
            ("access", [{"type": "repository", "name": "team/*x", "actions": ["pull"]}]),
            ("access", [{"type": "repository", "name": "team/a", "actions": "pull"}]))})
    with Bounded(plane.pid, 4 * MIB):
        for what, token in bad.items():
            if can_be_header(token):
                oci_error(call(target, "GET", path, bearer=token), 401, "UNAUTHORIZED")
            reply = call(target, "GET", "/oauth2/token", user=(NOBODY, token), params={
                "service": target.host, "scope": "repository:team/a:pull"}) if len(token) < 9000 else \
                call(target, "POST", "/oauth2/token", data={
                    "grant_type": "password", "service": target.host, "username": NOBODY,
                    "password": token, "scope": "repository:team/a:pull"})
            if what.startswith(("access ", "grant_type 'refresh")) and reply.status_code == 200:
                # At this door another kind of token is as good; it gives nothing it has not.
                granted = read_token(reply.json()["access_token"])[1]["access"]
                assert granted == [] or what.startswith("grant_type"), what
                continue
            assert reply.status_code == 401, (what, reply.status_code, reply.text[:300])
            assert is_clean(reply.text)
    assert call(target, "GET", path, bearer=genuine).status_code == 200


def test_01_02_03_07_forged_refresh_tokens(instance, target, other, plane, listener):
    header, claims = read_token(refresh_token(instance, target))
    signer = Signer.of_registry(plane)
    genuine = raw_sign(signer.pem, json.dumps(header).encode(), json.dumps(claims).encode())
    assert refresh(target, genuine).status_code == 200
    their_kid = read_token(other.access_token("repository:team/a:pull"))[0]["kid"]
    for what, token in forgeries(signer, header["kid"], claims, their_kid, listener):
        reply = refresh(target, token)
        assert reply.status_code == 401, (what, reply.status_code, reply.text[:300])
        assert is_clean(reply.text)
    assert refresh(target, genuine).status_code == 200


def test_01_02_03_07_forged_directory_tokens(instance, target, plane, listener):
    header, claims = read_token(instance.token())
    signer = Signer.of_directory(instance)
    assert signer.kid == header["kid"]
    genuine = raw_sign(signer.pem, json.dumps(header).encode(), json.dumps(claims).encode())
    registry_kid = read_token(target.access_token("repository:team/a:pull"))[0]["kid"]

    def arm(token):
        return instance.session.get(f"{instance.management}{target.id}", params={
            "api-version": "2025-11-01"}, headers={"Authorization": f"Bearer {token}"})
    assert arm(genuine).status_code == 200 and exchange(target, genuine).status_code == 200
    bad = dict(forgeries(signer, header["kid"], claims, registry_kid, listener))
    bad.update({f"{name} {value!r}": raw_sign(signer.pem, json.dumps(header).encode(), json.dumps(
        {**claims, name: value}).encode()) for name, value in (
            ("oid", str(uuid.uuid4())), ("oid", "' or 1=1 --"), ("oid", [claims["oid"]]),
            ("tid", str(uuid.uuid4())), ("tid", None), ("tid", ""))})
    with Bounded(plane.pid, 4 * MIB), Bounded(instance.pid("controlplane"), 8 * MIB):
        for what, token in bad.items():
            if can_be_header(token):
                reply = arm(token)
                assert reply.status_code == 401, (what, reply.status_code, reply.text[:300])
                assert "WWW-Authenticate" in reply.headers and is_clean(reply.text)
            reply = exchange(target, token)
            assert reply.status_code == 401, (what, reply.status_code, reply.text[:300])
            assert is_clean(reply.text)
    assert arm(genuine).status_code == 200


def test_07_a_mebibyte_of_dots(instance, target, plane):
    """Long before it is looked at as a token, it is too long."""
    with Bounded(plane.pid, MIB), Bounded(instance.pid("controlplane"), MIB):
        for open_wire in (plane.connect, lambda: at_edge(instance, target.host)):
            with open_wire() as wire:
                wire.send(head(target, "GET", "/v2/", "Authorization: Bearer " + "." * MIB, auth=False))
                assert all(r.status in (400, 413, 431) for r in wire.replies())
        for size in (100_000, MIB):
            reply = exchange(target, "." * size)
            assert reply.status_code == (401 if size < 128 * 1024 else 413), reply.text
        host = instance.management.removeprefix("https://")
        with at_edge(instance, host) as wire:
            wire.send(f"GET /subscriptions?api-version=2022-12-01 HTTP/1.1\r\nHost: {host}\r\n"
                      f"Authorization: Bearer {'.' * MIB}\r\n\r\n".encode())
            assert all(r.status in (400, 413, 431) for r in wire.replies())
    assert target.call("GET", "/v2/").status_code == 200


# --- 4: audiences ---------------------------------------------------------------------------------

def test_04_audience_matrix(instance, target, other):
    """Every kind of token at every door: only where it belongs."""
    tokens = {"arm": instance.token(),
              "aad": instance.token(scope="https://containerregistry.azure.net/.default")}
    for name, registry in (("A", target), ("B", other)):
        tokens[f"refresh {name}"] = refresh_token(instance, registry)
        tokens[f"access {name}"] = registry.access_token("repository:team/a:pull")
    doors = {"ARM": lambda t: instance.session.get(
        f"{instance.management}{target.id}", params={"api-version": "2025-11-01"},
        headers={"Authorization": f"Bearer {t}"})}
    for name, registry in (("A", target), ("B", other)):
        doors[f"exchange {name}"] = lambda t, r=registry: exchange(r, t)
        doors[f"token {name}"] = lambda t, r=registry: refresh(r, t)
        doors[f"API {name}"] = lambda t, r=registry: call(r, "GET", "/v2/team/a/manifests/v1", bearer=t)
        # Docker's way in: the null user with a refresh or an access token, at the token endpoint
        # only; Basic on the API itself takes no token.
        doors[f"password {name}"] = lambda t, r=registry: call(
            r, "GET", "/oauth2/token", user=(NOBODY, t), params={"service": r.host})
        doors[f"basic {name}"] = lambda t, r=registry: call(
            r, "GET", "/v2/team/a/manifests/v1", user=(NOBODY, t))
    diagonal = {("arm", "ARM")} | {(t, f"exchange {r}") for t in ("arm", "aad") for r in "AB"} | {
        (f"refresh {r}", f"token {r}") for r in "AB"} | {(f"access {r}", f"API {r}") for r in "AB"} | {
        (f"{kind} {r}", f"password {r}") for kind in ("refresh", "access") for r in "AB"}
    for (kind, token), (door, knock) in itertools.product(tokens.items(), doors.items()):
        reply = knock(token)
        wanted = 200 if (kind, door) in diagonal else 401
        assert reply.status_code == wanted, (kind, door, reply.status_code, reply.text[:200])
        assert is_clean(reply.text)


def test_04_same_name_made_again(instance, area):
    """Tokens are bound to the registry, not to its name."""
    name = f"again{uuid.uuid4().hex[:8]}"
    old = instance.make_registry(area, name)
    old.push_image("team/a", "v1")
    access, renewed, basic = old.access_token("repository:team/a:pull"), \
        refresh_token(instance, old), old.auth
    assert call(old, "GET", "/v2/", bearer=access).status_code == 200
    instance.delete(old.id)
    new = instance.make_registry(area, name)
    assert new.url == old.url
    new.push_image("team/a", "v1")
    assert call(new, "GET", "/v2/team/a/manifests/v1", bearer=access).status_code == 401
    assert refresh(new, renewed).status_code == 401
    assert call(new, "GET", "/v2/", user=basic).status_code == 401
    assert call(new, "GET", "/v2/", user=(NOBODY, renewed)).status_code == 401


# --- 5, 14, 17: scopes, the lattice of rights, one canonical path ---------------------------------

def granted(registry, user, *scopes):
    access = read_token(bearer_of(registry, user, *scopes))[1]["access"]
    return {(a["type"], a["name"], tuple(sorted(a["actions"]))) for a in access}


def test_05_scopes(target, plane):
    """Granted is what was asked for and is allowed: never more, whatever the spelling."""
    user = add_token(plane, {"team/*": ["pull"], "own": ["pull", "push"]})

    def pull(name):
        return {("repository", name, ("pull",))}
    for scope, wanted in {
            "repository:team/a:pull": pull("team/a"), "repository:team/a/b:pull": pull("team/a/b"),
            "repository:team/a:pull,push,delete,*": pull("team/a"),
            "repository:team/a:*": pull("team/a"), "repository:own:*": {
                ("repository", "own", ("pull", "push"))},
            "repository(plugin):team/a:pull": pull("team/a"),
            # Neither the prefix itself, nor a name that only begins with its letters.
            "repository:team:pull": set(), "repository:teamx/a:pull": set(),
            "repository:team/:pull": set(), "repository:tea/a:pull": set(),
            "repository:teamx:pull": set(), "repository:own/a:pull": set(),
            "repository:secret:pull": set(), "repository:*:*": set(), "repository:*:pull": set(),
            "repository:team/a/../../secret:pull": set(), "repository:team/../secret:pull": set(),
            "repository:team/%2e%2e/secret:pull": set(), "repository:team%2fa:pull": set(),
            "repository:team%252fa:pull": set(), "repository:TEAM/a:pull": set(),
            "repository:Team/A:pull": set(), "repository:team//a:pull": set(),
            "repository:/team/a:pull": set(), "repository:team/a/:pull": set(),
            "repository:team/a :pull": set(), "repository:team/*/x:pull": set(),
            "repository:team*:pull": set(), "repository:te*m/a:pull": set(),
            "repository:team/**:pull": set(), "repository:team/a:PULL": set(),
            "repository:team/a:": set(), "repository:team/a:pull:x": set(), "repository:team/a": set(),
            "repository::pull": set(), "Repository:team/a:pull": set(), ":::": set(), ":": set(),
            "registry:catalog:*": set(), "registry:*:*": set(), "registry:deleted_catalog:*": set(),
            "*:*:*": set(), "*": set(), "": set(), "repository:team/a\0secret:pull": None,
            "repository:team/a\nsecret:pull": set(), "x" * 3000: set()}.items():
        found = granted(target, user, scope)
        assert found == wanted or (wanted is None and found <= pull("team/a")), (scope, found)
    assert granted(target, user, "repository:team/*:pull") <= {("repository", "team/*", ("pull",))}
    many = granted(target, user, "repository:team/a:pull repository:secret:pull",
                   "repository:own:push", "registry:catalog:*")
    assert many == pull("team/a") | {("repository", "own", ("push",))}
    # A token never opens more than its scopes, though its owner may do more.
    narrow = bearer_of(target, user, "repository:team/a:pull")
    assert call(target, "GET", "/v2/team/a/manifests/v1", bearer=narrow).status_code == 200
    for method, path in (("POST", "/v2/own/blobs/uploads/"), ("GET", "/v2/secret/manifests/v1"),
                         ("GET", "/v2/_catalog"), ("DELETE", "/v2/team/a/manifests/v1")):
        oci_error(call(target, method, path, bearer=narrow), 401, "UNAUTHORIZED")


def test_05_a_thousand_scopes(target, plane):
    user = add_token(plane, {"team/*": ["pull"]})
    scopes = [f"repository:team/r{i}:pull" for i in range(1000)]
    with Bounded(plane.pid, 4 * MIB):
        for form in ({"scope": scopes}, {"scope": " ".join(scopes)},
                     {"scope": ["repository:secret:pull"] * 2000}):
            reply = call(target, "POST", "/oauth2/token", data={
                "grant_type": "password", "service": target.host, "username": user[0],
                "password": user[1], **form})
            # Fewer than asked is a grant; more than fits is refused. Never an error of ours.
            assert reply.status_code in (200, 400), reply.text
            if reply.status_code == 200:
                token = reply.json()["access_token"]
                access = read_token(token)[1]["access"]
                assert {a["name"] for a in access} <= {f"team/r{i}" for i in range(1000)}
                assert call(target, "GET", "/v2/", bearer=token).status_code == 200
                oci_error(call(target, "GET", "/v2/secret/manifests/v1", bearer=token), 401,
                          "UNAUTHORIZED")


ACTIONS = ("pull", "push", "delete", "metadata_read", "metadata_write")


def operations(repo, digest):
    """Each operation and the rights it needs."""
    return [
        ({"pull"}, "GET", f"/v2/{repo}/manifests/v1", {}),
        ({"pull"}, "HEAD", f"/v2/{repo}/manifests/{digest}", {}),
        ({"pull"}, "GET", f"/v2/{repo}/blobs/{sha256(b'layer')}", {}),
        ({"pull"}, "GET", f"/v2/{repo}/tags/list", {}),
        ({"pull"}, "GET", f"/v2/{repo}/referrers/{digest}", {}),
        ({"pull", "push"}, "POST", f"/v2/{repo}/blobs/uploads/?digest={sha256(b'x')}", {"data": b"x"}),
        ({"pull", "push"}, "POST", f"/v2/{repo}/blobs/uploads/?mount={sha256(b'layer')}&from={repo}",
         {}),
        # Overwriting a tag is a push, for latest as for any other name.
        *[({"pull", "push"}, "PUT", f"/v2/{repo}/manifests/{tag}", {
            "data": "manifest", "headers": {"Content-Type": MANIFEST}}) for tag in ("v1", "latest")],
        ({"metadata_read"}, "GET", f"/acr/v1/{repo}", {}),
        ({"metadata_read"}, "GET", f"/acr/v1/{repo}/_tags", {}),
        ({"metadata_read"}, "GET", f"/acr/v1/{repo}/_tags/v1", {}),
        ({"metadata_read"}, "GET", f"/acr/v1/{repo}/_manifests", {}),
        ({"metadata_read"}, "GET", f"/acr/v1/{repo}/_manifests/{digest}", {}),
        ({"metadata_write"}, "PATCH", f"/acr/v1/{repo}", {"json": {"listEnabled": True}}),
        ({"metadata_write"}, "PATCH", f"/acr/v1/{repo}/_tags/v1", {"json": {"listEnabled": True}}),
        ({"metadata_write"}, "PATCH", f"/acr/v1/{repo}/_manifests/{digest}",
         {"json": {"listEnabled": True}}),
        ({"delete"}, "DELETE", f"/v2/{repo}/manifests/gone", {}),
        ({"delete"}, "DELETE", f"/v2/{repo}/manifests/{sha256(b'gone')}", {}),
        ({"delete"}, "DELETE", f"/v2/{repo}/blobs/{sha256(b'gone')}", {}),
        ({"delete"}, "DELETE", f"/acr/v1/{repo}/_tags/gone", {}),
        ({"delete"}, "DELETE", f"/acr/v1/gone-{repo}", {}),
        ({"catalog"}, "GET", "/v2/_catalog", {}), ({"catalog"}, "GET", "/acr/v1/_catalog", {})]


def test_14_lattice_of_rights(target, plane):
    """Each right alone, and each set that lacks one: what is not granted is refused, both for a
    password and for a token that asked for everything."""
    repo = f"lattice{uuid.uuid4().hex[:8]}"
    digest = target.push_image(repo, "v1")
    target.push_image(repo, "latest")
    manifest = target.call("GET", f"/v2/{repo}/manifests/v1").content
    sets = [{a} for a in (*ACTIONS, "catalog")] + [set(ACTIONS) - {a} for a in ACTIONS] + [
        set(), {"pull", "push"}]
    users = {}
    for rights in sets:
        names = [a for a in ACTIONS if a in rights]
        permissions = {p: names for p in (repo, f"gone-{repo}") if names}
        users[frozenset(rights)] = add_token(plane, permissions | (
            {"catalog": ()} if "catalog" in rights else {}), is_last=rights is sets[-1])
    for rights, user in users.items():
        token = bearer_of(target, user, f"repository:{repo}:*", f"repository:gone-{repo}:*",
                          "registry:catalog:*")
        for needed, method, path, options in operations(repo, digest):
            if options.get("data") == "manifest":
                options = {**options, "data": manifest}
            for how in ({"user": user}, {"bearer": token}):
                reply = call(target, method, path, **how, **options)
                if needed <= rights:
                    assert reply.status_code < 300 or reply.status_code == 404, (
                        sorted(rights), method, path, reply.status_code, reply.text)
                    continue
                wanted = 403 if "user" in how else 401
                assert reply.status_code == wanted, (sorted(rights), method, path, reply.status_code)
                if method != "HEAD":
                    oci_error(reply, wanted, "DENIED" if wanted == 403 else "UNAUTHORIZED")
                if wanted == 401:
                    assert 'error="insufficient_scope"' in reply.headers["WWW-Authenticate"]
    assert target.call("GET", f"/v2/{repo}/manifests/v1").content == manifest


def test_17_one_canonical_path(instance, target, plane):
    """No spelling of a path is authorised as one repository and served as another."""
    user = add_token(plane, {"team/*": ["pull", "metadata_read"]})
    secret = target.call("GET", "/v2/secret/manifests/v1").content
    for path in ("/v2/secret/manifests/v1", "/v2//secret/manifests/v1", "/v2/team/../secret/manifests/v1",
                 "/v2/team/a/../../secret/manifests/v1", "/v2/team/%2e%2e/secret/manifests/v1",
                 "/v2/team/%2E%2E/secret/manifests/v1", "/v2/team/.%2e/secret/manifests/v1",
                 "/v2/team%2f..%2fsecret/manifests/v1", "/v2/team/%252e%252e/secret/manifests/v1",
                 "/v2/team/..%5csecret/manifests/v1", "/v2/team\\..\\secret/manifests/v1",
                 "/v2/secret%00team/a/manifests/v1", "/v2/team/a%00/../secret/manifests/v1",
                 "/v2/secret/manifests/v1?x=/team/a", "/v2/secret/manifests/v1;team/a",
                 "/v2/secret/manifests/v1#/team/a", "/V2/secret/manifests/v1", "/v2/SECRET/manifests/v1",
                 "/v2/team/;/../secret/manifests/v1", "/v2/./secret/manifests/v1",
                 "/v2/secret/manifests/v1/", "/v2/secret//manifests//v1", "/v2/%73ecret/manifests/v1",
                 "/v2/%2573ecret/manifests/v1", "https://x/v2/secret/manifests/v1",
                 "/v2/team/a/manifests/v1/../../../secret/manifests/v1", "/acr/v1/team/../secret",
                 "/acr/v1/team%2f..%2fsecret", "/acr/v1/secret/_tags/v1", "/acr/v1//secret",
                 "/v2/team/a/blobs/../../secret/manifests/v1", "/v2/\u017fecret/manifests/v1"):
        for open_wire in (plane.connect, lambda: at_edge(instance, target.host)):
            with open_wire() as wire:
                # Twice: what the first request leaves behind in a cache opens nothing.
                text = head(target, "GET", path, auth=False)[:-2].replace(
                    b"HTTP/1.1\r\n", b"HTTP/1.1\r\nAuthorization: Basic " + base64.b64encode(
                        ":".join(user).encode()) + b"\r\n", 1) + b"\r\n"
                for _ in range(2):
                    got = ask(wire, text)
                    if got is None:
                        break
                    assert got.status in (400, 401, 403, 404), (path, got)
                    assert secret not in got.body and is_clean(got.body), (path, got.body)
    assert call(target, "GET", "/v2/%74eam%61".replace("%61", "/a") + "/manifests/v1",
                user=user).status_code == 200


def test_17_management_paths(instance, target):
    """A caller with rights on one group reaches no other by any spelling of the path."""
    mine, theirs = instance.make_group(), target.group
    who = Principal(instance, (CONTRIBUTOR, instance.group_id(mine)))
    token, sub = who.token(), f"/subscriptions/{instance.subscription}/resourceGroups"
    tail = f"{PROVIDER}/registries/{target.name}"
    assert instance.arm("GET", f"{sub}/{mine}/{PROVIDER}/registries", token=token).status_code == 200
    host = instance.management.removeprefix("https://")
    for middle in (theirs, theirs.upper(), f"{mine}/../{theirs}", f"{mine}/%2e%2e/{theirs}",
                   f"{mine}%2f..%2f{theirs}", f"{mine}/%252e%252e/{theirs}", f"{mine}\\..\\{theirs}",
                   f"{theirs}%00{mine}", f"{theirs};{mine}", f"{theirs}/", f"/{theirs}",
                   f"{mine}/{PROVIDER}/../../{theirs}", f"%{ord(theirs[0]):x}{theirs[1:]}",
                   f"{theirs}%20", f"{theirs}."):
        for method in ("GET", "DELETE", "POST"):
            path = f"{sub}/{middle}/{tail}" + ("/listCredentials" if method == "POST" else "")
            with at_edge(instance, host) as wire:
                got = ask(wire, f"{method} {path}?api-version=2025-11-01 HTTP/1.1\r\nHost: {host}\r\n"
                          f"Authorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n".encode())
            assert got is not None and got.status in (400, 403, 404), (path, got)
            assert b"password" not in got.body and is_clean(got.body), got.body
    assert instance.arm("GET", target.id).status_code == 200
    instance.delete(instance.group_id(mine), api=GROUPS_API)


# --- 6: revocation --------------------------------------------------------------------------------

def denied_soon(check, timeout=3.0):
    """True replies stop within the stated bound of one second (with room for a slow machine)."""
    start = time.monotonic()
    while check() == 200:
        assert time.monotonic() - start < timeout, "still accepted"
        time.sleep(0.02)
    for _ in range(5):
        assert check() in (401, 403)


def test_06_regenerated_admin_password(instance, area):
    registry = instance.make_registry(area)
    registry.push_image("team/a", "v1")
    access = registry.access_token("repository:team/a:pull")
    second = instance.arm("POST", f"{registry.id}/listCredentials").json()["passwords"][1]["value"]
    other_access = bearer_of(registry, (registry.name, second), "repository:team/a:pull")
    old = registry.auth
    reply = instance.arm("POST", f"{registry.id}/regenerateCredential", {"name": "password"})
    assert reply.status_code == 200, reply.text
    path = "/v2/team/a/manifests/v1"
    denied_soon(lambda: call(registry, "GET", path, user=old).status_code)
    denied_soon(lambda: call(registry, "GET", path, bearer=access).status_code)
    assert call(registry, "GET", "/oauth2/token", user=(NOBODY, access), params={
        "service": registry.host}).status_code == 401
    # The other password and what it opened go on.
    assert call(registry, "GET", path, bearer=other_access).status_code == 200
    instance.finish(instance.arm("PATCH", registry.id, {"properties": {"adminUserEnabled": False}}))
    denied_soon(lambda: call(registry, "GET", path, bearer=other_access).status_code)
    assert call(registry, "GET", path, user=(registry.name, second)).status_code == 401
    gone = instance.arm("POST", f"{registry.id}/listCredentials")
    arm_error(gone, 400, "UnAuthorizedForCredentialOperations")


def test_06_tokens_and_maps(target, plane):
    """Disabled, with another password, with fewer rights, past its time: old tokens do less."""
    path = "/v2/team/a/manifests/v1"

    def status(token):
        return lambda: call(target, "GET", path, bearer=token).status_code

    name, password = add_token(plane, {"team/*": ["pull", "push"]})
    token = bearer_of(target, (name, password), "repository:team/a:pull,push")
    assert status(token)() == 200
    plane.sql(f"""update credentials set permissions = '[{{"type":"repository","name":"team/b",
        "actions":["pull"]}}]' where registry_id = $id and username = '{name}'""")
    move_on(plane)
    denied_soon(status(token))
    plane.sql(f"""update credentials set permissions = '[{{"type":"repository","name":"team/*",
        "actions":["pull"]}}]' where registry_id = $id and username = '{name}'""")
    move_on(plane)
    assert status(token)() == 200  # and comes back with the right
    assert call(target, "POST", "/v2/team/a/blobs/uploads/", bearer=token).status_code == 401
    add_token(plane, {"team/*": ["pull"]}, name, "another" + password)
    denied_soon(status(token))
    token = bearer_of(target, (name, "another" + password), "repository:team/a:pull")
    plane.sql(f"update credentials set expires_at = now() + interval '2 seconds' "
              f"where registry_id = $id and username = '{name}'")
    move_on(plane)
    denied_soon(status(token), timeout=6)
    plane.sql(f"delete from credentials where registry_id = $id and username = '{name}'")
    move_on(plane)
    assert status(token)() == 401


def test_06_removed_role(instance, target, plane):
    who = Principal(instance, (ACR_PULL, target.id))

    def wake():
        instance.sql("control", f"update resources set not_before = now(), observed_generation = "
                     f"generation - 1 where key = lower('{target.id}'); notify resources")
        return plane.sql(f"select count(*) from grants where registry_id = $id "
                         f"and principal_id = '{who.id}'") == [["1"]]
    eventually(wake, every=0.5)
    time.sleep(SETTLE_S)
    renewed = exchange(target, who.token()).json()["refresh_token"]
    access = refresh(target, renewed).json()["access_token"]
    path = "/v2/team/a/manifests/v1"
    assert call(target, "GET", path, bearer=access).status_code == 200
    instance.sql("control", f"delete from role_assignments where principal_id = '{who.id}'")
    eventually(lambda: not wake(), every=0.5)
    denied_soon(lambda: call(target, "GET", path, bearer=access).status_code)
    assert refresh(target, renewed).status_code == 401
    assert exchange(target, who.token()).status_code == 401


def test_06_disabled_principal(instance, area):
    who = Principal(instance, (READER, instance.group_id(area)))
    token = who.token()
    path = instance.group_id(area)
    assert instance.arm("GET", path, api=GROUPS_API, token=token).status_code == 200
    instance.sql("control", f"delete from role_assignments where principal_id = '{who.id}'")
    denied_soon(lambda: instance.arm("GET", path, api=GROUPS_API, token=token).status_code)
    who.assign(READER, path)
    eventually(lambda: instance.arm("GET", path, api=GROUPS_API, token=token).status_code == 200)
    instance.sql("control", f"update principals set is_enabled = false where object_id = '{who.id}'")
    denied_soon(lambda: instance.arm("GET", path, api=GROUPS_API, token=token).status_code)
    reply = instance.session.post(f"{instance.login}/{instance.tenant}/oauth2/v2.0/token", data={
        "grant_type": "client_credentials", "client_id": who.app, "client_secret": who.secret,
        "scope": f"{instance.management}/.default"})
    assert reply.status_code in (400, 401), reply.text


# --- 8-10: comparing, telling apart, first start --------------------------------------------------

def test_08_secrets_are_compared_in_constant_time(target, plane, tell):
    """Secrets are compared by OpenSSL's CRYPTO_memcmp alone. The times of right and wrong passwords
    are shown for the curious; a clock is no judge on a shared machine."""
    secretive = re.compile(r"\b(memcmp|strcmp|strncmp|bcmp|strcasecmp|text_eq|text_eq_nocase)\s*\("
                           r"(?:[^()]|\([^()]*\))*\b\w*(secret|passw(?!ord_name)|hmac|mac_|tag_bytes)"
                           r"\w*\b")
    found = []
    for folder in ("common", "controlplane", "dataplane"):
        for where, _, names in os.walk(os.path.join(ROOT, folder)):
            for name in (n for n in names if n.endswith(".c")):
                with open(os.path.join(where, name)) as text:
                    for n, line in enumerate(text, 1):
                        if secretive.search(re.sub(r'"(?:\\.|[^"\\])*"', '""', line)):
                            found.append(f"{where}/{name}:{n}: {line.strip()}")
    names_only = ("secret_names[", "secret_types[", "form_secret")  # names of secrets are public
    assert not [f for f in found if not any(n in f for n in names_only)], found
    with open(os.path.join(ROOT, "common/crypto/digest.c")) as text:
        body = re.search(r"bool secret_equal\(.*?\n\}", text.read(), re.S)[0]
    assert "CRYPTO_memcmp" in body
    for path, function in (("common/crypto/secret.c", "sha_verify"),
                           ("common/http/proxy.c", "http_proxy_has_secret")):
        with open(os.path.join(ROOT, path)) as text:
            body = re.search(rf"bool {function}\(.*?\n\}}", text.read(), re.S)[0]
        assert "secret_equal(" in body and "memcmp(" not in body, path
    name, password = add_token(plane, {"team/a": ["pull"]})
    guesses = {"first byte wrong": ("x" if password[0] != "x" else "y") + password[1:],
               "last byte wrong": password[:-1] + ("x" if password[-1] != "x" else "y")}
    took = {what: [] for what in guesses}
    for n in range(30):
        # Ten wrong ones a minute are looked at from each address.
        with plane.connect(peer=f"203.0.113.{n + 20}") as wire:
            for _ in range(5):
                for what, guess in guesses.items():
                    pair = base64.b64encode(f"{name}:{guess}".encode()).decode()
                    start = time.perf_counter()
                    assert ask(wire, head(target, "GET", "/v2/", f"Authorization: Basic {pair}",
                                          auth=False)).status == 401
                    took[what].append((time.perf_counter() - start) * 1e6)
    a, b = took.values()
    spread = (statistics.variance(a) / len(a) + statistics.variance(b) / len(b)) ** 0.5
    tell(f"Welch's t, {' against '.join(guesses)}: "
         f"{(statistics.mean(a) - statistics.mean(b)) / spread:.2f}")


def facts(reply, *private):
    """What a stranger can learn from a reply, without what he said himself."""
    text = reply.text
    for n, value in enumerate(private):
        text = text.replace(value, f"<{n}>")
    headers = {k.lower() for k in reply.headers}
    return reply.status_code, text, headers


def test_09_unknown_looks_like_forbidden(target, plane):
    user = add_token(plane, {"team/*": ["pull"]})
    token = bearer_of(target, user, "repository:team/a:pull")
    absent = "secreu"  # as long as what is there
    for method, tail in (("GET", "manifests/v1"), ("GET", "tags/list"), ("HEAD", "manifests/v1"),
                         ("DELETE", "manifests/v1"), ("GET", f"blobs/{sha256(b'layer')}"),
                         ("POST", "blobs/uploads/"), ("GET", f"blobs/uploads/{uuid.uuid4()}"),
                         ("PUT", "manifests/v1")):
        for who in ({"user": user}, {"bearer": token}, {}):
            assert facts(call(target, method, f"/v2/secret/{tail}", **who), "secret") == \
                facts(call(target, method, f"/v2/{absent}/{tail}", **who), absent)
    for path in ("/acr/v1/%s", "/acr/v1/%s/_tags", "/acr/v1/%s/_manifests"):
        for who in ({"user": user}, {"bearer": token}, {}):
            assert facts(call(target, "GET", path % "secret", **who), "secret") == \
                facts(call(target, "GET", path % absent, **who), absent)


def test_09_unknown_user_looks_like_wrong_password(target, plane):
    name, password = add_token(plane, {"team/a": ["pull"]})
    off = add_token(plane, {"team/a": ["pull"]})
    plane.sql(f"update credentials set expires_at = now() - interval '1 hour' "
              f"where registry_id = $id and username = '{off[0]}'")
    move_on(plane)
    assert call(target, "GET", "/v2/", user=(name, password)).status_code == 200
    users = [(name, password + "x"), ("nobody", "x"), off, (target.name, "x"), (NOBODY, "x"), ("", "x"),
             ("'; drop table credentials; --", "x"), (name.upper(), password), (name + " ", password)]
    for method, path in (("GET", "/v2/"), ("GET", "/v2/team/a/manifests/v1"), ("GET", "/oauth2/token")):
        seen = [facts(call(target, method, path, user=u)) for u in users]
        assert all(s == seen[0] for s in seen) and seen[0][0] == 401, seen
    for u in users:
        reply = call(target, "POST", "/oauth2/token", data={
            "grant_type": "password", "service": target.host, "username": u[0], "password": u[1]})
        assert reply.status_code == 401 and reply.text == call(
            target, "POST", "/oauth2/token", data={"grant_type": "password", "service": target.host,
                                                   "username": "x", "password": "y"}).text


def test_09_management_hides_what_is_forbidden(instance, target):
    """Without rights there is no telling what exists."""
    mine = instance.make_group()
    who = Principal(instance, (READER, instance.group_id(mine)))
    token, nobody = who.token(), Principal(instance).token()
    absent = "r" + uuid.uuid4().hex[:len(target.name) - 1]
    pairs = [(target.id, instance.registry_id(target.group, absent)),
             (target.id, instance.registry_id("g" + uuid.uuid4().hex[:8], target.name))]
    for there, gone in pairs:
        for method, tail, body in (("GET", "", None), ("DELETE", "", None), ("PATCH", "", {}),
                                   ("PUT", "", {"location": "eastus", "sku": {"name": "Basic"}}),
                                   ("POST", "/listCredentials", {}), ("GET", "/listUsages", None)):
            for t in (token, nobody):
                replies = [instance.arm(method, x + tail, body, token=t) for x in (there, gone)]
                for r, path in zip(replies, (there, gone)):
                    arm_error(r, 403, "AuthorizationFailed")
                    r.hidden = re.sub(re.escape(path), "<id>", r.text, flags=re.I)
                assert replies[0].hidden == replies[1].hidden
    groups = instance.arm("GET", f"/subscriptions/{instance.subscription}/resourcegroups",
                          api=GROUPS_API, token=token).json()["value"]
    assert [g["name"] for g in groups] == [mine]
    listed = instance.arm("GET", f"/subscriptions/{instance.subscription}/{PROVIDER}/registries",
                          token=token)
    assert listed.status_code == 403 or listed.json()["value"] == []
    assert instance.arm("GET", "/subscriptions", api="2022-12-01", token=nobody).json()["value"] == []
    instance.delete(instance.group_id(mine), api=GROUPS_API)


def test_10_nothing_is_open_from_the_start(instance, area):
    """No default password, no shared key, no admin user nobody asked for."""
    made = instance.arm("PUT", instance.registry_id(area, f"fresh{uuid.uuid4().hex[:8]}"),
                        {"location": "eastus", "sku": {"name": "Basic"}})
    assert made.status_code == 201 and made.json()["properties"]["adminUserEnabled"] is False
    instance.finish(made)
    body = instance.arm("GET", made.json()["id"]).json()
    assert body["properties"]["adminUserEnabled"] is False
    assert not body["properties"].get("anonymousPullEnabled")
    fresh = instance.make_registry(area, admin=False)
    assert Plane(instance, fresh).sql("select count(*) from credentials where registry_id = $id") == \
        [["0"]]
    arm_error(instance.arm("POST", f"{fresh.id}/listCredentials"), 400,
              "UnAuthorizedForCredentialOperations")
    for user in itertools.product(("admin", fresh.name, "root", "", NOBODY, "portolan", "Harbor12345"),
                                  ("admin", "password", "Harbor12345", "", "portolan", fresh.name)):
        # Fewer than ten wrong ones for each name: more would not be looked at.
        path = "/v2/" if user[1] in ("admin", "password", "Harbor12345") else "/oauth2/token"
        reply = call(fresh, "GET", path, user=user, params={"service": fresh.host})
        assert reply.status_code == 401, user
    keys = instance.sql("eastus", "select wrapped_signing_key, wrapped_data_key from registries")
    plain = {s.pem for s in (Signer.of_registry(Plane(instance, fresh)),
                             Signer.of_registry(Plane(instance, instance.make_registry(area))))}
    assert len(plain) == 2 and len({k for pair in keys for k in pair}) == 2 * len(keys)
    assert len(instance.env["AZURE_CLIENT_SECRET"]) >= 32
    with open(os.path.join(instance.state, "keys", "service.key")) as text:
        assert len(set(text.read().strip())) > 8  # and not zeros


# --- 11-13, 15, 16: routes, parents, members, secrets, filters ------------------------------------

def routes_of(path):
    """Method and pattern of each row of a plane's table of routes."""
    with open(os.path.join(ROOT, path)) as text:
        source = text.read()
    for name, value in re.findall(r'^#define (\w+) ((?:\w+ )*"[^"]*")$', source, re.M):
        source = re.sub(rf"\b{name}\b(?=[ ,)])", value, source)
    found = re.findall(r'^\s*(?:PLAIN|BODY|STREAM|ENDPOINT)\("(\w+)",\s*((?:"[^"]*"\s*)+|\w+),', source,
                       re.M)
    return [(method, "".join(re.findall(r'"([^"]*)"', pattern))) for method, pattern in found]


VALUES = {"name*": "team/a", "digest": sha256(b"layer"), "reference": "v1", "tag": "v1",
          "session": str(uuid.uuid4())}


def test_11_every_data_route_wants_a_token(instance, target, plane):
    routes = [(m, p) for m, p in routes_of("dataplane/routes.c") if not p.startswith("/oauth2/")]
    assert len(routes) >= 28 and ("GET", "/v2/_catalog") in routes
    content = target.call("GET", "/v2/team/a/manifests/v1").content
    for method, pattern in routes:
        path = re.sub(r"\{([^}]+)\}", lambda m: VALUES[m[1]], pattern)
        reply = call(target, method, path)
        if path.startswith("/data/"):  # these want a signed link, and take no other sign-in
            for how in ({}, {"user": target.auth}, {"headers": {"Authorization": "Bearer x"}}):
                assert call(target, method, path, **how).status_code in (401, 403, 404), path
            continue
        assert reply.status_code == 401, (method, path)
        challenge = reply.headers["WWW-Authenticate"]
        assert challenge.startswith(f'Bearer realm="https://{target.host}/oauth2/token",'
                                    f'service="{target.host}"')
        if method != "HEAD":
            oci_error(reply, 401, "UNAUTHORIZED")
        for wrong in ("Bearer", "Bearer ", "Basic", "Basic !", "Basic Og==", "Digest x", "Bearer null",
                      "bearer undefined", "Basic " + base64.b64encode(b"no-colon").decode(),
                      "Negotiate AAAA", "Basic " + "A" * 12_000):
            assert call(target, method, path, headers={"Authorization": wrong}
                        ).status_code == 401, (method, path, wrong)
    for path in ("//v2/_catalog", "/v2/./_catalog", "/v2/%5fcatalog", "/v2/_catalog;", "/v2/_catalog/",
                 "/v2//_catalog", "/%76%32/_catalog", "/V2/_catalog", "/v2/_catalog%20", "/v2/_catalog.",
                 "/v2/_catalog%3b", "/v2/_catalog?", "/v2/_catalog#", "/v2/_Catalog", "/v2/../v2/_catalog",
                 "/v2/_catalog%2f", "/acr/v1//_catalog", "/acr/v1/%5Fcatalog", "//team/a/manifests/v1",
                 "/v2/team/a/manifests/v1;", "/v2/team/a/manifests/v1/", "//v2//team//a//manifests//v1",
                 "/v2/team/a/manifests/%76%31", "/acr/v1/team/a;", "/v2/team/a/tags/list.json"):
        for open_wire in (plane.connect, lambda: at_edge(instance, target.host)):
            for method in ("GET", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "FOO"):
                with open_wire() as wire:
                    got = ask(wire, head(target, method, path, "Connection: close", auth=False), method)
                assert got is None or got.status in (400, 401, 404, 405, 501), (method, path, got)
                assert got is None or b"repositories" not in got.body
                assert got is None or content not in got.body
    # A method that is not in the table is none, whatever a header says.
    for name in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        got = target.call("GET", "/v2/team/a/manifests/v1", headers={name: "DELETE"}, auth=target.auth)
        assert got.status_code == 200 and got.content == content


def test_11_every_management_route_wants_a_token(instance, target):
    routes = routes_of("controlplane/api/routes.c")
    assert len(routes) >= 15 and ("GET", "/subscriptions/{subscription}") in routes
    values = {"subscription": instance.subscription, "group": target.group, "operation": NOBODY,
              "provider": "Microsoft.ContainerRegistry", "location": "eastus",
              "resource*": target.id.split("/", 3)[3]}
    paths = [(m, re.sub(r"\{([^}]+)\}", lambda m: values.get(m[1], "x"), p)) for m, p in routes
             if p != "/metadata/endpoints"]
    paths += [(m, target.id) for m in ("GET", "HEAD", "PUT", "PATCH", "DELETE")]
    paths += [("POST", target.id + "/listCredentials"), ("POST", target.id + "/regenerateCredential")]
    for method, path in paths:
        for wrong in (None, "", "Bearer", "Bearer ", "Bearer x", "Basic " + base64.b64encode(
                ":".join(target.auth).encode()).decode(), "Bearer " + target.access_token("x")):
            reply = instance.session.request(
                method, instance.management + path, params={"api-version": "2025-11-01"},
                headers={} if wrong is None else {"Authorization": wrong}, json={})
            assert reply.status_code == 401, (method, path, wrong, reply.status_code)
            assert "Bearer" in reply.headers["WWW-Authenticate"] and is_clean(reply.text)
            if method != "HEAD":
                arm_error(reply, 401, "AuthenticationFailed", "InvalidAuthenticationToken")


def test_12_operations_of_others(instance, target, other):
    """An operation is found under what it belongs to, and nowhere else."""
    reply = instance.arm("PATCH", target.id, {"tags": {"a": uuid.uuid4().hex}})
    instance.finish(reply)
    rows = instance.sql("control", f"select id, resource_id from operations "
                        f"where resource_key = lower('{target.id}') limit 1")
    operation = rows[0][0]
    own = f"{target.id}/operationStatuses/registries-{operation}"
    assert instance.arm("GET", own).status_code == 200
    group, sub = instance.make_group(), str(uuid.uuid4())
    wrong = [f"{other.id}/operationStatuses/registries-{operation}",
             f"{instance.registry_id(group, target.name)}/operationStatuses/registries-{operation}",
             f"{instance.registry_id(target.group, 'absent99')}/operationStatuses/registries-{operation}",
             f"{target.id}/operationStatuses/registries-{uuid.uuid4()}",
             f"{target.id}/operationStatuses/replications-{operation}",
             f"{target.id}/operationStatuses/{operation}x",
             own.replace(instance.subscription, sub),
             f"/subscriptions/{sub}/operationresults/{operation}",
             f"/subscriptions/{sub}/{PROVIDER}/locations/eastus/operationResults/{operation}"]
    for path in wrong:
        found = instance.arm("GET", path)
        assert found.status_code in (400, 404), (path, found.status_code, found.text)
        assert target.name not in found.text.replace(path, "") and is_clean(found.text)
    who = Principal(instance, (READER, instance.group_id(group)))
    arm_error(instance.arm("GET", own, token=who.token()), 403, "AuthorizationFailed")
    # A registry under a group that is not its own is not there.
    for method in ("GET", "DELETE", "PATCH"):
        moved = instance.registry_id(group, target.name)
        reply = instance.arm(method, moved, {} if method == "PATCH" else None)
        assert reply.status_code in (404, 204), reply.text
    assert instance.arm("POST", f"{moved}/listCredentials").status_code == 404
    assert instance.arm("GET", target.id).status_code == 200
    instance.delete(instance.group_id(group), api=GROUPS_API)


def test_13_read_only_members(instance, area):
    registry = instance.make_registry(area)
    before = instance.arm("GET", registry.id).json()
    evil = {"id": "/subscriptions/evil", "name": "evil", "type": "Evil/evil", "etag": "evil",
            "systemData": {"createdBy": "evil", "createdAt": "2000-01-01T00:00:00Z",
                           "lastModifiedBy": "evil"},
            "properties": {"provisioningState": "Failed", "loginServer": "evil.example",
                           "creationDate": "2000-01-01T00:00:00Z",
                           "status": {"displayStatus": "evil", "message": "evil"},
                           "privateEndpointConnections": [{"id": "evil"}],
                           "dataEndpointHostNames": ["evil.example"],
                           "encryption": {"status": "enabled", "keyVaultProperties": {
                               "versionedKeyIdentifier": "https://evil.example",
                               "lastKeyRotationTimestamp": "2000-01-01T00:00:00Z"}}}}
    for method, extra in (("PATCH", {}), ("PUT", {"location": "eastus", "sku": {
            "name": "Basic", "tier": "Premium"}, "tags": {}})):
        for members in ([m] for m in evil):
            body = {**extra, **{m: evil[m] for m in members}}
            if members == ["properties"]:
                for name, value in evil["properties"].items():
                    reply = instance.arm(method, registry.id, {**extra, "properties": {
                        "adminUserEnabled": True, name: value}})
                    assert reply.status_code in (200, 201, 202, 400), (name, reply.text)
                    instance.finish(reply)
                continue
            reply = instance.arm(method, registry.id, body)
            assert reply.status_code in (200, 201, 202, 400), (members, reply.text)
            instance.finish(reply)
    after = instance.arm("GET", registry.id).json()
    assert "evil" not in json.dumps(after)
    for name in ("id", "name", "type", "location", "sku"):
        assert after[name] == before[name], name
    for name in ("loginServer", "creationDate", "provisioningState", "encryption"):
        assert after["properties"][name] == before["properties"][name], name
    assert after["systemData"]["createdBy"] == before["systemData"]["createdBy"]
    assert after["systemData"]["createdAt"] == before["systemData"]["createdAt"]
    host = registry.call("GET", "/v2/")
    assert host.status_code == 200


def test_13_read_only_members_of_content(target):
    repo = f"ro{uuid.uuid4().hex[:8]}"
    digest = target.push_image(repo, "v1")
    evil = {"digest": sha256(b"evil"), "createdTime": "2000-01-01T00:00:00Z", "imageSize": 1,
            "registry": "evil", "manifestCount": 99, "name": "evil", "signed": True, "tagCount": 99}
    for path in (repo, f"{repo}/_tags/v1", f"{repo}/_manifests/{digest}"):
        before = target.call("GET", f"/acr/v1/{path}").json()
        reply = target.call("PATCH", f"/acr/v1/{path}", json=evil)
        assert reply.status_code in (200, 400), reply.text
        assert target.call("GET", f"/acr/v1/{path}").json() == before


def walk(instance, token, start):
    """The text of everything a reader can reach from the start by GET."""
    seen, todo, texts = set(), list(start), []
    while todo:
        url = todo.pop()
        if url in seen or len(seen) > 300:
            continue
        seen.add(url)
        reply = instance.arm("GET", url, token=token, api=GROUPS_API if "/providers/" not in url
                             else "2025-11-01")
        texts.append(reply.text + json.dumps(dict(reply.headers)))
        if reply.status_code == 200 and reply.text:
            for found in re.findall(r'"id":\s*"(/subscriptions/[^"]+)"', reply.text):
                todo.append(found)
    return "\n".join(texts), seen


def test_15_readers_read_no_secrets(instance, target):
    who = Principal(instance, (READER, f"/subscriptions/{instance.subscription}"))
    token = who.token()
    listed = instance.arm("POST", f"{target.id}/listCredentials").json()["passwords"]
    secrets = [p["value"] for p in listed] + [instance.env["AZURE_CLIENT_SECRET"], who.secret]
    sub = f"/subscriptions/{instance.subscription}"
    text, seen = walk(instance, token, [
        sub, f"{sub}/resourcegroups", f"{sub}/resources", f"{sub}/{PROVIDER}/registries",
        instance.group_id(target.group), target.id, f"{target.id}/listUsages",
        f"{instance.group_id(target.group)}/resources", f"{target.id}/tokens",
        f"{target.id}/scopeMaps", f"{target.id}/webhooks", f"{target.id}/replications",
        f"{target.id}/tasks", f"{target.id}/credentialSets"])
    assert target.id in seen and target.name in text
    for secret in secrets:
        assert secret not in text
    assert not re.search(r"\$(sha256|argon2id)\$|BEGIN (EC |)PRIVATE KEY|wrapped", text)
    for action in ("listCredentials", "regenerateCredential", "generateCredentials", "importImage",
                   "listBuildSourceUploadUrl", "scheduleRun"):
        reply = instance.arm("POST", f"{target.id}/{action}", {"name": "password"}, token=token)
        assert reply.status_code in (400, 403, 404), (action, reply.text)
        assert all(s not in reply.text for s in secrets) and "password" not in reply.text.lower()
    arm_error(instance.arm("POST", f"{target.id}/listCredentials", token=token), 403,
              "AuthorizationFailed")
    arm_error(instance.arm("POST", f"{target.id}/regenerateCredential", {"name": "password"},
                           token=token), 403, "AuthorizationFailed")
    for method, body in (("PUT", {"location": "eastus", "sku": {"name": "Basic"}}), ("PATCH", {}),
                         ("DELETE", None)):
        arm_error(instance.arm(method, target.id, body, token=token), 403, "AuthorizationFailed")
    assert [p["value"] for p in instance.arm("POST", f"{target.id}/listCredentials").json()[
        "passwords"]] == secrets[:2]


SQL_BYTES = ["'", "''", "' or '1'='1", "'; drop table tags; --", "\\", "\\'", "%", "_", "$1", "x\u0000y",
             "1; select pg_sleep(5)", "' union select hash from credentials --", '"', "\u02bc", "\ufeff",
             "a'||(select version())||'", "{}", "${x}", "%27", "\r\n", "`", "*", "x" * 3000]


def test_16_sql_in_lists(target, plane):
    repo = f"sql{uuid.uuid4().hex[:8]}"
    digest = target.push_image(repo, "v1")
    paths = ("/v2/_catalog", "/acr/v1/_catalog", f"/v2/{repo}/tags/list", f"/acr/v1/{repo}/_tags",
             f"/acr/v1/{repo}/_manifests", f"/v2/{repo}/referrers/{digest}")
    tables = plane.sql("select count(*) from information_schema.tables where table_schema = 'public'")
    before = plane.rows()
    for path in paths:
        plain = target.call("GET", path)
        assert target.call("GET", path, params={"$filter": "x' or 1=1", "filter": "'", "tag": "'"}
                           ).json() == plain.json()
        for text in SQL_BYTES:
            for name in ("last", "orderby", "n", "digest", "artifactType"):
                start = time.monotonic()
                reply = target.call("GET", path, params={name: text})
                assert reply.status_code in (200, 400), (path, name, text, reply.status_code)
                assert is_clean(reply.text.replace(text, "")), reply.text
                assert time.monotonic() - start < 4, "a database slept"
                if name == "n" and "\0" not in text:  # a text with NUL reads as absent
                    assert reply.status_code == 400, (path, text)
        for order in ("timeasc", "timedesc", "TIMEDESC", "none", "digest desc", "1,2"):
            assert target.call("GET", path, params={"orderby": order}).status_code == 200
    for text in SQL_BYTES:
        reply = target.call("PATCH", f"/acr/v1/{repo}/_manifests/{digest}",
                            json={"quarantineDetails": text})
        assert reply.status_code in (200, 400) and is_clean(reply.text.replace(text, ""))
    assert plane.rows() == before and plane.sql(
        "select count(*) from information_schema.tables where table_schema = 'public'") == tables


def test_16_filters_on_management(instance, target):
    sub = f"/subscriptions/{instance.subscription}"
    for text in [*(t for t in SQL_BYTES if "\0" not in t), "body eq 'x'", "state eq 'Succeeded'", "uid eq 'x'", "wrapped eq 'x'",
                 "lease_owner eq 'x'", "global_name eq 'x'", "name eq 'x' or 1 eq 1", "tagName eq",
                 "resourceType eq 'x'; drop table resources", "substringof('x', body)", "((((",
                 "resourceType eq 'a' or " * 100 + "1 eq 1", "name eq '" + "''" * 600]:
        for path in (f"{sub}/resources", f"{instance.group_id(target.group)}/resources"):
            reply = instance.arm("GET", path, api="2021-04-01", **{"$filter": text})
            assert reply.status_code == 400, (path, text[:80], reply.status_code, reply.text[:300])
            assert reply.json()["error"]["code"] and is_clean(reply.text.replace(text, "")), reply.text
    for name, values in (("$top", ["-1", "x", "1e9", "9" * 40, "' or 1=1"]),
                         ("$skipToken", [*SQL_BYTES[:8], "AAAA", base64url({"key": "' or 1=1"})]),
                         ("$skiptoken", ["../..", "null"])):
        for value in values:
            reply = instance.arm("GET", f"{sub}/resources", api="2021-04-01", **{name: value})
            assert reply.status_code in (200, 400), (name, value, reply.status_code)
            assert is_clean(reply.text.replace(value, "")), reply.text
    wrong = instance.arm("GET", f"{sub}/resources", api="2021-04-01",
                         **{"$filter": "resourceType eq 'Nobody.Here/it''s'"})
    assert wrong.status_code == 200 and wrong.json()["value"] == []

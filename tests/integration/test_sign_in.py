"""Ways of signing in beside an application's secret: certificates, federated tokens, and people by
password, sign-in page with PKCE, device code and refresh token."""

import base64
import datetime
import hashlib
import html
import http.server
import json
import re
import ssl
import threading
import time
import uuid
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from support.certificates import assertion, certificate, new_key, register
from support.directory import Directory, assign, trust_issuers
from support.instance import GROUPS_API

TOOL = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
PASSWORD = "Correct-horse-9"
IDENTITY_API = "2023-01-31"


@pytest.fixture(scope="module")
def directory(instance):
    return Directory(instance)


@pytest.fixture
def user(directory):
    return directory.user(PASSWORD)


def endpoint(instance, name="token"):
    return f"{instance.login}/{instance.tenant}/oauth2/v2.0/{name}"


def ask(instance, **form):
    form.setdefault("client_id", TOOL)
    return instance.session.post(endpoint(instance), data=form)


def scope(instance):
    return f"{instance.management}/.default offline_access openid profile"


def claims(token):
    return jwt.decode(token, options={"verify_signature": False})


# --- applications ---------------------------------------------------------------------------------

@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
def test_certificate(instance, directory, algorithm):
    app = directory.application()
    key = new_key("ec" if algorithm == "ES256" else "rsa")
    cert = certificate(key)

    def sign_in(with_key=key, alg=algorithm, named=cert, **over):
        return app.try_token(client_assertion_type=ASSERTION, client_assertion=assertion(
            instance, app, with_key, alg, named, **over))
    assert sign_in().status_code == 401
    register(directory, app, cert)
    done = sign_in()
    assert done.status_code == 200, done.text
    assert claims(done.json()["access_token"])["appid"] == app.app_id
    assert sign_in(named=None).status_code == 200
    assert sign_in(pad="=").status_code == 200  # as MSAL for Python writes it
    other = new_key("ec" if algorithm == "ES256" else "rsa")
    assert sign_in(with_key=other).status_code == 401
    assert sign_in(named=certificate(other)).status_code == 401
    assert sign_in(exp=int(time.time()) - 5).status_code == 401
    assert sign_in(exp=None).status_code == 401
    assert sign_in(exp="4102444800").status_code == 401
    assert sign_in(exp=time.time() + 300.5).status_code == 200  # as MSAL for Python writes it
    assert sign_in(nbf=int(time.time()) + 4000).status_code == 401
    assert sign_in(aud="https://elsewhere.example/token").status_code == 401
    assert sign_in(sub=str(uuid.uuid4())).status_code == 401


def test_certificates_that_are_none(instance, directory):
    app = directory.application()
    key = new_key("rsa")
    cert = certificate(key)
    register(directory, app, cert)
    public = key.public_key().public_bytes(serialization.Encoding.PEM,
                                           serialization.PublicFormat.SubjectPublicKeyInfo)

    def b64(data):
        return base64.urlsafe_b64encode(data).decode().rstrip("=")
    # The public key as a secret, no signature at all, a key that the token brings along.
    now = int(time.time())
    body = b64(json.dumps({"iss": app.app_id, "sub": app.app_id, "aud": endpoint(instance),
                           "exp": now + 300}).encode())
    import hmac
    for header in ({"alg": "HS256"}, {"alg": "none"}, {"alg": "RS256", "crit": ["x"], "x": 1}):
        head = b64(json.dumps(header).encode())
        mac = hmac.new(public, f"{head}.{body}".encode(), hashlib.sha256).digest()
        reply = app.try_token(client_assertion_type=ASSERTION,
                              client_assertion=f"{head}.{body}.{b64(mac)}")
        assert reply.status_code == 401, (header, reply.text)
    # Expired, and weak.
    register(directory, app, certificate(key, days=-1))
    assert app.try_token(client_assertion_type=ASSERTION, client_assertion=assertion(
        instance, app, key, "RS256")).status_code == 401
    weak = certificate(rsa.generate_private_key(public_exponent=65537, key_size=1024))
    reply = directory.call("PATCH", f"applications/{app.app['id']}", {"keyCredentials": [
        {"key": base64.b64encode(weak.public_bytes(serialization.Encoding.DER)).decode()}]})
    assert reply.status_code == 400


def test_secrets_are_shown_once_and_end(instance, directory):
    app = directory.application()
    shown = directory.call("GET", f"applications/{app.app['id']}").text
    assert app.password not in shown and app.secret["keyId"] in shown
    assert app.try_token(client_secret=app.password).status_code == 200
    reply = directory.call("POST", f"applications/{app.app['id']}/removePassword",
                           {"keyId": app.secret["keyId"]})
    assert reply.status_code == 204
    assert app.try_token(client_secret=app.password).status_code == 401


@pytest.fixture
def issuer(own_instance, tmp_path):
    """An OIDC issuer on the loopback, which the instance has been told to trust."""
    key = new_key("rsa")
    site_key = new_key("ec")
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.utcnow()
    cert = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(
        site_key.public_key()).serial_number(1).not_valid_before(
        now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1)).add_extension(
        x509.SubjectAlternativeName([x509.DNSName("localhost")]), False).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), True).sign(site_key, hashes.SHA256())
    pem = cert.public_bytes(serialization.Encoding.PEM)
    (tmp_path / "site.pem").write_bytes(pem + site_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption()))
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    jwk.update(kid="one", use="sig")
    documents = {}

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(documents[self.path]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "site.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"https://localhost:{server.server_port}"
    documents["/.well-known/openid-configuration"] = {"issuer": url, "jwks_uri": f"{url}/keys"}
    documents["/keys"] = {"keys": [jwk]}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield key, url, pem
    server.shutdown()


def exchange(instance, app_id, url, key, **over):
    """Signs in with a token of the issuer."""
    body = {"iss": url, "sub": "repo:a/b", "aud": "api://exchange", "exp": int(time.time()) + 300, **over}
    return ask(instance, grant_type="client_credentials", client_id=app_id, scope=scope(instance).split()[0],
               client_assertion_type=ASSERTION, client_assertion=jwt.encode(
                   body, key, algorithm="RS256", headers={"kid": "one"}))


def identity_of(instance, group, name="worker"):
    """A managed identity: its id and what is shown of it."""
    path = f"{instance.group_id(group)}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
    made = instance.arm("PUT", path, {"location": "eastus"}, api=IDENTITY_API)
    assert made.status_code == 201, made.text
    return path, made.json()["properties"]


def test_federated_token(own_instance, issuer):
    key, url, pem = issuer
    app = Directory(own_instance).application()
    app.directory.made(f"applications/{app.app['id']}/federatedIdentityCredentials", {
        "name": "ci", "issuer": url, "subject": "repo:a/b", "audiences": ["api://exchange"]})
    path, shown = identity_of(own_instance, own_instance.make_group())
    credential = f"{path}/federatedIdentityCredentials/pipeline"

    def put(**properties):
        reply = own_instance.arm("PUT", credential, {"properties": {
            "issuer": url, "subject": "repo:a/b", "audiences": ["api://exchange"], **properties}}, api=IDENTITY_API)
        assert reply.status_code in (200, 201), reply.text
    put()

    def sign_in(app_id=app.app_id, with_key=key, **over):
        return exchange(own_instance, app_id, url, with_key, **over)
    # The loopback is no public address.
    assert sign_in().status_code == 401
    trust_issuers(own_instance, pem)
    for app_id, object_id in ((app.app_id, app.object_id), (shown["clientId"], shown["principalId"])):
        done = sign_in(app_id)
        assert done.status_code == 200, done.text
        assert claims(done.json()["access_token"])["oid"] == object_id
        assert sign_in(app_id, sub="repo:a/c").status_code == 401
        assert sign_in(app_id, aud="api://other").status_code == 401
        assert sign_in(app_id, exp=int(time.time()) - 1).status_code == 401
        assert sign_in(app_id, with_key=new_key("rsa")).status_code == 401
    # What the identity trusts is what its credentials say now.
    mine = shown["clientId"]
    put(subject="repo:a/c")
    assert (sign_in(mine).status_code, sign_in(mine, sub="repo:a/c").status_code) == (401, 200)
    assert own_instance.arm("DELETE", credential, api=IDENTITY_API).status_code == 200
    assert sign_in(mine, sub="repo:a/c").status_code == 401
    assert sign_in().status_code == 200


# --- people ---------------------------------------------------------------------------------------

def test_password_and_refresh(instance, directory, user, group):
    name = user["userPrincipalName"]
    realm = instance.session.get(f"{instance.login}/common/UserRealm/{name}").json()
    assert realm["account_type"] == "Managed" and realm["domain_name"] == instance.domain
    wrong = ask(instance, grant_type="password", username=name, password="no",
                scope=scope(instance))
    assert wrong.status_code == 400 and wrong.json()["error"] == "invalid_grant"
    nobody = ask(instance, grant_type="password", username="nobody@here", password="no",
                 scope=scope(instance))
    assert nobody.status_code == 400 and nobody.json()["error_codes"] == \
        wrong.json()["error_codes"]
    done = ask(instance, grant_type="password", username=name.upper(), password=PASSWORD,
               scope=scope(instance))
    assert done.status_code == 200, done.text
    body = done.json()
    id_token = claims(body["id_token"])
    assert id_token["aud"] == TOOL and id_token["preferred_username"] == name
    assert json.loads(base64.urlsafe_b64decode(body["client_info"] + "==")) == {
        "uid": user["id"], "utid": instance.tenant}
    assert claims(body["access_token"])["oid"] == user["id"] and body["scope"]
    assert assign(instance, user["id"], READER, instance.group_id(group)).status_code == 201
    time.sleep(1.1)
    assert instance.arm("GET", instance.group_id(group), api=GROUPS_API,
                        token=body["access_token"]).status_code == 200
    graph = ask(instance, grant_type="refresh_token", refresh_token=body["refresh_token"],
                scope=f"{directory.url}/.default")
    assert graph.status_code == 200, graph.text
    me = directory.call("GET", "me", token=graph.json()["access_token"]).json()
    assert me["id"] == user["id"]
    # No right over the directory, no change.
    assert directory.call("POST", "groups", {"displayName": "x"},
                          token=graph.json()["access_token"]).status_code == 403
    other = ask(instance, grant_type="refresh_token", refresh_token=body["refresh_token"],
                client_id="1950a258-227b-4e31-a9cf-717495945fc2", scope=scope(instance))
    assert other.status_code == 400
    # A new password ends what the old one began.
    assert directory.call("PATCH", f"users/{user['id']}", {
        "passwordProfile": {"password": "Another-horse-7"}}).status_code == 204
    ended = ask(instance, grant_type="refresh_token", refresh_token=body["refresh_token"],
                scope=scope(instance))
    assert ended.status_code == 400 and ended.json()["error"] == "invalid_grant"


def test_passwords_cannot_be_tried_fast(instance, user):
    codes = [ask(instance, grant_type="password", username=user["userPrincipalName"],
                 password=f"wrong{i}", scope=scope(instance)).status_code for i in range(12)]
    assert codes[:10] == [400] * 10 and codes[10:] == [429] * 2


def test_device_code(instance, user):
    begun = instance.session.post(endpoint(instance, "devicecode"), data={
        "client_id": TOOL, "scope": scope(instance)}).json()
    poll = {"grant_type": DEVICE, "device_code": begun["device_code"]}
    assert ask(instance, **poll).json()["error"] == "authorization_pending"
    page = instance.session.get(begun["verification_uri"])
    assert page.status_code == 200 and "<form" in page.text and "script" not in page.text
    sign = {"username": user["userPrincipalName"], "password": PASSWORD, "do": "yes"}
    lost = instance.session.post(begun["verification_uri"], data={**sign, "code": "BBBB-BBBB"})
    assert lost.status_code == 401
    bad = instance.session.post(begun["verification_uri"],
                                data={**sign, "code": begun["user_code"], "password": "x"})
    assert bad.status_code == 401
    assert ask(instance, **poll).json()["error"] == "authorization_pending"
    done = instance.session.post(begun["verification_uri"], data={
        **sign, "code": begun["user_code"].lower().replace("-", " ")})
    assert done.status_code == 200, done.text
    assert claims(ask(instance, **poll).json()["access_token"])["oid"] == user["id"]
    assert ask(instance, **poll).status_code == 400
    again = instance.session.post(endpoint(instance, "devicecode"), data={
        "client_id": TOOL, "scope": scope(instance)}).json()
    instance.session.post(again["verification_uri"], data={
        **sign, "code": again["user_code"], "do": "no"})
    assert ask(instance, grant_type=DEVICE, device_code=again["device_code"]).json()["error"] == \
        "authorization_declined"


def test_authorization_code(instance, user):
    verifier = "v" * 64
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode()
    query = {"client_id": TOOL, "response_type": "code", "redirect_uri": "http://localhost:8400/",
             "scope": scope(instance), "state": "s t", "nonce": "n1",
             "code_challenge": challenge.rstrip("="), "code_challenge_method": "S256"}
    url = endpoint(instance, "authorize")
    page = instance.session.get(url, params=query)
    assert page.status_code == 200 and "<form" in page.text
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    evil = instance.session.get(url, params={**query, "redirect_uri": "https://evil.example/"},
                                allow_redirects=False)
    assert evil.status_code == 400 and "evil" not in evil.text
    plain = instance.session.get(url, params={**query, "code_challenge_method": "plain"},
                                 allow_redirects=False)
    assert plain.status_code == 302 and "error=invalid_request" in plain.headers["Location"]

    def sign_in():
        sent = instance.session.post(url, params=query, allow_redirects=False, data={
            "username": user["userPrincipalName"], "password": PASSWORD})
        assert sent.status_code == 302, sent.text
        back = urlsplit(sent.headers["Location"])
        assert back.netloc == "localhost:8400"
        answer = parse_qs(back.query)
        assert answer["state"] == ["s t"]
        return answer["code"][0]
    redeem = {"grant_type": "authorization_code", "redirect_uri": query["redirect_uri"]}
    code = sign_in()
    assert ask(instance, code=code, code_verifier="w" * 64, **redeem).status_code == 400
    assert ask(instance, code=code, code_verifier=verifier, **redeem).status_code == 400
    code = sign_in()
    done = ask(instance, code=code, code_verifier=verifier, **redeem)
    assert done.status_code == 200, done.text
    assert claims(done.json()["id_token"])["nonce"] == "n1" and done.json()["refresh_token"]
    assert ask(instance, code=code, code_verifier=verifier, **redeem).status_code == 400


def test_form_post(instance, user):
    verifier, state = "f" * 64, "a\"><script>'&"
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode()
    query = {"client_id": TOOL, "response_type": "code", "redirect_uri": "http://localhost:8400/",
             "scope": scope(instance), "state": state, "response_mode": "form_post",
             "code_challenge": challenge.rstrip("="), "code_challenge_method": "S256"}
    url = endpoint(instance, "authorize")
    page = instance.session.post(url, params=query, allow_redirects=False, data={
        "username": user["userPrincipalName"], "password": PASSWORD})
    assert page.status_code == 200 and "<script" not in page.text, page.text
    assert 'method="post" action="http://localhost:8400/"' in page.text
    fields = {m[1]: html.unescape(m[2]) for m in re.finditer(
        r'<input type="hidden" name="(\w+)" value="([^"]*)">', page.text)}
    assert fields["state"] == state and set(fields) == {"state", "code"}
    done = ask(instance, code=fields["code"], code_verifier=verifier, grant_type="authorization_code",
               redirect_uri=query["redirect_uri"])
    assert done.status_code == 200, done.text
    wrong = instance.session.get(url, params={**query, "response_type": "token"}, allow_redirects=False)
    assert wrong.status_code == 200 and 'name="error" value="unsupported_response_type"' in wrong.text


def test_a_disabled_person_is_out_at_once(instance, directory, user, group):
    token = ask(instance, grant_type="password", username=user["userPrincipalName"],
                password=PASSWORD, scope=scope(instance)).json()
    assert assign(instance, user["id"], READER, instance.group_id(group)).status_code == 201
    assert directory.call("PATCH", f"users/{user['id']}",
                          {"accountEnabled": False}).status_code == 204
    time.sleep(1.1)
    assert instance.arm("GET", instance.group_id(group), api=GROUPS_API,
                        token=token["access_token"]).status_code == 401
    assert ask(instance, grant_type="refresh_token", refresh_token=token["refresh_token"],
               scope=scope(instance)).status_code == 400

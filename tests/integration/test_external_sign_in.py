"""People who sign in at another OpenID provider, a real one: trusted by an administrator, linked to
persons of the directory by issuer and subject, and by nothing else. The same provider's tokens for
pipelines sign applications in."""

import base64
import datetime
import hashlib
import html
import json
import os
import re
import socket
import subprocess
import uuid
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support import sdk
from support.directory import Directory, trust_issuers
from support.instance import Instance

HERE = os.path.dirname(os.path.abspath(__file__))
TOOL = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
BACK = "http://localhost:8400/"
VERIFIER = "v" * 64


def certificate(folder):
    """A file with a certificate for localhost and its key, and the certificate alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.utcnow()
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(
        key.public_key()).serial_number(x509.random_serial_number()).not_valid_before(
        now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1)).add_extension(
        x509.SubjectAlternativeName([x509.DNSName("localhost")]), False).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), True).sign(key, hashes.SHA256())
    pem = made.public_bytes(serialization.Encoding.PEM)
    (folder / "site.pem").write_bytes(pem + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return str(folder / "site.pem"), pem


class Provider:
    """The provider's process, and an instance that may reach it."""

    def __init__(self, instance, folder):
        packages = sdk.node("oidc-provider@9.13.3")
        site, pem = certificate(folder)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.issuer, self.secret = f"https://localhost:{port}", uuid.uuid4().hex
        self.process = subprocess.Popen(
            [sdk.node_program(), os.path.join(HERE, "..", "clients", "sdk", "provider.mjs"), packages, site,
             str(port), "portolan", self.secret, f"{instance.login}/external"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self.process.stdout.readline() == "ready\n"
        trust_issuers(instance, pem)
        self.both = str(folder / "both.pem")
        with open(instance.ca, "rb") as f, open(self.both, "wb") as out:
            out.write(f.read() + pem)

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=20)


@pytest.fixture(scope="module")
def own():
    it = Instance()
    try:
        yield it.up()
    finally:
        it.down()


@pytest.fixture(scope="module")
def provider(own, tmp_path_factory):
    it = Provider(own, tmp_path_factory.mktemp("provider"))
    yield it
    it.close()


@pytest.fixture(scope="module")
def directory(own):
    return Directory(own)


def wish(provider, **changed):
    return {"@odata.type": "#microsoft.graph.oidcIdentityProvider", "displayName": "Company <SSO>",
            "issuer": provider.issuer, "clientId": "portolan",
            "clientAuthentication": {"clientSecret": provider.secret}, **changed}


@pytest.fixture(scope="module")
def trusted(directory, provider):
    return directory.made("identity/identityProviders", wish(provider))


def linked(directory, provider, subject, **more):
    name = f"p{uuid.uuid4().hex[:8]}"
    return directory.made("users", {
        "accountEnabled": True, "displayName": name, "mailNickname": name,
        "userPrincipalName": f"{name}@example.org", "identities": [{
            "signInType": "federated", "issuer": provider.issuer, "issuerAssignedId": subject}], **more})


class Browser:
    """Follows redirects and presses buttons, as far as the address where an application listens."""

    def __init__(self, provider):
        self.session = requests.Session()
        self.session.verify, self.session.trust_env = provider.both, False
        self.provider = provider

    def go(self, method, url, **options):
        reply = self.session.request(method, url, allow_redirects=False, timeout=60, **options)
        while reply.is_redirect:
            url = urljoin(reply.url, reply.headers["Location"])
            if url.startswith(BACK):
                return parse_qs(urlsplit(url).query)
            reply = self.session.get(url, allow_redirects=False, timeout=60)
        return reply

    def sign_in(self, page, subject):
        """Fills in the provider's forms until it sends the browser back."""
        while not isinstance(page, dict) and page.url.startswith(self.provider.issuer):
            form = re.search(r'<form[^>]*action="([^"]+)"(.*?)</form>', page.text, re.S)
            fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[2]))
            if 'name="login"' in form[2]:
                fields.update(login=subject, password="any")
            page = self.go("POST", urljoin(page.url, html.unescape(form[1])), data=fields)
        return page


def query(own, **more):
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode()
    return {"client_id": TOOL, "response_type": "code", "redirect_uri": BACK, "state": "s t",
            "scope": f"{own.management}/.default offline_access openid profile", "nonce": "n1",
            "code_challenge": challenge.rstrip("="), "code_challenge_method": "S256", **more}


def authorize(own, tenant=None, style=""):
    return f"{own.login}{style}/{tenant or own.tenant}/oauth2/v2.0/authorize"


def begin(own, browser, trusted, **options):
    return browser.go("POST", authorize(own), params=query(own), data={"provider": trusted["id"]},
                      **options)


def ask(own, **form):
    return own.session.post(f"{own.login}/{own.tenant}/oauth2/v2.0/token",
                            data={"client_id": TOOL, **form})


def redeem(own, answer):
    return ask(own, grant_type="authorization_code", code=answer["code"][0], redirect_uri=BACK,
               code_verifier=VERIFIER)


def oid(reply):
    assert reply.status_code == 200, reply.text
    part = reply.json()["access_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=="))["oid"]


def test_a_person_signs_in_elsewhere(own, provider, directory, trusted):
    user = linked(directory, provider, "ada")
    shown = directory.call("GET", f"users/{user['id']}").json()["identities"]
    assert shown == [{"signInType": "federated", "issuer": provider.issuer,
                      "issuerAssignedId": "ada"}]
    browser = Browser(provider)
    page = browser.go("GET", authorize(own), params=query(own))
    assert "Sign in with Company &#60;SSO&#62;" in page.text and trusted["id"] in page.text
    page = begin(own, browser, trusted)
    assert page.url.startswith(provider.issuer), page.url
    answer = browser.sign_in(page, "ada")
    assert answer["state"] == ["s t"]
    done = redeem(own, answer)
    assert oid(done) == user["id"]
    refresh = {"grant_type": "refresh_token", "refresh_token": done.json()["refresh_token"],
               "scope": f"{own.management}/.default"}
    assert oid(ask(own, **refresh)) == user["id"]
    # What the browser kept was good once.
    page = browser.go("GET", authorize(own), params=query(own))
    assert page.status_code == 200 and "<form" in page.text
    # Without the link he is nobody, and what he had ends.
    assert directory.call("PATCH", f"users/{user['id']}", {"identities": []}).status_code == 204
    assert ask(own, **refresh).status_code == 400
    page = browser.sign_in(begin(own, browser, trusted), "ada")
    assert page.status_code == 403 and "ada" in page.text and page.url.startswith(own.login)


def test_a_device_is_let_in(own, provider, directory, trusted):
    user = linked(directory, provider, "bob")
    begun = own.session.post(f"{own.login}/{own.tenant}/oauth2/v2.0/devicecode", data={
        "client_id": TOOL, "scope": f"{own.management}/.default"}).json()
    browser = Browser(provider)
    assert trusted["id"] in browser.go("GET", begun["verification_uri"]).text
    page = browser.sign_in(browser.go("POST", begun["verification_uri"], data={
        "provider": trusted["id"], "code": begun["user_code"]}), "bob")
    assert page.status_code == 200 and "Signed in" in page.text, page.text
    done = ask(own, grant_type=DEVICE, device_code=begun["device_code"])
    assert oid(done) == user["id"]


def test_only_who_is_linked_and_enabled(own, provider, directory, trusted):
    user = linked(directory, provider, "carol")
    browser = Browser(provider)
    for subject in ("Carol", user["userPrincipalName"], user["id"], "nobody"):
        page = Browser(provider)
        page = page.sign_in(begin(own, page, trusted), subject)
        assert page.status_code == 403, subject
    assert directory.call("PATCH", f"users/{user['id']}", {"accountEnabled": False}).status_code == 204
    page = browser.sign_in(begin(own, browser, trusted), "carol")
    assert page.status_code == 403
    # An identity is one person's, at a provider that is trusted; without one, a password is needed.
    again = {"accountEnabled": True, "displayName": "x", "mailNickname": "x",
             "userPrincipalName": f"x{uuid.uuid4().hex[:6]}@example.org"}
    taken = {"signInType": "federated", "issuer": provider.issuer, "issuerAssignedId": "carol"}
    for identities, status in (([taken], 409), ([{**taken, "issuer": "https://evil.example"}], 400),
                               ([{**taken, "signInType": "emailAddress"}], 400), ([], 400), ("x", 400)):
        reply = directory.call("POST", "users", {**again, "identities": identities})
        assert reply.status_code == status, (identities, reply.text)


def test_answers_that_are_another_browsers(own, provider, directory, trusted):
    linked(directory, provider, "dora")
    mine, other = Browser(provider), Browser(provider)
    page = begin(own, mine, trusted)
    begin(own, other, trusted)
    # Up to the answer, and then in the wrong browser.
    seen = []
    go = mine.go

    def stop(method, url, **options):
        reply = mine.session.request(method, url, allow_redirects=False, timeout=60, **options)
        while reply.is_redirect:
            url = urljoin(reply.url, reply.headers["Location"])
            if url.startswith(own.login):
                seen.append(url)
                return {}
            reply = mine.session.get(url, allow_redirects=False, timeout=60)
        return reply
    mine.go = stop
    mine.sign_in(page, "dora")
    mine.go = go
    bare = own.session.get(seen[0], allow_redirects=False)
    assert bare.status_code == 400
    stolen = other.session.get(seen[0], allow_redirects=False)
    assert stolen.status_code == 400
    changed = re.sub(r"code=[^&]+", "code=x", seen[0])
    assert mine.session.get(changed, allow_redirects=False).status_code == 401
    if "iss=" in seen[0]:
        wrong = re.sub(r"iss=[^&]+", "iss=https%3A%2F%2Fevil.example", seen[0])
        assert mine.session.get(wrong, allow_redirects=False).status_code == 401
    answer = mine.session.get(seen[0], allow_redirects=False)
    assert answer.status_code == 303
    assert mine.session.get(seen[0], allow_redirects=False).status_code == 400  # used up
    # Good for that page alone.
    page = mine.go("GET", authorize(own), params=query(own, state="another"))
    assert page.status_code == 200 and "<form" in page.text
    # Other sites cannot press the button.
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"},
                    {"Sec-Fetch-Site": "cross-site"}):
        assert begin(own, mine, trusted, headers=headers).status_code == 403, headers
    # Ours can; and who is still signed in over there is not asked again.
    assert "code" in begin(own, mine, trusted, headers={
        "Origin": own.login, "Sec-Fetch-Site": "same-origin"})
    for wrong in ("x", str(uuid.uuid4())):
        assert begin(own, mine, {"id": wrong}).status_code == 401


def test_providers_are_administered(own, provider, directory, trusted):
    path = f"identity/identityProviders/{trusted['id']}"
    shown = directory.call("GET", path)
    assert shown.status_code == 200 and provider.secret not in shown.text
    assert shown.json()["clientAuthentication"]["clientSecret"] is None
    assert [p["id"] for p in directory.call("GET", "identity/identityProviders").json()["value"]] == \
        [trusted["id"]]
    assert directory.call("POST", "identity/identityProviders", wish(provider)).status_code == 409
    for bad in ({"issuer": "http://plain.example"}, {"displayName": ""}, {"clientId": None},
                {"clientAuthentication": {}}):
        assert directory.call("POST", "identity/identityProviders",
                              wish(provider, **bad)).status_code == 400, bad
    app = directory.application()
    stranger = app.token(f"{directory.url}/.default")
    for method, body in (("POST", wish(provider)), ("PATCH", {"displayName": "x"}), ("DELETE", None)):
        refused = directory.call(method, path if method != "POST" else "identity/identityProviders",
                                 body, token=stranger)
        assert refused.status_code == 403, method
    rows = own.sql("control", "select wrapped_secret from identity_providers")
    assert provider.secret not in rows[0][0]
    # The wrong secret opens nothing; the right one again does. Then nobody is trusted any more.
    user = linked(directory, provider, "erin")
    assert directory.call("PATCH", path, {"clientAuthentication": {
        "clientSecret": "wrong"}}).status_code == 204
    browser = Browser(provider)
    assert browser.sign_in(begin(own, browser, trusted), "erin").status_code == 401
    assert directory.call("PATCH", path, {"clientAuthentication": {
        "clientSecret": provider.secret}}).status_code == 204
    done = redeem(own, browser.sign_in(begin(own, browser, trusted), "erin"))
    assert oid(done) == user["id"]
    assert directory.call("DELETE", path).status_code == 204
    assert directory.call("GET", path).status_code == 404
    assert directory.call("GET", f"users/{user['id']}").json()["identities"] == []
    assert ask(own, grant_type="refresh_token", refresh_token=done.json()["refresh_token"],
               scope=f"{own.management}/.default").status_code == 400
    assert begin(own, browser, trusted).status_code == 401


def test_a_pipelines_token_signs_an_application_in(own, provider, directory):
    """The issuer a federated credential names is a published provider here, too."""
    app = directory.application()
    directory.made(f"applications/{app.app['id']}/federatedIdentityCredentials", {
        "name": "ci", "issuer": provider.issuer, "subject": "pipeline", "audiences": ["urn:portolan"]})
    token = requests.post(f"{provider.issuer}/token", auth=("pipeline", provider.secret), data={
        "grant_type": "client_credentials", "resource": "urn:portolan"}, verify=provider.both)
    assert token.status_code == 200, token.text
    done = app.try_token(client_assertion_type=ASSERTION,
                         client_assertion=token.json()["access_token"])
    assert oid(done) == app.object_id

"""Keys and certificates of applications, and assertions signed with them (RFC 7523)."""

import base64
import datetime
import time
import uuid

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa


def new_key(kind):
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else \
        rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(key, days=10):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "app")])
    now = datetime.datetime.utcnow()
    return x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(
        key.public_key()).serial_number(x509.random_serial_number()).not_valid_before(
        now - datetime.timedelta(days=20)).not_valid_after(
        now + datetime.timedelta(days=days)).sign(key, hashes.SHA256())


def register(directory, app, *certificates):
    body = {"keyCredentials": [
        {"type": "AsymmetricX509Cert", "usage": "Verify", "key": base64.encodebytes(
            c.public_bytes(serialization.Encoding.DER)).decode()} for c in certificates]}
    reply = directory.call("PATCH", f"applications/{app.app['id']}", body)
    assert reply.status_code == 204, reply.text


def assertion(instance, app, key, algorithm, cert=None, pad="", **over):
    now = int(time.time())
    body = {"iss": app.app_id, "sub": app.app_id, "nbf": now - 5,
            "aud": f"{instance.login}/{instance.tenant}/oauth2/v2.0/token", "exp": now + 300, "jti": str(uuid.uuid4()), **over}
    body = {k: v for k, v in body.items() if v is not None}
    headers = {}
    if cert:
        headers["x5t"] = base64.urlsafe_b64encode(cert.fingerprint(hashes.SHA1())).decode().rstrip("=") + pad
    return jwt.encode(body, key, algorithm=algorithm, headers=headers)

"""azure-identity as it is published: prints the object id of whom each credential signs in."""

import base64
import json
import os
import sys

from azure.identity import (CertificateCredential, ClientAssertionCredential, ClientSecretCredential,
                            ManagedIdentityCredential)


def oid(credential):
    token = credential.get_token(sys.argv[1] + "/.default").token
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["aud"] == sys.argv[1], claims
    return claims["oid"]


def main():
    who = {"tenant_id": os.environ["AZURE_TENANT_ID"], "client_id": os.environ.get("AZURE_CLIENT_ID", "")}
    authority = {"authority": os.environ["AZURE_AUTHORITY_HOST"], "disable_instance_discovery": True}
    kind = sys.argv[2]
    if kind == "secret":
        credential = ClientSecretCredential(
            **who, client_secret=os.environ["AZURE_CLIENT_SECRET"], **authority)
    elif kind == "certificate":
        credential = CertificateCredential(**who, certificate_path=sys.argv[3], **authority)
    elif kind == "assertion":
        credential = ClientAssertionCredential(**who, func=lambda: sys.argv[3], **authority)
    else:
        credential = ManagedIdentityCredential(client_id=sys.argv[3] if len(sys.argv) > 3 else None)
    print(oid(credential))


if __name__ == "__main__":
    main()

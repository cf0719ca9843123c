"""azure-identity as it is published: prints whom each credential class signs in, one a line."""

import base64
import json
import os
import subprocess
import sys

import azure.identity as az

ENV = os.environ
AUDIENCE = ENV["PORTOLAN_MANAGEMENT"]
TOOL = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"


def authority():
    return {"authority": ENV["AZURE_AUTHORITY_HOST"], "disable_instance_discovery": True}


def application():
    return {"tenant_id": ENV["AZURE_TENANT_ID"], "client_id": ENV["AZURE_CLIENT_ID"], **authority()}


def assertion():
    with open(ENV["AZURE_FEDERATED_TOKEN_FILE"], encoding="utf-8") as text:
        return text.read()


def person():
    return {"tenant_id": ENV["AZURE_TENANT_ID"], "client_id": TOOL, **authority()}


def let_in(url, code, _):
    subprocess.run([sys.executable, ENV["PERSON"], url, code], check=True)


CLASSES = {
    "ClientSecret": lambda: az.ClientSecretCredential(
        client_secret=ENV["AZURE_CLIENT_SECRET"], **application()),
    "ClientCertificate": lambda: az.CertificateCredential(
        certificate_path=ENV["CERTIFICATE"], **application()),
    "ClientAssertion": lambda: az.ClientAssertionCredential(func=assertion, **application()),
    "WorkloadIdentity": lambda: az.WorkloadIdentityCredential(disable_instance_discovery=True),
    "Environment": lambda: az.EnvironmentCredential(disable_instance_discovery=True),
    "Default": lambda: az.DefaultAzureCredential(disable_instance_discovery=True),
    "Chained": lambda: az.ChainedTokenCredential(CLASSES["ClientSecret"]()),
    # MSAL for Python asks other authorities than ADFS for a realm, and leaves the port out of its address.
    "UsernamePassword": lambda: az.UsernamePasswordCredential(
        username=ENV["PERSON_NAME"], password=ENV["PERSON_PASSWORD"], **{**person(), "tenant_id": "adfs"}),
    "DeviceCode": lambda: az.DeviceCodeCredential(prompt_callback=let_in, **person()),
    "InteractiveBrowser": lambda: az.InteractiveBrowserCredential(**person()),
    "ManagedIdentity": lambda: az.ManagedIdentityCredential(client_id=ENV.get("MANAGED_CLIENT_ID")),
    "AzureCli": az.AzureCliCredential,
}


def main():
    for name in sys.argv[1:]:
        token = CLASSES[name]().get_token(AUDIENCE + "/.default").token
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        assert claims["aud"] == AUDIENCE, claims
        print(name, claims["oid"], flush=True)


if __name__ == "__main__":
    main()

"""azure-storage-blob with the signed URLs of a registry. Arguments: upload URL LENGTH [BLOCK] | refused
URL | log URL."""

import hashlib
import json
import os
import sys

from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceExistsError
from azure.storage.blob import BlobClient


def upload(url, length, block=None):
    more = {"max_single_put_size": 1 << 16, "max_block_size": int(block)} if block else {}
    client = BlobClient.from_blob_url(url, retry_total=0, **more)
    data = os.urandom(int(length))
    made = client.upload_blob(data, blob_type="BlockBlob", overwrite=True,
                              max_concurrency=4 if block else 1)
    try:
        client.upload_blob(b"other")
        again = "taken"
    except ResourceExistsError as error:
        again = error.error_code
    return {"etag": made["etag"], "again": again, "sha256": hashlib.sha256(data).hexdigest()}


def refused(url):
    try:
        BlobClient.from_blob_url(url, retry_total=0).upload_blob(b"x", overwrite=True)
    except (ClientAuthenticationError, HttpResponseError) as error:
        return {"status": error.status_code, "code": error.error_code}
    return {"status": 201}


def log(url):
    client = BlobClient.from_blob_url(url, retry_total=0)
    shown = client.get_blob_properties()
    whole = client.download_blob().readall()
    pieces = b"".join(client.download_blob(offset=at, length=16).readall()
                      for at in range(0, shown.size, 16))
    return {"exists": client.exists(), "size": shown.size, "type": str(shown.blob_type.value),
            "metadata": shown.metadata, "text": whole.decode(), "same": pieces == whole}


print(json.dumps({"upload": upload, "refused": refused, "log": log}[sys.argv[1]](*sys.argv[2:])))

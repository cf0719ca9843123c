/* OCI dist-spec, "Error Codes", and ACR's own. */
#include "dataplane/oci/errors.h"

const struct error_code E_BLOB_UNKNOWN = { "BLOB_UNKNOWN", 404 };
const struct error_code E_BLOB_UPLOAD_INVALID = { "BLOB_UPLOAD_INVALID", 400 };
const struct error_code E_BLOB_UPLOAD_UNKNOWN = { "BLOB_UPLOAD_UNKNOWN", 404 };
const struct error_code E_BLOB_UPLOAD_BUSY = { "BLOB_UPLOAD_INVALID", 409 };
const struct error_code E_CONTENT_ENCODING = { "UNSUPPORTED", 415 };
const struct error_code E_DENIED = { "DENIED", 403 };
const struct error_code E_DIGEST_INVALID = { "DIGEST_INVALID", 400 };
const struct error_code E_DISALLOWED = { "REGISTRY_DISALLOWED_OPERATION", 405 };
const struct error_code E_MANIFEST_BLOB_UNKNOWN = { "MANIFEST_BLOB_UNKNOWN", 400 };
const struct error_code E_MANIFEST_INVALID = { "MANIFEST_INVALID", 400 };
const struct error_code E_MANIFEST_UNKNOWN = { "MANIFEST_UNKNOWN", 404 };
const struct error_code E_METADATA_FULL = { "METADATA_LIMIT_EXCEEDED", 409 };
const struct error_code E_METADATA_UNKNOWN = { "METADATA_UNKNOWN", 404 };
const struct error_code E_NAME_INVALID = { "NAME_INVALID", 400 };
const struct error_code E_NAME_UNKNOWN = { "NAME_UNKNOWN", 404 };
const struct error_code E_PAGINATION = { "PAGINATION_NUMBER_INVALID", 400 };
const struct error_code E_RANGE_INVALID = { "BLOB_UPLOAD_INVALID", 416 };
const struct error_code E_SIZE_INVALID = { "SIZE_INVALID", 400 };
const struct error_code E_STORAGE_FULL = { "DENIED", 507 };
const struct error_code E_SUBJECT_DELETED = { "MANIFEST_UNKNOWN", 409 };
const struct error_code E_TAG_INVALID = { "TAG_INVALID", 400 };
const struct error_code E_TAG_TAKEN = { "TAG_EXISTS", 409 };
const struct error_code E_TAG_UNKNOWN = { "TAG_UNKNOWN", 404 };
const struct error_code E_TOO_MANY = { "TOOMANYREQUESTS", 429 };
const struct error_code E_UNAUTHORIZED = { "UNAUTHORIZED", 401 };
const struct error_code E_UNSUPPORTED = { "UNSUPPORTED", 405 };

int fail_tag_taken(struct error *err)
{
    return fail(err, &E_TAG_TAKEN,
                "A tag exists already; it is moved only where that is asked for (mode Force).");
}

int fail_disallowed(struct error *err)
{
    return fail(err, &E_DISALLOWED,
                "The operation is disallowed on this registry, repository or image. View "
                "troubleshooting steps at https://aka.ms/acr/faq/"
                "#why-does-my-pull-or-push-request-fail-with-disallowed-operation");
}

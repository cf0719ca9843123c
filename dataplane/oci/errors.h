/* The error codes of the OCI distribution API and of ACR's additions, as data: one row each with
 * its HTTP status. */
#ifndef PORTOLAN_OCI_ERRORS_H
#define PORTOLAN_OCI_ERRORS_H

#include "common/base/error.h"

extern const struct error_code E_BLOB_UNKNOWN;
extern const struct error_code E_BLOB_UPLOAD_INVALID;
extern const struct error_code E_BLOB_UPLOAD_UNKNOWN;
extern const struct error_code E_BLOB_UPLOAD_BUSY;
extern const struct error_code E_CONTENT_ENCODING;
extern const struct error_code E_DENIED;
extern const struct error_code E_DIGEST_INVALID;
extern const struct error_code E_DISALLOWED;
extern const struct error_code E_MANIFEST_BLOB_UNKNOWN;
extern const struct error_code E_MANIFEST_INVALID;
extern const struct error_code E_MANIFEST_UNKNOWN;
extern const struct error_code E_METADATA_FULL;
extern const struct error_code E_METADATA_UNKNOWN;
extern const struct error_code E_NAME_INVALID;
extern const struct error_code E_NAME_UNKNOWN;
extern const struct error_code E_PAGINATION;
extern const struct error_code E_RANGE_INVALID;
extern const struct error_code E_SIZE_INVALID;
extern const struct error_code E_STORAGE_FULL; /* the tier holds no more */
extern const struct error_code E_SUBJECT_DELETED;
extern const struct error_code E_TAG_INVALID;
extern const struct error_code E_TAG_TAKEN;
extern const struct error_code E_TAG_UNKNOWN;
extern const struct error_code E_TOO_MANY;
extern const struct error_code E_UNAUTHORIZED;
extern const struct error_code E_UNSUPPORTED;

/* What every lock answers. Returns -1. */
int fail_tag_taken(struct error *err);
int fail_disallowed(struct error *err);

#endif

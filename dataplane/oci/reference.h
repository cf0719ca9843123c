/* The grammar of names (OCI dist-spec, "Pulling manifests"). */
#ifndef PORTOLAN_OCI_REFERENCE_H
#define PORTOLAN_OCI_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/crypto/digest.h"

#define REPOSITORY_NAME_MAX 255
#define TAG_MAX             128

/* [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)* */
MUST_CHECK bool repository_name_is_valid(const char *name);
/* [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127} */
MUST_CHECK bool tag_is_valid(const char *tag);

enum reference_kind { REFERENCE_TAG, REFERENCE_DIGEST, REFERENCE_INVALID };
/* What has a colon is meant as a digest. */
enum reference_kind reference_parse(const char *text, struct digest *ret_digest);

/* A chunk's Content-Range: "a-b", inclusive, without unit and total. */
MUST_CHECK bool chunk_range_parse(const char *text, uint64_t *ret_first, uint64_t *ret_last);

#endif

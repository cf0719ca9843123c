/* Look-ups through the cache: memory first, else one statement whose answer is kept. */
#ifndef PORTOLAN_OCI_CONTENT_H
#define PORTOLAN_OCI_CONTENT_H

#include <stdbool.h>

#include "common/base/cleanup.h"
#include "dataplane/blobs/blobs.h"
#include "dataplane/store/cache.h"

struct call;
struct arena;
struct error;

/* 1 found, 0 absent, -1. */
MUST_CHECK int content_blob(const struct call *call, struct arena *a, const char *repository,
                            const struct digest *digest, struct blob_ref *ret, struct error *err);
/* reference: a valid tag or digest. The manifest is the caller's to release. */
MUST_CHECK int content_manifest(const struct call *call, struct arena *a, const char *repository,
                                const char *reference, struct cached_manifest **ret,
                                struct error *err);

#endif

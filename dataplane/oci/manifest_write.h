/* From a decoded manifest to what is stored of it. */
#ifndef PORTOLAN_OCI_MANIFEST_WRITE_H
#define PORTOLAN_OCI_MANIFEST_WRITE_H

#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct blob_ref;
struct blob_store;
struct manifest;
struct manifest_write;

/* All that follows from the manifest and its bytes; they must outlive *w. */
void manifest_write_fill(const struct manifest *m, const void *bytes, size_t len,
                         struct manifest_write *w);
/* Architecture and system of an image from its stored configuration, where it has one that says. */
void manifest_write_platform(struct arena *a, struct blob_store *store,
                             const struct blob_ref *config, const struct manifest *m,
                             struct manifest_write *w);
#endif

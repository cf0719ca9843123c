/* Sources of runs: where a region's blobs are, sealed, until a day after they came. One is made of blocks
 * in the order of its list; what came in one piece is one block. The list is written last, so a source is
 * there as a whole or not at all. Any number of control planes work on the same tree. */
#ifndef PORTOLAN_STORAGE_SOURCES_H
#define PORTOLAN_STORAGE_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct control;
struct error;
struct error_code;
struct region;

#define SOURCE_MAX_BYTES  (INT64_C(1) << 30) /* of one source */
#define BLOCK_MAX_BYTES   (INT64_C(100) << 20)
#define SOURCES_MAX       1000               /* of one registry at a time */
#define SOURCE_KEPT_S     86400              /* after it last changed */
#define SOURCE_NAME_CHARS 32                 /* hex digits */

extern const struct error_code E_SOURCE_TOO_LARGE; /* 413 RequestBodyTooLarge */
extern const struct error_code E_SOURCES_FULL;     /* 409 TooManySources */
extern const struct error_code E_SOURCE_EXISTS;    /* 409 BlobAlreadyExists */

struct source {
    const struct control *control;
    const struct region *region;
    const char *registry_uid;
    const char *name; /* SOURCE_NAME_CHARS hex digits */
};

/* "source/<day>/<name>.tar.gz" with a name nobody has; source_name_of() takes it apart again, NULL where it
 * is something else. */
char *source_path_new(struct arena *a);
char *source_name_of(struct arena *a, const char *path);

/* The registry's tree. */
char *sources_folder(struct arena *a, const struct region *region, const char *registry_uid);

/* Writing a block, by one thread at a time. block_id NULL: the whole source in one piece. The source's
 * texts must outlive the writing. */
struct source_write;
MUST_CHECK int source_begin(const struct source *source, const char *block_id,
                            struct source_write **ret, struct error *err);
MUST_CHECK int source_add(struct source_write *w, const void *bytes, size_t len, struct error *err);
/* What came is durable, and of a whole source all there is. */
MUST_CHECK int source_end(struct source_write *w, struct error *err);
void source_free(struct source_write *w); /* after the end, or to give it up; NULL is accepted */

/* Makes those blocks, in that order, the source. A second time with the same blocks does nothing. */
MUST_CHECK int source_commit(struct arena *a, const struct source *source, const char *const *block_ids,
                             size_t count, struct error *err);
bool source_exists(struct arena *a, const struct source *source);

/* Removes what has not changed for SOURCE_KEPT_S. */
MUST_CHECK int sources_sweep(struct arena *a, const struct region *region, int64_t now_s,
                             struct error *err);

#endif

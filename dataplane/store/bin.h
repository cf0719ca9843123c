/* The bin: where soft-deleted manifests are kept until they expire. The bin of a repository is a
 * repository of its own, by a name no client can give, so all that counts, collects and refers to
 * content treats what lies there like anything else. A manifest lies there at most once. */
#ifndef PORTOLAN_STORE_BIN_H
#define PORTOLAN_STORE_BIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/crypto/digest.h"
#include "dataplane/store/listings.h"

struct arena;
struct error;
struct pg_conn;
struct store;

#define BIN_PREFIX "_deleted/"

/* --- within the transaction of a deletion --- */

/* Makes the bin of a repository if it is not there and holds its row until the transaction ends.
 * The repository's own row is held before, manifests are after. */
MUST_CHECK int bin_hold(struct pg_conn *conn, struct arena *a, const struct store *s,
                        const char *repository, int64_t *ret_bin, struct error *err);
/* Moves manifests (ids as texts, held for update), with the names of their tags, to the bin. Their
 * tags are still there, and are the caller's to remove. */
MUST_CHECK int bin_take(struct pg_conn *conn, struct arena *a, const struct store *s, int64_t bin,
                        const char *const *manifests, size_t count, struct error *err);

/* --- listings: pages like those of the living --- */

/* Repositories whose bin holds something. */
MUST_CHECK int bin_repositories(const struct store *s, struct arena *a, const char *last,
                                int64_t count, struct name_list *ret, struct error *err);

struct binned_manifest {
    struct manifest_detail detail; /* tags: those it had */
    int64_t deleted_us;
};
struct binned_manifest_list {
    struct binned_manifest *items;
    size_t count;
    bool has_more;
};
/* Oldest deletion first. 0 when the repository has no bin. */
MUST_CHECK int bin_manifests(const struct store *s, struct arena *a, const char *repository,
                             const struct digest *last, int64_t count,
                             struct binned_manifest_list *ret, struct error *err);

struct binned_tag {
    const char *name;
    struct digest digest;
    int64_t deleted_us;
};
struct binned_tag_list {
    struct binned_tag *items;
    size_t count;
    bool has_more;
};
/* By name, then by time: the last of a name is the one deleted last. last: "name" or
 * "name@digest". */
MUST_CHECK int bin_tags(const struct store *s, struct arena *a, const char *repository,
                        const char *last, int64_t count, struct binned_tag_list *ret,
                        struct error *err);

/* --- back from the bin --- */

/* Puts the manifest back, and the tag, unless NULL, on it. 0 when the bin does not hold it.
 * E_TAG_TAKEN when the tag is on another manifest and is_forced is not set; E_SUBJECT_DELETED when
 * it refers to a subject that lies in the bin itself. */
MUST_CHECK int bin_restore(const struct store *s, struct arena *a, const char *repository,
                           const struct digest *digest, const char *tag, bool is_forced,
                           struct error *err);

#endif

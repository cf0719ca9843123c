/* What a registry holds, in SQL: repositories, blobs, manifests, tags. Functions that look up one
 * thing return 1, 0, -1; those that change something are one transaction each, fail with the OCI
 * codes of oci/errors.h, and leave the caches of this process to their caller.
 *
 * Locks are taken in one order: repository (for key share: it stays), blobs (for key share: the
 * collector keeps away), manifests, tags, the links between manifests, tombstones; several of a
 * kind by key, in one statement. A deletion takes the row itself for update and looks at its users
 * in the next statement, so it sees whoever came before it. Counters and the collector's queue are
 * never waited for (migration 0008), and the collector waits for nobody: so there are no deadlocks.
 */
#ifndef PORTOLAN_STORE_CONTENT_H
#define PORTOLAN_STORE_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/crypto/digest.h"
#include "common/pg/pg.h"
#include "dataplane/blobs/blobs.h"

struct arena;
struct error;

/* Of this process; constant. */
struct store {
    struct pg_pool *db;
    struct blob_store *blobs;
    struct usage *usage;
    const char *registry_id;
    const char *region; /* the origin of what is written here */
};

/* --- repositories --- */

/* Makes the repository if it is not there and holds its row until the transaction ends.
 * E_DISALLOWED when it may not be written to. */
MUST_CHECK int repository_hold(struct pg_conn *conn, struct arena *a, const struct store *s,
                               const char *name, int64_t *ret_id, struct error *err);
/* Holds the row of one that is there until the transaction ends: 1, 0 when there is none. What
 * deletes something of a repository begins with this. */
MUST_CHECK int repository_keep(struct pg_conn *conn, struct arena *a, const struct store *s,
                               const char *name, struct error *err);
/* Sets when the repository last changed, to the second; never waits for another writer. */
MUST_CHECK int repository_touch(struct pg_conn *conn, struct arena *a, int64_t id,
                                struct error *err);
struct repository_removal {
    const char **manifests, **tags; /* what went */
    size_t manifest_count, tag_count;
};
/* 1 removed with all it holds, 0 absent. is_soft: its manifests go to the bin. */
MUST_CHECK int repository_remove(const struct store *s, struct arena *a, const char *name,
                                 bool is_soft, struct repository_removal *ret, struct error *err);

/* --- blobs --- */

/* SQL: a lock on the manifest `m`, on an index above it, or on a tag of one of them: what it holds is to
 * stay whole. */
#define SQL_IS_LOCKED(m)                                                                           \
    "exists (with recursive up (id) as (select " m ".id union select c.manifest_id from up join "  \
    "manifest_children c on c.child_id = up.id) select from up join manifests l on l.id = up.id "  \
    "where l.deleted_at is null and (not (l.can_write and l.can_delete) or exists (select "        \
    "from tags t where t.manifest_id = l.id and not (t.can_write and t.can_delete))))"

struct blob_found {
    int64_t id;
    struct blob_ref ref;
    bool can_read; /* by the repository's lock */
};

MUST_CHECK int blob_find(const struct store *s, struct arena *a, const char *repository,
                         const struct digest *digest, struct blob_found *ret, struct error *err);
/* Puts a finished writer's bytes under their digest and links them to the repository. named is the
 * digest the client gave, already compared. What the registry stores never passes storage_limit
 * bytes (0: no limit): E_STORAGE_FULL. */
MUST_CHECK int blob_publish(const struct store *s, struct arena *a, const char *repository,
                            struct blob_writer *w, const struct digest *named,
                            int64_t storage_limit, struct error *err);
/* Links a blob that another repository has and the caller may read: from, or any when from is NULL.
 * 1 linked, 0 when there is none such. */
typedef bool may_read_repository(void *ctx, const char *name);
MUST_CHECK int blob_mount(const struct store *s, struct arena *a, const char *repository,
                          const char *from, const struct digest *digest, may_read_repository *may,
                          void *ctx, struct error *err);
/* E_BLOB_UNKNOWN when the repository does not have it. */
MUST_CHECK int blob_unlink(const struct store *s, struct arena *a, const char *repository,
                           const struct digest *digest, struct error *err);

/* --- manifests and tags --- */

struct manifest_found {
    int64_t id;
    struct digest digest; /* its own, whichever it was found by */
    const char *media_type;
    const void *payload;
    size_t payload_len;
    bool is_quarantined; /* pushed under quarantine, and has not passed */
    bool can_read;       /* by repository, manifest and tag */
};

MUST_CHECK int manifest_find(const struct store *s, struct arena *a, const char *repository,
                             const struct digest *digest, struct manifest_found *ret,
                             struct error *err);
MUST_CHECK int manifest_find_tag(const struct store *s, struct arena *a, const char *repository,
                                 const char *tag, struct manifest_found *ret, struct error *err);

struct manifest_write {
    const char *repository;
    struct digest digest; /* as the client named it, else sha256 */
    struct digest sha256; /* always; equal to digest unless that is sha512 */
    const char *media_type, *artifact_type, *config_media_type, *architecture, *os;
    const char *annotations;      /* JSON text or NULL */
    const struct digest *subject; /* or NULL */
    const void *payload;
    size_t payload_len;
    int64_t image_size;
    const struct digest *blobs; /* that must be in the repository */
    size_t blob_count;
    const struct digest *optional; /* blobs that are linked if they are in the repository */
    size_t optional_count;
    const struct digest *children; /* manifests, or blobs, that must be in the repository */
    size_t child_count;
    const char *const *tags;
    size_t tag_count;
    int64_t storage_limit; /* as blob_publish() has it, for the payload; 0: none */
    bool is_quarantined;   /* until it passes, if it is new */
    bool is_bin_respected; /* E_DISALLOWED for what lies in the bin */
    bool are_tags_new;     /* E_TAG_TAKEN, and nothing happens, when one of them is there */
};

/* E_MANIFEST_BLOB_UNKNOWN with one detail for each digest that is not there. */
MUST_CHECK int manifest_store(const struct store *s, struct arena *a,
                              const struct manifest_write *w, struct error *err);
/* Deletes the manifest and the tags on it; is_soft: into the bin. 0 absent. */
MUST_CHECK int manifest_remove(const struct store *s, struct arena *a, const char *repository,
                               const struct digest *digest, bool is_soft, struct error *err);
MUST_CHECK int tag_remove(const struct store *s, struct arena *a, const char *repository,
                          const char *tag, struct error *err);

/* Every statement table of the plane, for the test that prepares them all; NULL-terminated. */
extern const struct pg_stmt *const region_statements[];
extern const struct pg_stmt repository_statements[], blob_statements[], manifest_statements[],
    listing_statements[], attribute_statements[], projection_statements[], collection_statements[],
    usage_statements[], upkeep_statements[], account_statements[], removal_statements[],
    bin_statements[], expiry_statements[], metadata_statements[], import_statements[];

#endif

/* Manifests and tags: written together in one transaction, so that a visible tag is always whole.
 */
#include "dataplane/store/content.h"

#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/failpoint.h"
#include "dataplane/oci/errors.h"
#include "dataplane/store/bin.h"
#include "dataplane/store/key.h"
#include "dataplane/store/removal.h"
#include "dataplane/store/usage.h"

/* SQL stands in columns of its own. */
/* clang-format off */
enum {
    FIND, FIND_TAG, CHILDREN, BLOBS, EXISTING, IS_BINNED, INSERT, ALIAS, ADD_BLOBS, ADD_CHILDREN,
    ADD_TAGS, UNBURY
};

#define FOUND_COLUMNS                                                                              \
    "m.id, m.digest, m.media_type, m.payload, "                                                    \
    "coalesce(m.quarantine_state <> 'Passed', false)"
#define BY_DIGEST(repository, column)                                                              \
    "(select id from manifests where repository_id = " repository " and digest = " column          \
    " union all select manifest_id from manifest_aliases where repository_id = " repository        \
    " and digest = " column ")"

const struct pg_stmt manifest_statements[] = {
    [FIND] = { "manifest_find",
               "select " FOUND_COLUMNS ", m.can_read and r.can_read from repositories r "
               "join lateral " BY_DIGEST("r.id", "$3") " f on true "
               "join manifests m on m.id = f.id where r.registry_id = $1 and r.name = $2 limit 1",
               "uuid text bytea" },
    [FIND_TAG] = { "manifest_find_tag",
                   "select " FOUND_COLUMNS ", m.can_read and r.can_read and t.can_read "
                   "from repositories r join tags t on t.repository_id = r.id "
                   "join manifests m on m.id = t.manifest_id "
                   "where r.registry_id = $1 and r.name = $2 and t.name = $3",
                   "uuid text text" },
    [CHILDREN] = { "manifest_children_held",
                   "select c.ord, m.id from unnest($2::text[]) with ordinality c(hex, ord) "
                   "join lateral " BY_DIGEST("$1", "decode(c.hex, 'hex')") " f on true "
                   "join manifests m on m.id = f.id and m.repository_id = $1 "
                   "order by m.id for key share of m",
                   "int8 text[]" },
    [BLOBS] = { "manifest_blobs_held",
                "select c.ord, b.id from unnest($3::text[]) with ordinality c(hex, ord) "
                "join lateral (select id from blobs where registry_id = $1 "
                "and digest = decode(c.hex, 'hex') union all select blob_id from blob_aliases "
                "where registry_id = $1 and digest = decode(c.hex, 'hex')) f on true "
                "join blobs b on b.id = f.id and b.quarantined_at is null "
                "join repository_blobs l on l.repository_id = $2 "
                "and l.blob_id = b.id order by b.id for key share of b, l",
                "uuid int8 text[]" },
    [EXISTING] = { "manifest_existing",
                   "select m.id from manifests m where m.repository_id = $1 and m.id in "
                   "(select id from manifests where repository_id = $1 and digest in ($2, $3) "
                   "union all select manifest_id from manifest_aliases "
                   "where repository_id = $1 and digest in ($2, $3)) "
                   "order by m.id limit 1 for key share",
                   "int8 bytea bytea" },
    [IS_BINNED] = { "manifest_is_binned",
                    "select exists (select from repositories r join lateral "
                    BY_DIGEST("r.id", "$3") " f on true where r.registry_id = $1 "
                    "and r.name = '" BIN_PREFIX "' || $2)",
                    "uuid text bytea" },
    [INSERT] = { "manifest_insert",
                 "insert into manifests (repository_id, digest, media_type, artifact_type, "
                 "config_media_type, architecture, os, annotations, subject, payload, image_size, "
                 "clock, origin, quarantine_state) "
                 "values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) "
                 "on conflict (repository_id, digest) do update set clock = excluded.clock "
                 "returning id, xmax = '0'::xid",
                 "int8 bytea text text text text text jsonb bytea bytea int8 int8 text text" },
    [ALIAS] = { "manifest_alias",
                "insert into manifest_aliases (repository_id, digest, manifest_id) "
                "select $1, $2, $3 where not exists "
                "(select from manifests where repository_id = $1 and digest = $2) "
                "on conflict (repository_id, digest) do nothing",
                "int8 bytea int8" },
    [ADD_BLOBS] = { "manifest_add_blobs",
                    "insert into manifest_blobs (manifest_id, blob_id) "
                    "select $1, b from unnest($2::int8[]) b order by b on conflict do nothing",
                    "int8 int8[]" },
    [ADD_CHILDREN] = { "manifest_add_children",
                       "insert into manifest_children (manifest_id, child_id) "
                       "select $1, c from unnest($2::int8[]) c order by c on conflict do nothing",
                       "int8 int8[]" },
    [ADD_TAGS] = { "manifest_add_tags",
                   "insert into tags as t (repository_id, name, manifest_id, clock, origin) "
                   "select $1, n, $2, $4, $5 from unnest($3::text[]) n order by n "
                   "on conflict (repository_id, name) do update set manifest_id = $2, "
                   "updated_at = now(), clock = $4, origin = $5 where t.can_write and not $6",
                   "int8 int8 text[] int8 text bool" },
    [UNBURY] = { "manifest_unbury",
                 "delete from tombstones t using (select kind, key from tombstones "
                 "where registry_id = $1 and ((kind = 'manifest' and key = $2) "
                 "or (kind = 'tag' and key = any ($3)) or (kind = 'repository' and key = $4)) "
                 "order by kind, key for update) d "
                 "where t.registry_id = $1 and t.kind = d.kind and t.key = d.key",
                 "uuid text text[] text" },
    { 0 },
};
/* clang-format on */

struct find_job {
    const struct store *s;
    const char *repository, *tag;
    const struct digest *digest;
    struct manifest_found *found;
    int status;
};

struct write_job {
    const struct store *s;
    const struct manifest_write *w;
    struct usage_claim claim; /* of the payload's size */
};

/* Ids of held rows, as texts for an int8[] parameter. */
struct ids {
    const char **items;
    size_t count;
};

static int find_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct find_job *job = ctx;
    struct manifest_found *found = job->found;
    struct pg_result *r = NULL;

    job->status = 0;
    if (PG_RUN(conn, a, &manifest_statements[job->tag ? FIND_TAG : FIND], &r, err,
               pg_text(job->s->registry_id), pg_text(job->repository),
               job->tag ? pg_text(job->tag) : key_arg(a, job->digest)) != 0)
        return -1;
    if (pg_rows(r) == 0)
        return 0;
    *found = (struct manifest_found){ .id = pg_get_int(r, 0, 0),
                                      .media_type = pg_get_text(r, 0, 2),
                                      .is_quarantined = pg_get_bool(r, 0, 4),
                                      .can_read = pg_get_bool(r, 0, 5) };
    key_read(r, 0, 1, &found->digest);
    found->payload = pg_get_bytes(r, 0, 3, &found->payload_len);
    job->status = 1;
    return 0;
}

int manifest_find(const struct store *s, struct arena *a, const char *repository,
                  const struct digest *digest, struct manifest_found *ret, struct error *err)
{
    struct find_job job = { .s = s, .repository = repository, .digest = digest, .found = ret };

    return pg_with(s->db, a, find_work, &job, err) != 0 ? -1 : job.status;
}

int manifest_find_tag(const struct store *s, struct arena *a, const char *repository,
                      const char *tag, struct manifest_found *ret, struct error *err)
{
    struct find_job job = { .s = s, .repository = repository, .tag = tag, .found = ret };

    return pg_with(s->db, a, find_work, &job, err) != 0 ? -1 : job.status;
}

/* --- writing -----------------------------------------------------------------------------------
 */

static const char **hex_list(struct arena *a, const struct digest *digests, size_t count)
{
    const char **list = arena_array(a, count + 1, sizeof(*list));

    for (size_t i = 0; i < count; i++)
        list[i] = key_hex(a, &digests[i]);
    return list;
}

/* Rows of (ordinality, id): notes the ids, marks which inputs were found. */
static void take_ids(struct arena *a, const struct pg_result *r, struct ids *ids, bool *is_found)
{
    ids->items = arena_array(a, pg_rows(r) + 1, sizeof(*ids->items));
    ids->count = pg_rows(r);
    for (size_t i = 0; i < ids->count; i++) {
        is_found[pg_get_int(r, i, 0) - 1] = true;
        ids->items[i] = arena_printf(a, "%" PRId64, pg_get_int(r, i, 1));
    }
}

static void note_missing(struct arena *a, const struct digest *digest, struct error_detail ***tail)
{
    struct error_detail *detail = ARENA_NEW(a, struct error_detail);
    char text[DIGEST_TEXT_MAX];

    digest_text(digest, text);
    *detail = (struct error_detail){ .code = &E_MANIFEST_BLOB_UNKNOWN,
                                     .message = "blob unknown to registry",
                                     .target = arena_strdup(a, text) };
    **tail = detail;
    *tail = &detail->next;
}

/* Holds everything the manifest refers to. A child may be a manifest or, as build caches have it, a
 * blob. */
static int hold_references(struct pg_conn *conn, struct arena *a, const struct write_job *job,
                           int64_t repository, struct ids *blobs, struct ids *children,
                           struct error *err)
{
    const struct manifest_write *w = job->w;
    size_t count = 0;
    struct pg_result *r = NULL;
    bool *has_child = arena_array(a, w->child_count + 1, sizeof(*has_child));
    size_t room = w->child_count + w->blob_count + w->optional_count + 1;
    struct digest *wanted = arena_array(a, room, sizeof(*wanted));
    bool *has_blob = arena_array(a, room, sizeof(*has_blob));
    struct error_detail *missing = NULL, **tail = &missing;

    if (w->child_count > 0) {
        const char **hex = hex_list(a, w->children, w->child_count);
        if (PG_RUN(conn, a, &manifest_statements[CHILDREN], &r, err, pg_int(repository),
                   pg_texts(hex, w->child_count)) != 0)
            return -1;
        take_ids(a, r, children, has_child);
    }
    for (size_t i = 0; i < w->blob_count; i++)
        wanted[count++] = w->blobs[i];
    for (size_t i = 0; i < w->child_count; i++) {
        if (!has_child[i])
            wanted[count++] = w->children[i];
    }
    size_t required = count;
    for (size_t i = 0; i < w->optional_count; i++)
        wanted[count++] = w->optional[i];
    if (count > 0) {
        if (PG_RUN(conn, a, &manifest_statements[BLOBS], &r, err, pg_text(job->s->registry_id),
                   pg_int(repository), pg_texts(hex_list(a, wanted, count), count)) != 0)
            return -1;
        take_ids(a, r, blobs, has_blob);
    }
    for (size_t i = 0; i < required; i++) {
        if (!has_blob[i])
            note_missing(a, &wanted[i], &tail);
    }
    if (!missing)
        return 0;
    (void)fail_at(err, &E_MANIFEST_BLOB_UNKNOWN, missing->target, "blob unknown to registry");
    err->details = missing;
    return -1;
}

/* What was soft-deleted is not pushed again but restored. Asked after the repository was seen to
 * lack it, so that a deletion that ended meanwhile shows. */
static int check_bin(struct pg_conn *conn, struct arena *a, const struct write_job *job,
                     struct error *err)
{
    const struct manifest_write *w = job->w;
    struct pg_result *r = NULL;
    char text[DIGEST_TEXT_MAX];

    if (!w->is_bin_respected)
        return 0;
    if (PG_RUN(conn, a, &manifest_statements[IS_BINNED], &r, err, pg_text(job->s->registry_id),
               pg_text(w->repository), key_arg(a, &w->digest)) != 0)
        return -1;
    if (!pg_get_bool(r, 0, 0))
        return 0;
    digest_text(&w->digest, text);
    return fail_at(err, &E_DISALLOWED, text,
                   "The manifest is soft-deleted: restore it, or wait until it is purged.");
}

/* The manifest's row: the one of the same content, or a new one. */
static int place_manifest(struct pg_conn *conn, struct arena *a, struct write_job *job,
                          int64_t repository, int64_t *ret_id, struct error *err)
{
    const struct manifest_write *w = job->w;
    struct pg_result *r = NULL;
    bool is_new;

    job->claim.is_used = false; /* of a run that is repeated */

    if (PG_RUN(conn, a, &manifest_statements[EXISTING], &r, err, pg_int(repository),
               key_arg(a, &w->digest), key_arg(a, &w->sha256)) != 0)
        return -1;
    is_new = pg_rows(r) == 0;
    if (is_new && check_bin(conn, a, job, err) != 0)
        return -1;
    if (is_new && usage_claim(job->s, conn, a, &job->claim, (int64_t)w->payload_len,
                              w->storage_limit, err) != 0)
        return -1;
    if (is_new &&
        PG_RUN(conn, a, &manifest_statements[INSERT], &r, err, pg_int(repository),
               key_arg(a, &w->digest), pg_text(w->media_type), pg_text(w->artifact_type),
               pg_text(w->config_media_type), pg_text(w->architecture), pg_text(w->os),
               pg_text(w->annotations), w->subject ? key_arg(a, w->subject) : pg_null(),
               pg_bytes(w->payload, w->payload_len), pg_int(w->image_size), pg_int(hybrid_clock()),
               pg_text(job->s->region), pg_text(w->is_quarantined ? "Quarantined" : NULL)) != 0)
        return -1;
    *ret_id = pg_get_int(r, 0, 0);
    job->claim.is_used = is_new && pg_get_bool(r, 0, 1);
    if (digest_equal(&w->digest, &w->sha256))
        return 0;
    if (PG_RUN(conn, a, &manifest_statements[ALIAS], NULL, err, pg_int(repository),
               key_arg(a, &w->digest), pg_int(*ret_id)) != 0)
        return -1;
    return PG_RUN(conn, a, &manifest_statements[ALIAS], NULL, err, pg_int(repository),
                  key_arg(a, &w->sha256), pg_int(*ret_id));
}

static int place_tags(struct pg_conn *conn, struct arena *a, const struct write_job *job,
                      int64_t repository, int64_t id, struct error *err)
{
    const struct manifest_write *w = job->w;
    struct pg_result *r = NULL;

    if (w->tag_count == 0)
        return 0;
    if (PG_RUN(conn, a, &manifest_statements[ADD_TAGS], &r, err, pg_int(repository), pg_int(id),
               pg_texts(w->tags, w->tag_count), pg_int(hybrid_clock()),
               pg_text(job->s->region), pg_bool(w->are_tags_new)) != 0)
        return -1;
    /* A tag that may not move is left alone, and then nothing of this happens. */
    if (pg_affected(r) == (int64_t)w->tag_count)
        return 0;
    return w->are_tags_new ? fail_tag_taken(err) : fail_disallowed(err);
}

static int unbury(struct pg_conn *conn, struct arena *a, const struct write_job *job,
                  struct error *err)
{
    const struct manifest_write *w = job->w;
    const char **keys = arena_array(a, w->tag_count + 1, sizeof(*keys));
    char text[DIGEST_TEXT_MAX];

    for (size_t i = 0; i < w->tag_count; i++)
        keys[i] = grave(a, w->repository, ':', w->tags[i]);
    digest_text(&w->digest, text);
    return PG_RUN(conn, a, &manifest_statements[UNBURY], NULL, err, pg_text(job->s->registry_id),
                  pg_text(grave(a, w->repository, '@', text)), pg_texts(keys, w->tag_count),
                  pg_text(w->repository));
}

static int write_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct write_job *job = ctx;
    struct ids blobs = { 0 }, children = { 0 };
    int64_t repository = 0, id = 0;

    if (repository_hold(conn, a, job->s, job->w->repository, &repository, err) != 0 ||
        hold_references(conn, a, job, repository, &blobs, &children, err) != 0 ||
        place_manifest(conn, a, job, repository, &id, err) != 0)
        return -1;
    if (FAILPOINT("manifest.after_row"))
        return fail_errno(err, "store a manifest");
    if (blobs.count > 0 && PG_RUN(conn, a, &manifest_statements[ADD_BLOBS], NULL, err, pg_int(id),
                                  pg_texts(blobs.items, blobs.count)) != 0)
        return -1;
    if (children.count > 0 && PG_RUN(conn, a, &manifest_statements[ADD_CHILDREN], NULL, err,
                                     pg_int(id), pg_texts(children.items, children.count)) != 0)
        return -1;
    if (FAILPOINT("manifest.before_tags"))
        return fail_errno(err, "store a manifest");
    if (place_tags(conn, a, job, repository, id, err) != 0 || unbury(conn, a, job, err) != 0 ||
        repository_touch(conn, a, repository, err) != 0)
        return -1;
    return FAILPOINT("manifest.before_commit") ? fail_errno(err, "store a manifest") : 0;
}

int manifest_store(const struct store *s, struct arena *a, const struct manifest_write *w,
                   struct error *err)
{
    struct write_job job = { .s = s, .w = w };

    int status = pg_transact(s->db, a, write_work, &job, err);
    usage_settle(s->usage, &job.claim, status == 0);
    if (status != 0)
        return -1;
    return FAILPOINT("manifest.after_commit") ? fail_errno(err, "store a manifest") : 0;
}

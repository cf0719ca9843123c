/* Orphans and damaged blobs are dealt with under the locks of a push of the same digest: the guard
 * of this process, then the advisory lock. Both are only tried: who holds them is using the blob,
 * and a later pass comes by again. */
#include "dataplane/store/upkeep.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/failpoint.h"
#include "dataplane/store/content.h"
#include "dataplane/store/guard.h"
#include "dataplane/store/key.h"

#define NAMES_BATCH      500
#define TOMBSTONES_BATCH "1000"
#define READ_BYTES       ((size_t)256 * 1024)

/* SQL stands in columns of its own. */
/* clang-format off */
enum {
    UNNAMED, TRY_DIGEST, IS_NAMED, TOMBSTONES, STATE, NEXT, ONE, SAVE, HOLD, MARK, LINKS
};

const struct pg_stmt upkeep_statements[] = {
    [UNNAMED] = { "upkeep_unnamed",
                  "select c.ord from unnest($2::text[]) with ordinality c(hex, ord) where not "
                  "exists (select from blobs where registry_id = $1 and digest = decode(c.hex, 'hex'))",
                  "uuid text[]" },
    [TRY_DIGEST] = { "upkeep_try_digest",
                     "select pg_try_advisory_xact_lock(hashtextextended($1 || $2, 0))", "text text" },
    [IS_NAMED] = { "upkeep_is_named",
                   "select exists (select from blobs where registry_id = $1 and digest = $2)",
                   "uuid bytea" },
    [TOMBSTONES] = { "upkeep_tombstones",
                     "delete from tombstones t using (select kind, key from tombstones "
                     "where registry_id = $1 and deleted_at < now() - make_interval(secs => $2) "
                     "order by deleted_at limit " TOMBSTONES_BATCH " for update skip locked) old "
                     "where t.registry_id = $1 and t.kind = old.kind and t.key = old.key",
                     "uuid float8" },
    [STATE] = { "scrub_state",
                "select scrub_after, case when isfinite(scrubbed_at) then "
                "extract(epoch from now() - scrubbed_at)::bigint end "
                "from registry_upkeep where registry_id = $1",
                "uuid" },
    [NEXT] = { "scrub_next",
               "select id, digest, size, salt from blobs where registry_id = $1 and id > $2 "
               "and quarantined_at is null order by id limit 32",
               "uuid int8" },
    [ONE] = { "scrub_one",
              "select id, digest, size, salt from blobs where registry_id = $1 and digest = $2 "
              "and quarantined_at is null",
              "uuid bytea" },
    [SAVE] = { "scrub_save",
               "insert into registry_upkeep as u (registry_id, scrub_after, scrubbed_at) "
               "values ($1, $2, case when $3 then now() else '-infinity' end) "
               "on conflict (registry_id) do update set scrub_after = $2, "
               "scrubbed_at = case when $3 then now() else u.scrubbed_at end",
               "uuid int8 bool" },
    [HOLD] = { "scrub_hold",
               "select id from blobs where id = $1 and salt is not distinct from $2 "
               "and quarantined_at is null for no key update skip locked",
               "int8 bytea" },
    [MARK] = { "scrub_mark", "update blobs set quarantined_at = now() where id = $1", "int8" },
    [LINKS] = { "scrub_links",
                "select r.name from repository_blobs l join repositories r "
                "on r.id = l.repository_id where l.blob_id = $1",
                "int8" },
    { 0 },
};
/* clang-format on */

_Static_assert(SCRUB_BATCH == 32, "the statement says so");

struct orphan_job {
    const struct store *s;
    const struct digest *digest;
    bool is_removed;
};

struct names_job {
    const struct store *s;
    const struct digest *digests;
    size_t count;
    struct pg_result *unnamed; /* positions from 1 */
};

struct simple_job {
    const struct store *s;
    const struct digest *digest;
    int64_t number;
    bool flag;
    struct pg_result *result;
};

struct quarantine_job {
    const struct store *s;
    const struct scrub_item *item;
    struct pg_result *links;
    bool is_set_aside;
};

/* --- files without a row -----------------------------------------------------------------------
 */

static int try_digest(struct pg_conn *conn, struct arena *a, const struct store *s,
                      const struct digest *digest, bool *ret, struct error *err)
{
    struct pg_result *r = NULL;
    char text[DIGEST_TEXT_MAX];

    digest_text(digest, text);
    if (PG_RUN(conn, a, &upkeep_statements[TRY_DIGEST], &r, err, pg_text(s->registry_id),
               pg_text(text)) != 0)
        return -1;
    *ret = pg_get_bool(r, 0, 0);
    return 0;
}

static int orphan_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct orphan_job *job = ctx;
    const struct store *s = job->s;
    struct pg_result *r = NULL;
    bool is_ours = false;

    job->is_removed = false;
    if (try_digest(conn, a, s, job->digest, &is_ours, err) != 0)
        return -1;
    if (!is_ours)
        return 0;
    if (PG_RUN(conn, a, &upkeep_statements[IS_NAMED], &r, err, pg_text(s->registry_id),
               key_arg(a, job->digest)) != 0)
        return -1;
    if (pg_get_bool(r, 0, 0))
        return 0;
    if (FAILPOINT("walk.before_remove"))
        return fail_errno(err, "remove an orphan");
    if (s->blobs->driver->remove(s->blobs, job->digest, err) != 0)
        return -1;
    job->is_removed = true;
    return FAILPOINT("walk.after_remove") ? fail_errno(err, "remove an orphan") : 0;
}

static int remove_orphan(const struct store *s, struct arena *a, const struct digest *digest,
                         int64_t *removed, struct error *err)
{
    struct orphan_job job = { .s = s, .digest = digest };
    _cleanup_(guard_unlock) pthread_mutex_t *guard = guard_try(digest);

    if (!guard)
        return 0;
    if (pg_transact(s->db, a, orphan_work, &job, err) != 0)
        return -1;
    *removed += job.is_removed;
    return 0;
}

static int names_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct names_job *job = ctx;
    const char **hex = arena_array(a, job->count + 1, sizeof(*hex));

    for (size_t i = 0; i < job->count; i++)
        hex[i] = key_hex(a, &job->digests[i]);
    return PG_RUN(conn, a, &upkeep_statements[UNNAMED], &job->unnamed, err,
                  pg_text(job->s->registry_id), pg_texts(hex, job->count));
}

int upkeep_orphans(const struct store *s, struct arena *a, unsigned part, int64_t *ret_removed,
                   struct error *err)
{
    struct digest *digests = NULL;
    size_t count = 0;

    if (s->blobs->driver->list(s->blobs, part, a, &digests, &count, err) != 0)
        return -1;
    for (size_t at = 0; at < count; at += NAMES_BATCH) {
        size_t left = count - at;
        struct names_job job = { .s = s,
                                 .digests = digests + at,
                                 .count = left < NAMES_BATCH ? left : NAMES_BATCH };
        if (pg_with(s->db, a, names_work, &job, err) != 0)
            return -1;
        for (size_t i = 0; i < pg_rows(job.unnamed); i++) {
            const struct digest *digest = &job.digests[pg_get_int(job.unnamed, i, 0) - 1];
            if (remove_orphan(s, a, digest, ret_removed, err) != 0)
                return -1;
        }
    }
    return 0;
}

/* --- tombstones --------------------------------------------------------------------------------
 */

static int tombstones_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct simple_job *job = ctx;

    return PG_RUN(conn, a, &upkeep_statements[TOMBSTONES], &job->result, err,
                  pg_text(job->s->registry_id),
                  pg_text(arena_printf(a, "%lld", (long long)job->number)));
}

int upkeep_tombstones(const struct store *s, struct arena *a, int64_t keep_s, int64_t *ret_removed,
                      struct error *err)
{
    struct simple_job job = { .s = s, .number = keep_s };

    if (pg_transact(s->db, a, tombstones_work, &job, err) != 0)
        return -1;
    *ret_removed = pg_affected(job.result);
    return 0;
}

/* --- damaged content ---------------------------------------------------------------------------
 */

static int state_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct simple_job *job = ctx;

    return PG_RUN(conn, a, &upkeep_statements[STATE], &job->result, err,
                  pg_text(job->s->registry_id));
}

int scrub_load(const struct store *s, struct arena *a, struct scrub_state *ret, struct error *err)
{
    struct simple_job job = { .s = s };

    if (pg_with(s->db, a, state_work, &job, err) != 0)
        return -1;
    *ret = (struct scrub_state){ .age_s = INT64_MAX };
    if (pg_rows(job.result) == 0)
        return 0;
    ret->after = pg_get_int(job.result, 0, 0);
    if (!pg_is_null(job.result, 0, 1))
        ret->age_s = pg_get_int(job.result, 0, 1);
    return 0;
}

static int next_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct simple_job *job = ctx;

    return PG_RUN(conn, a, &upkeep_statements[NEXT], &job->result, err,
                  pg_text(job->s->registry_id), pg_int(job->number));
}

static void read_item(const struct pg_result *r, size_t row, struct scrub_item *ret)
{
    size_t len = 0;
    const void *salt = pg_get_bytes(r, row, 3, &len);

    *ret = (struct scrub_item){ .id = pg_get_int(r, row, 0) };
    key_read(r, row, 1, &ret->ref.digest);
    ret->ref.size = (uint64_t)pg_get_int(r, row, 2);
    ret->ref.is_sealed = salt != NULL;
    if (salt && len == BLOB_SALT_BYTES)
        memcpy(ret->ref.salt, salt, BLOB_SALT_BYTES);
}

int scrub_next(const struct store *s, struct arena *a, int64_t after, struct scrub_item **ret,
               size_t *ret_count, struct error *err)
{
    struct simple_job job = { .s = s, .number = after };

    if (pg_with(s->db, a, next_work, &job, err) != 0)
        return -1;
    *ret_count = pg_rows(job.result);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++)
        read_item(job.result, i, &(*ret)[i]);
    return 0;
}

static int one_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct simple_job *job = ctx;

    return PG_RUN(conn, a, &upkeep_statements[ONE], &job->result, err, pg_text(job->s->registry_id),
                  key_arg(a, job->digest));
}

int scrub_find(const struct store *s, struct arena *a, const struct digest *digest,
               struct scrub_item *ret, struct error *err)
{
    struct simple_job job = { .s = s, .digest = digest };

    if (pg_with(s->db, a, one_work, &job, err) != 0)
        return -1;
    if (pg_rows(job.result) == 0)
        return 0;
    read_item(job.result, 0, ret);
    return 1;
}

static int save_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct simple_job *job = ctx;

    return PG_RUN(conn, a, &upkeep_statements[SAVE], NULL, err, pg_text(job->s->registry_id),
                  pg_int(job->number), pg_bool(job->flag));
}

int scrub_save(const struct store *s, struct arena *a, int64_t after, bool is_end,
               struct error *err)
{
    struct simple_job job = { .s = s, .number = is_end ? 0 : after, .flag = is_end };

    return pg_with(s->db, a, save_work, &job, err);
}

/* What the disk cannot give back, or is not authentic, is damaged; a process short of descriptors
 * says nothing about the blob, but then opening fails before a byte is read. */
int scrub_verify(const struct store *s, const struct blob_ref *ref, struct error *err)
{
    const struct blob_driver *driver = s->blobs->driver;
    _cleanup_(hasher_freep) struct hasher *h = hasher_new(ref->digest.algorithm);
    _cleanup_(freep) uint8_t *buffer = malloc(READ_BYTES);
    struct blob_reader *reader = NULL;
    struct digest actual;
    uint64_t at = 0;
    ssize_t n = 0;

    if (!buffer)
        abort();
    int exists = driver->exists(s->blobs, &ref->digest, err);
    if (exists != 1)
        return exists;
    if (driver->get(s->blobs, ref, &reader, err) != 1)
        return 0;
    while ((n = driver->read(reader, at, buffer, READ_BYTES, err)) > 0) {
        hasher_update(h, buffer, (size_t)n);
        at += (uint64_t)n;
    }
    driver->release(reader);
    hasher_peek(h, &actual);
    return n == 0 && at == ref->size && digest_equal(&actual, &ref->digest);
}

static int quarantine_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct quarantine_job *job = ctx;
    const struct store *s = job->s;
    const struct blob_ref *ref = &job->item->ref;
    struct pg_result *r = NULL;
    bool is_ours = false;

    job->is_set_aside = false;
    if (try_digest(conn, a, s, &ref->digest, &is_ours, err) != 0)
        return -1;
    if (!is_ours)
        return 0;
    if (PG_RUN(conn, a, &upkeep_statements[HOLD], &r, err, pg_int(job->item->id),
               ref->is_sealed ? pg_bytes(ref->salt, BLOB_SALT_BYTES) : pg_null()) != 0)
        return -1;
    if (pg_rows(r) == 0)
        return 0;
    int verdict = scrub_verify(s, ref, err);
    if (verdict != 0)
        return verdict < 0 ? -1 : 0;
    if (PG_RUN(conn, a, &upkeep_statements[MARK], NULL, err, pg_int(job->item->id)) != 0 ||
        PG_RUN(conn, a, &upkeep_statements[LINKS], &job->links, err, pg_int(job->item->id)) != 0)
        return -1;
    /* The file goes before the mark is committed: a crash in between leaves a row whose file is
     * not there, which the next pass marks and a push heals. */
    if (FAILPOINT("scrub.before_aside"))
        return fail_errno(err, "set a blob aside");
    if (s->blobs->driver->set_aside(s->blobs, &ref->digest, err) != 0)
        return -1;
    job->is_set_aside = true;
    return FAILPOINT("scrub.after_aside") ? fail_errno(err, "set a blob aside") : 0;
}

int scrub_quarantine(const struct store *s, struct arena *a, const struct scrub_item *item,
                     const char ***ret_repositories, size_t *ret_count, struct error *err)
{
    struct quarantine_job job = { .s = s, .item = item };
    _cleanup_(guard_unlock) pthread_mutex_t *guard = guard_try(&item->ref.digest);

    *ret_count = 0;
    if (!guard)
        return 0;
    if (pg_transact(s->db, a, quarantine_work, &job, err) != 0)
        return -1;
    if (!job.is_set_aside)
        return 0;
    *ret_count = pg_rows(job.links);
    *ret_repositories = arena_array(a, *ret_count + 1, sizeof(**ret_repositories));
    for (size_t i = 0; i < *ret_count; i++)
        (*ret_repositories)[i] = pg_get_text(job.links, i, 0);
    return 1;
}

/* Blobs of a registry and their links to repositories. A blob's row and its file change together
 * under an advisory lock on its digest, which the collector takes as well: so a file is never
 * removed under somebody who has just decided that it is there. */
#include "dataplane/store/content.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/failpoint.h"
#include "dataplane/oci/errors.h"
#include "dataplane/store/guard.h"
#include "dataplane/store/key.h"
#include "dataplane/store/usage.h"

/* SQL stands in columns of its own. */
/* clang-format off */
enum { FIND, LOCK_DIGEST, ROW, INSERT, ALIAS, LINK, HAVE, READERS, IS_LOCKED, UNLINK };

#define BY_DIGEST(column)                                                                          \
    "(select id from blobs where registry_id = $1 and digest = " column " union all "              \
    "select blob_id from blob_aliases where registry_id = $1 and digest = " column ")"

const struct pg_stmt blob_statements[] = {
    [FIND] = { "blob_find",
               "select b.id, b.digest, b.size, b.salt, r.can_read from repositories r "
               "join lateral " BY_DIGEST("$3") " f on true join blobs b on b.id = f.id "
               "join repository_blobs l on l.repository_id = r.id and l.blob_id = b.id "
               "where r.registry_id = $1 and r.name = $2 and b.quarantined_at is null limit 1",
               "uuid text bytea" },
    [LOCK_DIGEST] = { "blob_lock_digest",
                      "select pg_advisory_xact_lock(hashtextextended($1 || $2, 0))", "text text" },
    [ROW] = { "blob_row",
              "select id, size, salt, quarantined_at is null from blobs where registry_id = $1 "
              "and digest = $2 for key share",
              "uuid bytea" },
    [INSERT] = { "blob_insert",
                 "insert into blobs (registry_id, digest, size, salt) values ($1, $2, $3, $4) "
                 "on conflict (registry_id, digest) do update set salt = excluded.salt, "
                 "quarantined_at = null returning id",
                 "uuid bytea int8 bytea" },
    [ALIAS] = { "blob_alias",
                "insert into blob_aliases (registry_id, digest, blob_id) values ($1, $2, $3) "
                "on conflict (registry_id, digest) do nothing",
                "uuid bytea int8" },
    /* Linked again, it is young again: the collector's delay starts anew. */
    [LINK] = { "blob_link",
               "insert into repository_blobs (repository_id, blob_id) values ($1, $2) "
               "on conflict (repository_id, blob_id) do update set created_at = now()",
               "int8 int8" },
    [HAVE] = { "blob_have",
               "select b.id from blobs b where b.id in " BY_DIGEST("$2") " "
               "and b.quarantined_at is null for key share of b",
               "uuid bytea" },
    [READERS] = { "blob_readers",
                  "select r.name from repository_blobs l join repositories r "
                  "on r.id = l.repository_id where l.blob_id = $1 and r.can_read "
                  "and ($2::text is null or r.name = $2) limit 100",
                  "int8 text" },
    /* An image that may not be deleted, or is what a tag that may not shows, keeps its content. */
    [IS_LOCKED] = { "blob_is_locked",
                    "select exists (select from manifest_blobs mb join manifests m "
                    "on m.id = mb.manifest_id and m.repository_id = $3 "
                    "where mb.blob_id in " BY_DIGEST("$2") " and " SQL_IS_LOCKED("m") ")",
                    "uuid bytea int8" },
    [UNLINK] = { "blob_unlink",
                 "delete from repository_blobs l using repositories r where r.registry_id = $1 "
                 "and r.name = $2 and l.repository_id = r.id and l.blob_id in " BY_DIGEST("$3"),
                 "uuid text bytea" },
    { 0 },
};
/* clang-format on */

struct find_job {
    const struct store *s;
    const char *repository;
    const struct digest *digest;
    struct blob_found *found;
    int status;
};

struct publish_job {
    const struct store *s;
    const char *repository;
    struct blob_writer *w;
    const struct digest *named;
    int64_t storage_limit;
    bool is_written;          /* the bytes stand under their digest because of us */
    struct usage_claim claim; /* of their size */
};

struct mount_job {
    const struct store *s;
    const char *repository, *from;
    const struct digest *digest;
    may_read_repository *may;
    void *ctx;
    int status;
};

static int read_ref(const struct pg_result *r, size_t col, struct blob_ref *ref, struct error *err)
{
    size_t len = 0;
    const void *salt = pg_get_bytes(r, 0, col + 1, &len);

    ref->size = (uint64_t)pg_get_int(r, 0, col);
    ref->is_sealed = salt != NULL;
    if (salt && len != BLOB_SALT_BYTES)
        return fail_cause(err, &E_INTERNAL, "a blob has a salt of %zu bytes", len);
    if (salt)
        memcpy(ref->salt, salt, BLOB_SALT_BYTES);
    return 0;
}

static int find_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct find_job *job = ctx;
    struct blob_found *found = job->found;
    struct pg_result *r = NULL;

    job->status = 0;
    if (PG_RUN(conn, a, &blob_statements[FIND], &r, err, pg_text(job->s->registry_id),
               pg_text(job->repository), key_arg(a, job->digest)) != 0)
        return -1;
    if (pg_rows(r) == 0)
        return 0;
    *found = (struct blob_found){ .id = pg_get_int(r, 0, 0), .can_read = pg_get_bool(r, 0, 4) };
    key_read(r, 0, 1, &found->ref.digest);
    if (read_ref(r, 2, &found->ref, err) != 0)
        return -1;
    job->status = 1;
    return 0;
}

int blob_find(const struct store *s, struct arena *a, const char *repository,
              const struct digest *digest, struct blob_found *ret, struct error *err)
{
    struct find_job job = { .s = s, .repository = repository, .digest = digest, .found = ret };

    return pg_with(s->db, a, find_work, &job, err) != 0 ? -1 : job.status;
}

/* 1: the store has what the row promises, as far as a file's header and length tell. A file that
 * cannot be read is replaced like one that is not there. */
static int is_intact(const struct store *s, const struct pg_result *r, const struct digest *digest,
                     struct error *err)
{
    struct blob_ref ref = { .digest = *digest };
    struct blob_reader *reader = NULL;
    struct error ignored = { 0 };

    if (read_ref(r, 1, &ref, err) != 0)
        return -1;
    if (!pg_get_bool(r, 0, 3) || s->blobs->driver->get(s->blobs, &ref, &reader, &ignored) != 1)
        return 0;
    s->blobs->driver->release(reader);
    return 1;
}

static int write_bytes(struct pg_conn *conn, struct arena *a, struct publish_job *job,
                       const struct blob_ref *ref, int64_t *ret_id, struct error *err)
{
    const struct store *s = job->s;
    struct pg_result *r = NULL;

    /* This function ran before, its transaction was repeated, and the collector came between. */
    if (job->is_written && s->blobs->driver->exists(s->blobs, &ref->digest, err) != 1)
        return fail_cause(err, &E_UNAVAILABLE, "a blob was collected while it was published");
    if (blob_writer_commit(job->w, err) != 0)
        return -1;
    job->is_written = true;
    if (PG_RUN(conn, a, &blob_statements[INSERT], &r, err, pg_text(s->registry_id),
               key_arg(a, &ref->digest), pg_int((int64_t)ref->size),
               ref->is_sealed ? pg_bytes(ref->salt, BLOB_SALT_BYTES) : pg_null()) != 0)
        return -1;
    *ret_id = pg_get_int(r, 0, 0);
    return 0;
}

/* The bytes under their digest and their row's id. What is there already stays; what a row promises
 * and the store lacks is healed. */
static int place_bytes(struct pg_conn *conn, struct arena *a, struct publish_job *job,
                       const struct blob_ref *ref, int64_t *ret_id, struct error *err)
{
    const struct store *s = job->s;
    struct pg_result *r = NULL;
    int intact = 0;

    if (PG_RUN(conn, a, &blob_statements[ROW], &r, err, pg_text(s->registry_id),
               key_arg(a, &ref->digest)) != 0)
        return -1;
    if (pg_rows(r) == 1) {
        intact = is_intact(s, r, &ref->digest, err);
        if (intact < 0)
            return -1;
        *ret_id = pg_get_int(r, 0, 0);
        return intact == 1 ? 0 : write_bytes(conn, a, job, ref, ret_id, err);
    }
    if (usage_claim(s, conn, a, &job->claim, (int64_t)ref->size, job->storage_limit, err) != 0)
        return -1;
    job->claim.is_used = true;
    return write_bytes(conn, a, job, ref, ret_id, err);
}

static int publish_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct publish_job *job = ctx;
    const struct store *s = job->s;
    struct blob_ref ref;
    char text[DIGEST_TEXT_MAX];
    int64_t repository = 0, id = 0;

    job->claim.is_used = false; /* of a run that is repeated */
    blob_writer_ref(job->w, &ref);
    digest_text(&ref.digest, text);
    if (repository_hold(conn, a, s, job->repository, &repository, err) != 0 ||
        PG_RUN(conn, a, &blob_statements[LOCK_DIGEST], NULL, err, pg_text(s->registry_id),
               pg_text(text)) != 0 ||
        place_bytes(conn, a, job, &ref, &id, err) != 0)
        return -1;
    if (FAILPOINT("publish.after_row"))
        return fail_errno(err, "publish a blob");
    if (!digest_equal(job->named, &ref.digest) &&
        PG_RUN(conn, a, &blob_statements[ALIAS], NULL, err, pg_text(s->registry_id),
               key_arg(a, job->named), pg_int(id)) != 0)
        return -1;
    if (PG_RUN(conn, a, &blob_statements[LINK], NULL, err, pg_int(repository), pg_int(id)) != 0)
        return -1;
    return FAILPOINT("publish.before_commit") ? fail_errno(err, "publish a blob") : 0;
}

int blob_publish(const struct store *s, struct arena *a, const char *repository,
                 struct blob_writer *w, const struct digest *named, int64_t storage_limit,
                 struct error *err)
{
    struct publish_job job = {
        .s = s, .repository = repository, .w = w, .named = named, .storage_limit = storage_limit
    };
    struct blob_ref ref;

    blob_writer_ref(w, &ref);
    pthread_mutex_t *guard = guard_lock(&ref.digest);
    int status = pg_transact(s->db, a, publish_work, &job, err);
    usage_settle(s->usage, &job.claim, status == 0);
    guard_unlock(&guard);
    if (status != 0)
        return -1;
    return FAILPOINT("publish.after_commit") ? fail_errno(err, "publish a blob") : 0;
}

static int mount_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct mount_job *job = ctx;
    const struct store *s = job->s;
    struct pg_result *r = NULL;
    int64_t repository = 0;
    bool is_readable = false;

    job->status = 0;
    if (PG_RUN(conn, a, &blob_statements[HAVE], &r, err, pg_text(s->registry_id),
               key_arg(a, job->digest)) != 0)
        return -1;
    if (pg_rows(r) == 0)
        return 0;
    int64_t id = pg_get_int(r, 0, 0);
    if (PG_RUN(conn, a, &blob_statements[READERS], &r, err, pg_int(id), pg_text(job->from)) != 0)
        return -1;
    for (size_t i = 0; i < pg_rows(r) && !is_readable; i++)
        is_readable = job->may(job->ctx, pg_get_text(r, i, 0));
    if (!is_readable)
        return 0;
    if (repository_hold(conn, a, s, job->repository, &repository, err) != 0 ||
        PG_RUN(conn, a, &blob_statements[LINK], NULL, err, pg_int(repository), pg_int(id)) != 0)
        return -1;
    job->status = 1;
    return FAILPOINT("mount.before_commit") ? fail_errno(err, "mount a blob") : 0;
}

int blob_mount(const struct store *s, struct arena *a, const char *repository, const char *from,
               const struct digest *digest, may_read_repository *may, void *ctx, struct error *err)
{
    struct mount_job job = {
        .s = s, .repository = repository, .from = from, .digest = digest, .may = may, .ctx = ctx
    };

    if (pg_transact(s->db, a, mount_work, &job, err) != 0)
        return -1;
    if (job.status == 1 && FAILPOINT("mount.after_commit"))
        return fail_errno(err, "mount a blob");
    return job.status;
}

static int unlink_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct find_job *job = ctx;
    struct pg_result *r = NULL;
    int64_t repository = 0;

    job->status = 0;
    /* Holds the repository's lock against us; a repository that is not there is not made to last.
     */
    if (repository_hold(conn, a, job->s, job->repository, &repository, err) != 0 ||
        PG_RUN(conn, a, &blob_statements[IS_LOCKED], &r, err, pg_text(job->s->registry_id),
               key_arg(a, job->digest), pg_int(repository)) != 0)
        return -1;
    if (pg_get_bool(r, 0, 0))
        return fail_disallowed(err);
    if (PG_RUN(conn, a, &blob_statements[UNLINK], &r, err, pg_text(job->s->registry_id),
               pg_text(job->repository), key_arg(a, job->digest)) != 0)
        return -1;
    job->status = pg_affected(r) > 0;
    if (FAILPOINT("unlink.before_commit"))
        return fail_errno(err, "unlink a blob");
    return job->status ? 0 : fail(err, &E_BLOB_UNKNOWN, "blob unknown to registry");
}

int blob_unlink(const struct store *s, struct arena *a, const char *repository,
                const struct digest *digest, struct error *err)
{
    struct find_job job = { .s = s, .repository = repository, .digest = digest };

    if (pg_transact(s->db, a, unlink_work, &job, err) != 0)
        return -1;
    return FAILPOINT("unlink.after_commit") ? fail_errno(err, "unlink a blob") : 0;
}

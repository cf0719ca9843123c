/* A writer holds the row its key-values belong to, so that their number is exact. */
#include "dataplane/store/metadata.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/pg/pg.h"
#include "dataplane/oci/errors.h"
#include "dataplane/store/content.h"
#include "dataplane/store/key.h"

/* SQL stands in columns of its own. */
/* clang-format off */
enum { REPOSITORY, TAG, MANIFEST, HOLD_REPOSITORY, HOLD_TAG, HOLD_MANIFEST, LIST, COUNT, UPDATE,
       INSERT, REMOVE };

#define REPOSITORY_ID                                                                              \
    "(select id from repositories r where r.registry_id = $1 and r.name = $2 and exists "          \
    "(select from manifests m where m.repository_id = r.id))"
#define IS_OWNER                                                                                   \
    "x.repository_id is not distinct from $1 and x.tag is not distinct from $2 "                   \
    "and x.manifest_id is not distinct from $3"
#define OF_DIGEST                                                                                  \
    "(select id from manifests where repository_id = r.id and digest = $3 union all "              \
    "select manifest_id from manifest_aliases where repository_id = r.id and digest = $3)"

/* Each gives repository, tag and manifest as the rows have them. */
const struct pg_stmt metadata_statements[] = {
    [REPOSITORY] = { "metadata_repository", "select " REPOSITORY_ID, "uuid text" },
    [TAG] = { "metadata_tag",
              "select t.repository_id from repositories r join tags t on t.repository_id = r.id "
              "where r.registry_id = $1 and r.name = $2 and t.name = $3",
              "uuid text text" },
    [MANIFEST] = { "metadata_manifest",
                   "select f.id from repositories r join lateral " OF_DIGEST " f on true "
                   "where r.registry_id = $1 and r.name = $2 limit 1",
                   "uuid text bytea" },
    [HOLD_REPOSITORY] = { "metadata_hold_repository",
                          "select id from repositories where id = $1 for no key update", "int8" },
    [HOLD_TAG] = { "metadata_hold_tag",
                   "select repository_id from tags where repository_id = $1 and name = $2 "
                   "for no key update",
                   "int8 text" },
    [HOLD_MANIFEST] = { "metadata_hold_manifest",
                        "select id from manifests where id = $1 and deleted_at is null "
                        "for no key update",
                        "int8" },
    [LIST] = { "metadata_list",
               "select x.key, x.media_type, x.value, x.created_at, x.updated_at from metadata x "
               "where " IS_OWNER " and ($4::text is null or x.key = $4) order by x.key",
               "int8 text int8 text" },
    [COUNT] = { "metadata_count", "select count(*) from metadata x where " IS_OWNER,
                "int8 text int8" },
    [UPDATE] = { "metadata_update",
                 "update metadata x set media_type = $5, value = $6, updated_at = now() "
                 "where " IS_OWNER " and x.key = $4",
                 "int8 text int8 text text bytea" },
    [INSERT] = { "metadata_insert",
                 "insert into metadata (repository_id, tag, manifest_id, key, media_type, value) "
                 "values ($1, $2, $3, $4, $5, $6)",
                 "int8 text int8 text text bytea" },
    [REMOVE] = { "metadata_remove",
                 "delete from metadata x where " IS_OWNER " and x.key = $4",
                 "int8 text int8 text" },
    { 0 },
};
/* clang-format on */

struct metadata_job {
    const struct store *s;
    const struct metadata_owner *owner;
    const char *key;
    const struct metadata_value *value;
    struct metadata_list *list;
    int64_t id; /* of the manifest, or of the repository */
    int status;
};

/* 1: job->id is set. */
static int find(struct pg_conn *conn, struct arena *a, struct metadata_job *job, struct error *err)
{
    const struct metadata_owner *o = job->owner;
    struct pg_result *r = NULL;
    struct pg_arg args[3] = { pg_text(job->s->registry_id), pg_text(o->repository) };
    int statement = REPOSITORY;
    size_t count = 2;

    if (o->tag || o->digest) {
        statement = o->tag ? TAG : MANIFEST;
        args[count++] = o->tag ? pg_text(o->tag) : key_arg(a, o->digest);
    }
    if (pg_run(conn, a, &metadata_statements[statement], args, count, &r, err) != 0)
        return -1;
    if (pg_rows(r) == 0 || pg_is_null(r, 0, 0))
        return 0;
    job->id = pg_get_int(r, 0, 0);
    return 1;
}

static int hold(struct pg_conn *conn, struct arena *a, const struct metadata_job *job,
                struct error *err)
{
    const struct metadata_owner *o = job->owner;
    struct pg_result *r = NULL;
    const struct pg_arg args[] = { pg_int(job->id), pg_text(o->tag) };
    int statement = o->tag ? HOLD_TAG : o->digest ? HOLD_MANIFEST : HOLD_REPOSITORY;

    if (pg_run(conn, a, &metadata_statements[statement], args, o->tag ? 2 : 1, &r, err) != 0)
        return -1;
    return pg_rows(r) == 1;
}

/* The first three parameters of every statement on the rows. */
static int run_rows(struct pg_conn *conn, struct arena *a, const struct metadata_job *job,
                    int statement, size_t count, struct pg_result **ret, struct error *err)
{
    const struct metadata_owner *o = job->owner;
    const struct metadata_value *v = job->value;
    const struct pg_arg args[] = {
        o->digest ? pg_null() : pg_int(job->id), pg_text(o->tag),
        o->digest ? pg_int(job->id) : pg_null(), pg_text(job->key),
        pg_text(v ? v->media_type : NULL),       v ? pg_bytes(v->bytes, v->len) : pg_null()
    };

    return pg_run(conn, a, &metadata_statements[statement], args, count, ret, err);
}

static int get_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct metadata_job *job = ctx;
    struct metadata_list *ret = job->list;
    struct pg_result *r = NULL;

    job->status = find(conn, a, job, err);
    if (job->status != 1)
        return job->status;
    if (run_rows(conn, a, job, LIST, 4, &r, err) != 0)
        return -1;
    ret->count = pg_rows(r);
    ret->items = arena_array(a, ret->count + 1, sizeof(*ret->items));
    for (size_t i = 0; i < ret->count; i++) {
        struct metadata_value *v = &ret->items[i];
        v->key = pg_get_text(r, i, 0);
        v->media_type = pg_get_text(r, i, 1);
        v->bytes = pg_get_bytes(r, i, 2, &v->len);
        v->created_us = pg_get_time_us(r, i, 3);
        v->updated_us = pg_get_time_us(r, i, 4);
    }
    return 0;
}

int metadata_get(const struct store *s, struct arena *a, const struct metadata_owner *owner,
                 const char *key, struct metadata_list *ret, struct error *err)
{
    struct metadata_job job = { .s = s, .owner = owner, .key = key, .list = ret };

    *ret = (struct metadata_list){ 0 };
    return pg_with(s->db, a, get_work, &job, err) != 0 ? -1 : job.status;
}

static int set_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct metadata_job *job = ctx;
    struct pg_result *r = NULL;

    job->status = find(conn, a, job, err);
    if (job->status == 1)
        job->status = hold(conn, a, job, err);
    if (job->status != 1)
        return job->status;
    if (run_rows(conn, a, job, UPDATE, 6, &r, err) != 0)
        return -1;
    if (pg_affected(r) > 0)
        return 0;
    if (run_rows(conn, a, job, COUNT, 3, &r, err) != 0)
        return -1;
    if (pg_get_int(r, 0, 0) >= METADATA_MAX)
        return fail(err, &E_METADATA_FULL, "No more than %d keys can be attached.", METADATA_MAX);
    return run_rows(conn, a, job, INSERT, 6, NULL, err);
}

int metadata_set(const struct store *s, struct arena *a, const struct metadata_owner *owner,
                 const struct metadata_value *value, struct error *err)
{
    struct metadata_job job = { .s = s, .owner = owner, .key = value->key, .value = value };

    return pg_transact(s->db, a, set_work, &job, err) != 0 ? -1 : job.status;
}

static int remove_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct metadata_job *job = ctx;
    struct pg_result *r = NULL;

    job->status = find(conn, a, job, err);
    if (job->status != 1)
        return job->status;
    if (run_rows(conn, a, job, REMOVE, 4, &r, err) != 0)
        return -1;
    job->status = pg_affected(r) > 0;
    return 0;
}

int metadata_remove(const struct store *s, struct arena *a, const struct metadata_owner *owner,
                    const char *key, struct error *err)
{
    struct metadata_job job = { .s = s, .owner = owner, .key = key };

    return pg_transact(s->db, a, remove_work, &job, err) != 0 ? -1 : job.status;
}

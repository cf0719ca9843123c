/* Purging works in batches of held rows and waits for nobody: what somebody else holds is being
 * restored or purged by them. */
#include "dataplane/store/expiry.h"

#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "dataplane/store/bin.h"
#include "dataplane/store/content.h"
#include "dataplane/store/key.h"
#include "dataplane/store/usage.h"

enum { PURGE_HOLD, DROP_PARENTS, PURGE, UNTAGGED, FORGET, NEXT_BIN, NEXT_UNTAGGED };

/* Bins are a range of the index by name: '0' follows '/'. */
#define BINS "r.registry_id = $1 and r.name > '_deleted/' and r.name < '_deleted0'"

const struct pg_stmt expiry_statements[] = {
    [PURGE_HOLD] = { "expiry_hold",
                     "select m.id from repositories r join manifests m on m.repository_id = r.id "
                     "where " BINS " and m.deleted_at <= now() - make_interval(days => $2::int) "
                     "order by m.id limit 100 for update of m skip locked",
                     "uuid int8" },
    [DROP_PARENTS] = { "expiry_drop_parents",
                       "delete from manifest_children c using (select manifest_id, child_id "
                       "from manifest_children where child_id = any ($1) or manifest_id = any ($1) "
                       "order by manifest_id, child_id for update) l "
                       "where c.manifest_id = l.manifest_id and c.child_id = l.child_id",
                       "int8[]" },
    [PURGE] = { "expiry_purge", "delete from manifests where id = any ($1)", "int8[]" },
    [UNTAGGED] = { "expiry_untagged",
                   "select r.name, m.digest from untagged_manifests u "
                   "join manifests m on m.id = u.manifest_id "
                   "join repositories r on r.id = m.repository_id where u.registry_id = $1 "
                   "and u.untagged_at <= now() - make_interval(days => $2::int) "
                   "order by u.untagged_at limit 100",
                   "uuid int8" },
    [FORGET] = { "expiry_forget", "delete from untagged_manifests where registry_id = $1", "uuid" },
    [NEXT_BIN] = { "expiry_next_bin",
                   "select extract(epoch from min(x.deleted_at) + make_interval(days => $2::int) "
                   "- now())::int8 from repositories r cross join lateral "
                   "(select m.deleted_at from manifests m where m.repository_id = r.id "
                   "and m.deleted_at is not null order by m.deleted_at limit 1) x where " BINS,
                   "uuid int8" },
    [NEXT_UNTAGGED] = { "expiry_next_untagged",
                        "select extract(epoch from min(untagged_at) + "
                        "make_interval(days => $2::int) - now())::int8 "
                        "from untagged_manifests where registry_id = $1",
                        "uuid int8" },
    { 0 },
};

struct expiry_job {
    const struct store *s;
    int64_t days, other_days;
    int64_t number;
    struct pg_result *result;
};

static int purge_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct expiry_job *job = ctx;
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &expiry_statements[PURGE_HOLD], &r, err, pg_text(job->s->registry_id),
               pg_int(job->days)) != 0)
        return -1;
    size_t count = pg_rows(r);
    job->number = (int64_t)count;
    if (count == 0)
        return 0;
    const char **ids = arena_array(a, count, sizeof(*ids));
    for (size_t i = 0; i < count; i++)
        ids[i] = arena_printf(a, "%" PRId64, pg_get_int(r, i, 0));
    if (PG_RUN(conn, a, &expiry_statements[DROP_PARENTS], NULL, err, pg_texts(ids, count)) != 0)
        return -1;
    return PG_RUN(conn, a, &expiry_statements[PURGE], NULL, err, pg_texts(ids, count));
}

int expiry_purge(const struct store *s, struct arena *a, int64_t days, int64_t *ret_count,
                 struct error *err)
{
    struct expiry_job job = { .s = s, .days = days };

    int status = pg_transact(s->db, a, purge_work, &job, err);
    usage_note_less(s->usage);
    if (status != 0)
        return -1;
    *ret_count = job.number;
    return 0;
}

static int untagged_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct expiry_job *job = ctx;

    return PG_RUN(conn, a, &expiry_statements[UNTAGGED], &job->result, err,
                  pg_text(job->s->registry_id), pg_int(job->days));
}

int expiry_untagged(const struct store *s, struct arena *a, int64_t days, struct untagged **ret,
                    size_t *ret_count, struct error *err)
{
    struct expiry_job job = { .s = s, .days = days };

    if (pg_with(s->db, a, untagged_work, &job, err) != 0)
        return -1;
    *ret_count = pg_rows(job.result);
    *ret = arena_array(a, *ret_count + 1, sizeof(**ret));
    for (size_t i = 0; i < *ret_count; i++) {
        (*ret)[i].repository = pg_get_text(job.result, i, 0);
        key_read(job.result, i, 1, &(*ret)[i].digest);
    }
    return 0;
}

static int forget_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    const struct expiry_job *job = ctx;

    return PG_RUN(conn, a, &expiry_statements[FORGET], NULL, err, pg_text(job->s->registry_id));
}

int expiry_forget_untagged(const struct store *s, struct arena *a, struct error *err)
{
    struct expiry_job job = { .s = s };

    return pg_transact(s->db, a, forget_work, &job, err);
}

static int earlier(struct pg_conn *conn, struct arena *a, struct expiry_job *job, int statement,
                   int64_t days, struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &expiry_statements[statement], &r, err, pg_text(job->s->registry_id),
               pg_int(days)) != 0)
        return -1;
    if (pg_is_null(r, 0, 0))
        return 0;
    int64_t due_s = pg_get_int(r, 0, 0) > 0 ? pg_get_int(r, 0, 0) : 0;
    if (job->number < 0 || due_s < job->number)
        job->number = due_s;
    return 0;
}

static int next_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct expiry_job *job = ctx;

    job->number = -1;
    if (earlier(conn, a, job, NEXT_BIN, job->days, err) != 0)
        return -1;
    return job->other_days < 0 ? 0 : earlier(conn, a, job, NEXT_UNTAGGED, job->other_days, err);
}

int expiry_next(const struct store *s, struct arena *a, int64_t bin_days, int64_t retention_days,
                int64_t *ret_s, struct error *err)
{
    struct expiry_job job = { .s = s, .days = bin_days, .other_days = retention_days };

    if (pg_with(s->db, a, next_work, &job, err) != 0)
        return -1;
    *ret_s = job.number;
    return 0;
}

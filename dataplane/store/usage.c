/* One counter under one lock; see usage.h for why that is exact. */
#include "dataplane/store/usage.h"

#include <pthread.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "dataplane/oci/errors.h"
#include "dataplane/store/content.h"

enum { SUM, OF_REPOSITORY };

const struct pg_stmt usage_statements[] = {
    [SUM] = { "usage_sum",
              "select coalesce(sum(bytes), 0)::bigint from registry_usage where registry_id = $1",
              "uuid" },
    [OF_REPOSITORY] = { "usage_of_repository",
                        "select coalesce(b.own, 0)::bigint, coalesce(b.shared, 0)::bigint, "
                        "coalesce(m.bytes, 0)::bigint from repositories r cross join lateral "
                        "(select count(*) as n, sum(octet_length(payload)) as bytes "
                        "from manifests where repository_id = r.id) m cross join lateral "
                        "(select count(*) as n, sum(b.size) filter (where not x.is_shared) as own, "
                        "sum(b.size) filter (where x.is_shared) as shared "
                        "from repository_blobs l join blobs b on b.id = l.blob_id "
                        "cross join lateral (select exists (select from repository_blobs o "
                        "where o.blob_id = l.blob_id and o.repository_id <> r.id) as is_shared) x "
                        "where l.repository_id = r.id) b "
                        "where r.registry_id = $1 and r.name = $2 and m.n + b.n > 0",
                        "uuid text" },
    { 0 },
};

struct usage {
    pthread_mutex_t lock;
    pthread_cond_t settled;
    int64_t bytes;      /* counted and reserved */
    unsigned under_way; /* reservations not settled */
    bool is_known;
    bool is_less; /* some of it may be gone since the count */
};

struct usage *usage_new(void)
{
    struct usage *u = calloc(1, sizeof(*u));
    if (!u)
        abort();
    (void)pthread_mutex_init(&u->lock, NULL);
    (void)pthread_cond_init(&u->settled, NULL);
    return u;
}

void usage_free(struct usage *u)
{
    if (!u)
        return;
    (void)pthread_cond_destroy(&u->settled);
    (void)pthread_mutex_destroy(&u->lock);
    free(u);
}

static int sum(const struct store *s, struct pg_conn *conn, struct arena *a, int64_t *ret,
               struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &usage_statements[SUM], &r, err, pg_text(s->registry_id)) != 0)
        return -1;
    *ret = pg_get_int(r, 0, 0);
    return 0;
}

/* Counts unless the count is known. The lock is held. */
static int know(const struct store *s, struct pg_conn *conn, struct arena *a, struct error *err)
{
    struct usage *u = s->usage;

    /* Too much by the last count may be too little by a new one, which needs quiet. */
    while (!u->is_known && u->under_way > 0)
        (void)pthread_cond_wait(&u->settled, &u->lock);
    if (u->is_known)
        return 0;
    if (sum(s, conn, a, &u->bytes, err) != 0)
        return -1;
    u->is_known = true;
    u->is_less = false;
    return 0;
}

/* The lock is held. */
static int reserve(const struct store *s, struct pg_conn *conn, struct arena *a, int64_t size,
                   int64_t limit, struct error *err)
{
    struct usage *u = s->usage;

    for (;;) {
        if (know(s, conn, a, err) != 0)
            return -1;
        if (u->bytes <= limit && size <= limit - u->bytes)
            break;
        if (!u->is_less)
            return fail(err, &E_STORAGE_FULL, "the storage limit of this registry is reached");
        u->is_known = false;
    }
    u->bytes += size;
    u->under_way++;
    return 0;
}

int usage_claim(const struct store *s, struct pg_conn *conn, struct arena *a,
                struct usage_claim *claim, int64_t size, int64_t limit, struct error *err)
{
    if (claim->is_made)
        return 0;
    if (limit > 0) {
        (void)pthread_mutex_lock(&s->usage->lock);
        int status = reserve(s, conn, a, size, limit, err);
        (void)pthread_mutex_unlock(&s->usage->lock);
        if (status != 0)
            return -1;
        claim->is_held = true;
    }
    claim->is_made = true;
    return 0;
}

void usage_settle(struct usage *u, const struct usage_claim *claim, bool is_committed)
{
    if (!claim->is_made)
        return;
    (void)pthread_mutex_lock(&u->lock);
    u->under_way -= claim->is_held;
    /* Added past the count where there is no limit: it must not be trusted when one comes. */
    if (!claim->is_held || !claim->is_used || !is_committed)
        u->is_known = false;
    (void)pthread_cond_broadcast(&u->settled);
    (void)pthread_mutex_unlock(&u->lock);
}

void usage_note_less(struct usage *u)
{
    (void)pthread_mutex_lock(&u->lock);
    u->is_less = true;
    (void)pthread_mutex_unlock(&u->lock);
}

struct read_job {
    const struct store *s;
    int64_t bytes;
};

static int read_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct read_job *job = ctx;

    return sum(job->s, conn, a, &job->bytes, err);
}

struct repository_job {
    const struct store *s;
    const char *repository;
    struct pg_result *result;
};

static int repository_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct repository_job *job = ctx;

    return PG_RUN(conn, a, &usage_statements[OF_REPOSITORY], &job->result, err,
                  pg_text(job->s->registry_id), pg_text(job->repository));
}

int usage_of_repository(const struct store *s, struct arena *a, const char *repository,
                        struct repository_usage *ret, struct error *err)
{
    struct repository_job job = { .s = s, .repository = repository };

    if (pg_with(s->db, a, repository_work, &job, err) != 0)
        return -1;
    if (pg_rows(job.result) == 0)
        return 0;
    *ret = (struct repository_usage){ .unique_bytes = pg_get_int(job.result, 0, 0),
                                      .shared_bytes = pg_get_int(job.result, 0, 1),
                                      .manifest_bytes = pg_get_int(job.result, 0, 2) };
    return 1;
}

int usage_read(const struct store *s, struct arena *a, int64_t *ret_bytes, struct error *err)
{
    struct read_job job = { .s = s };

    if (pg_with(s->db, a, read_work, &job, err) != 0)
        return -1;
    *ret_bytes = job.bytes;
    return 0;
}

/* One review. It waits for nobody: whoever holds the blob or its digest is using it, so the review
 * is put off; a link that somebody holds is left for later. With both held, no push can begin to
 * rely on the blob until this transaction ends, and each statement sees all that came before. Links
 * go first, in a transaction of their own; then the file, then the row: a crash in between leaves a
 * row that no repository has, which the next review removes and a push heals; never a link to a
 * lost file. */
#include "dataplane/store/collection.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/failpoint.h"
#include "dataplane/store/content.h"
#include "dataplane/store/guard.h"
#include "dataplane/store/key.h"
#include "dataplane/store/usage.h"

enum {
    DUE,
    TAKE,
    HOLD,
    EXISTS,
    HOLD_DIGEST,
    UNLINK,
    USERS,
    REMOVE,
    PUT_OFF,
    NEXT,
    HOLD_REPOSITORY,
    REMOVE_REPOSITORY,
    WAITING
};

const struct pg_stmt collection_statements[] = {
    [DUE] = { "collection_due",
              "select blob_id from blob_reviews where registry_id = $1 "
              "and queued_at <= now() - make_interval(secs => $2) "
              "order by queued_at limit 1 for update skip locked",
              "uuid float8" },
    /* All that are due for it, before anything is looked at: what is queued later is not answered
     * by this review. */
    [TAKE] = { "collection_take",
               "delete from blob_reviews where id = any (array(select id from blob_reviews "
               "where blob_id = $1 and queued_at <= now() - make_interval(secs => $2) "
               "for update skip locked))",
               "int8 float8" },
    [HOLD] = { "collection_hold", "select digest from blobs where id = $1 for update skip locked",
               "int8" },
    [EXISTS] = { "collection_exists", "select exists (select from blobs where id = $1)", "int8" },
    [HOLD_DIGEST] = { "collection_hold_digest",
                      "select pg_try_advisory_xact_lock(hashtextextended($1 || $2, 0))",
                      "text text" },
    [UNLINK] = { "collection_unlink",
                 "delete from repository_blobs l using repositories r where l.blob_id = $1 "
                 "and r.id = l.repository_id and l.repository_id = any (array("
                 "select f.repository_id from repository_blobs f where f.blob_id = $1 "
                 "and f.created_at <= now() - make_interval(secs => $2) "
                 "and not exists (select from manifest_blobs mb join manifests m "
                 "on m.id = mb.manifest_id where mb.blob_id = $1 "
                 "and m.repository_id = f.repository_id) "
                 "and not exists (select from blob_reviews y where y.blob_id = $1 "
                 "and y.queued_at > now() - make_interval(secs => $2)) "
                 "for update of f skip locked)) returning r.id, r.name",
                 "int8 float8" },
    [USERS] = { "collection_users",
                "select exists (select from repository_blobs where blob_id = $1) "
                "or exists (select from manifest_blobs where blob_id = $1), "
                "exists (select from repository_blobs l where l.blob_id = $1 "
                "and not exists (select from manifest_blobs mb join manifests m "
                "on m.id = mb.manifest_id where mb.blob_id = $1 "
                "and m.repository_id = l.repository_id)), "
                "exists (select from blob_reviews where blob_id = $1)",
                "int8" },
    [REMOVE] = { "collection_remove", "delete from blobs where id = $1", "int8" },
    [PUT_OFF] = { "collection_put_off",
                  "insert into blob_reviews (blob_id, registry_id) values ($1, $2)", "int8 uuid" },
    /* Queued by this transaction's own unlinking. */
    [NEXT] = { "collection_next",
               "update blob_reviews set queued_at = now() - make_interval(secs => $2) "
               "where blob_id = $1 and xmin = pg_current_xact_id()::xid",
               "int8 float8" },
    [HOLD_REPOSITORY] = { "collection_hold_repository",
                          "select id from repositories where id = $1 for update skip locked",
                          "int8" },
    [REMOVE_REPOSITORY] = { "collection_remove_repository",
                            "delete from repositories r where r.id = $1 "
                            "and not exists (select from manifests where repository_id = $1) "
                            "and not exists (select from repository_blobs "
                            "where repository_id = $1)",
                            "int8" },
    [WAITING] = { "collection_waiting",
                  "select exists (select from blob_reviews where registry_id = $1)", "uuid" },
    { 0 },
};

struct review_job {
    const struct store *s;
    int64_t delay_s;
    struct review *review;
    pthread_mutex_t *guard; /* of the blob's digest, until the transaction's end is known */
    bool is_waiting;
};

static int run_on(struct pg_conn *conn, struct arena *a, int statement, int64_t id,
                  struct pg_result **ret, struct error *err)
{
    return PG_RUN(conn, a, &collection_statements[statement], ret, err, pg_int(id));
}

static int put_off(struct pg_conn *conn, struct arena *a, const struct store *s, int64_t id,
                   struct error *err)
{
    return PG_RUN(conn, a, &collection_statements[PUT_OFF], NULL, err, pg_int(id),
                  pg_text(s->registry_id));
}

/* 1: the blob and its digest are ours; 0: not now, or gone, which has been seen to. */
static int hold(struct pg_conn *conn, struct arena *a, struct review_job *job, int64_t id,
                struct digest *ret, struct error *err)
{
    const struct store *s = job->s;
    struct pg_result *r = NULL;
    char text[DIGEST_TEXT_MAX];
    bool is_ours = false, is_there = true;

    if (run_on(conn, a, HOLD, id, &r, err) != 0)
        return -1;
    if (pg_rows(r) == 1) {
        key_read(r, 0, 0, ret);
        digest_text(ret, text);
        if (PG_RUN(conn, a, &collection_statements[HOLD_DIGEST], &r, err, pg_text(s->registry_id),
                   pg_text(text)) != 0)
            return -1;
        is_ours = pg_get_bool(r, 0, 0) && (job->guard = guard_try(ret)) != NULL;
    } else {
        if (run_on(conn, a, EXISTS, id, &r, err) != 0)
            return -1;
        is_there = pg_get_bool(r, 0, 0);
    }
    if (is_ours)
        return 1;
    return is_there ? put_off(conn, a, s, id, err) : 0;
}

/* Takes unused links away, and repositories that are empty then. */
static int unlink_unused(struct pg_conn *conn, struct arena *a, struct review_job *job, int64_t id,
                         struct error *err)
{
    struct review *review = job->review;
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &collection_statements[UNLINK], &r, err, pg_int(id),
               pg_text(arena_printf(a, "%lld", (long long)job->delay_s))) != 0)
        return -1;
    review->repository_count = pg_rows(r);
    review->repositories = arena_array(a, pg_rows(r) + 1, sizeof(*review->repositories));
    for (size_t i = 0; i < pg_rows(r); i++) {
        int64_t repository = pg_get_int(r, i, 0);
        struct pg_result *held = NULL;
        review->repositories[i] = pg_get_text(r, i, 1);
        if (run_on(conn, a, HOLD_REPOSITORY, repository, &held, err) != 0)
            return -1;
        if (pg_rows(held) == 1 && run_on(conn, a, REMOVE_REPOSITORY, repository, NULL, err) != 0)
            return -1;
    }
    return 0;
}

static int review_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct review_job *job = ctx;
    const struct store *s = job->s;
    struct pg_result *r = NULL;
    struct digest digest;

    *job->review = (struct review){ 0 };
    guard_unlock(&job->guard); /* of a run that is repeated */
    if (PG_RUN(conn, a, &collection_statements[DUE], &r, err, pg_text(s->registry_id),
               pg_text(arena_printf(a, "%lld", (long long)job->delay_s))) != 0)
        return -1;
    if (pg_rows(r) == 0)
        return 0;
    job->review->is_found = true;
    int64_t id = pg_get_int(r, 0, 0);
    if (PG_RUN(conn, a, &collection_statements[TAKE], NULL, err, pg_int(id),
               pg_text(arena_printf(a, "%lld", (long long)job->delay_s))) != 0)
        return -1;
    int held = hold(conn, a, job, id, &digest, err);
    if (held != 1)
        return held;
    if (unlink_unused(conn, a, job, id, err) != 0 || run_on(conn, a, USERS, id, &r, err) != 0)
        return -1;
    if (pg_get_bool(r, 0, 0))
        /* A link still young is looked at again; a use that ends later queues by itself. */
        return pg_get_bool(r, 0, 1) ? put_off(conn, a, s, id, err) : 0;
    /* Nobody may reach it when its file goes, also if this process dies then: so the links go in a
     * transaction of their own, and the next review, due at once, takes the rest. */
    if (job->review->repository_count > 0)
        return PG_RUN(conn, a, &collection_statements[NEXT], NULL, err, pg_int(id),
                      pg_text(arena_printf(a, "%lld", (long long)job->delay_s)));
    if (pg_get_bool(r, 0, 2)) /* its last use ended a short while ago: a later review's business */
        return 0;
    if (FAILPOINT("collect.before_remove"))
        return fail_errno(err, "collect a blob");
    if (s->blobs->driver->remove(s->blobs, &digest, err) != 0 ||
        run_on(conn, a, REMOVE, id, NULL, err) != 0)
        return -1;
    job->review->is_removed = true;
    return FAILPOINT("collect.before_commit") ? fail_errno(err, "collect a blob") : 0;
}

int collection_review(const struct store *s, struct arena *a, int64_t delay_s, struct review *ret,
                      struct error *err)
{
    struct review_job job = { .s = s, .delay_s = delay_s, .review = ret };

    int status = pg_transact(s->db, a, review_work, &job, err);
    guard_unlock(&job.guard);
    if (status != 0 || ret->is_removed)
        usage_note_less(s->usage);
    if (status != 0)
        return -1;
    return ret->is_removed && FAILPOINT("collect.after_commit") ? fail_errno(err, "collect a blob")
                                                                : 0;
}

static int waiting_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct review_job *job = ctx;
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &collection_statements[WAITING], &r, err, pg_text(job->s->registry_id)) !=
        0)
        return -1;
    job->is_waiting = pg_get_bool(r, 0, 0);
    return 0;
}

int collection_is_waiting(const struct store *s, struct arena *a, struct error *err)
{
    struct review_job job = { .s = s };

    return pg_with(s->db, a, waiting_work, &job, err) != 0 ? -1 : job.is_waiting;
}

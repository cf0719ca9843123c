/* The rows of imports. */
#include "dataplane/store/imports.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "common/pg/pg.h"
#include "dataplane/store/content.h"

/* SQL stands in columns of its own. */
/* clang-format off */
enum { CLAIM, EXTEND, END, PUT_OFF, NEXT };

const struct pg_stmt import_statements[] = {
    [CLAIM] = { "import_claim",
                "update imports i set lease_owner = $2, attempts = attempts + 1, "
                "lease_until = now() + make_interval(secs => $3::int8) "
                "from (select id from imports where registry_id = $1 and ended_at is null "
                "and (lease_until is null or lease_until < now()) "
                "order by created_at limit 1 for update skip locked) due where i.id = due.id "
                "returning i.id, i.request, i.wrapped_secret, i.attempts::int8",
                "uuid uuid int8" },
    [EXTEND] = { "import_extend",
                 "update imports set lease_until = now() + make_interval(secs => $3::int8) "
                 "where id = $1 and lease_owner = $2 and ended_at is null",
                 "uuid uuid int8" },
    [END] = { "import_end",
              "update imports set ended_at = now(), failure = $3, wrapped_secret = null, "
              "lease_owner = null, lease_until = null "
              "where id = $1 and lease_owner = $2 and ended_at is null",
              "uuid uuid jsonb" },
    [PUT_OFF] = { "import_put_off",
                  "update imports set lease_owner = null, "
                  "lease_until = now() + make_interval(secs => $3::int8) "
                  "where id = $1 and lease_owner = $2 and ended_at is null",
                  "uuid uuid int8" },
    [NEXT] = { "import_next",
               "select ceil(extract(epoch from greatest(coalesce(lease_until, now()) - now(), "
               "interval '0')) * 1000)::int8 from imports where registry_id = $1 "
               "and ended_at is null order by coalesce(lease_until, now()) limit 1",
               "uuid" },
    { 0 },
};
/* clang-format on */

struct job {
    const struct store *s;
    const char *id, *owner;
    const char *failure; /* JSON text, or NULL */
    int statement;
    int64_t seconds;
    struct import_row *row;
    int64_t next_ms;
    int status;
};

static int claim_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct job *job = ctx;
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &import_statements[CLAIM], &r, err, pg_text(job->s->registry_id),
               pg_text(job->owner), pg_int(IMPORT_LEASE_S)) != 0)
        return -1;
    job->status = pg_rows(r) > 0;
    if (job->status)
        *job->row = (struct import_row){ .id = pg_get_text(r, 0, 0),
                                         .request = pg_get_text(r, 0, 1),
                                         .wrapped_secret = pg_get_text(r, 0, 2),
                                         .attempts = pg_get_int(r, 0, 3) };
    return 0;
}

int imports_claim(const struct store *s, struct arena *a, const char *owner,
                  struct import_row *ret, struct error *err)
{
    struct job job = { .s = s, .owner = owner, .row = ret };

    return pg_with(s->db, a, claim_work, &job, err) != 0 ? -1 : job.status;
}

/* By whoever holds the lease, and by nobody else. */
static int change_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct job *job = ctx;
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &import_statements[job->statement], &r, err, pg_text(job->id),
               pg_text(job->owner),
               job->statement == END ? pg_text(job->failure) : pg_int(job->seconds)) != 0)
        return -1;
    job->status = pg_affected(r) == 1;
    return 0;
}

static int change(struct job *job, struct arena *a, struct error *err)
{
    return pg_with(job->s->db, a, change_work, job, err) != 0 ? -1 : job->status;
}

int imports_extend(const struct store *s, struct arena *a, const char *id, const char *owner,
                   struct error *err)
{
    struct job job = {
        .s = s, .id = id, .owner = owner, .statement = EXTEND, .seconds = IMPORT_LEASE_S
    };

    return change(&job, a, err);
}

int imports_end(const struct store *s, struct arena *a, const char *id, const char *owner,
                const char *code, const char *message, struct error *err)
{
    struct job job = { .s = s, .id = id, .owner = owner, .statement = END };

    if (code) {
        struct json_object *failure = json_own(a, json_new_object());
        json_set_text(failure, "code", code);
        json_set_text(failure, "message", message);
        job.failure = json_print(a, failure);
    }
    return change(&job, a, err);
}

int imports_put_off(const struct store *s, struct arena *a, const char *id, const char *owner,
                    int64_t wait_s, struct error *err)
{
    struct job job = {
        .s = s, .id = id, .owner = owner, .statement = PUT_OFF, .seconds = wait_s
    };

    return change(&job, a, err);
}

static int next_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct job *job = ctx;
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &import_statements[NEXT], &r, err, pg_text(job->s->registry_id)) != 0)
        return -1;
    job->next_ms = pg_rows(r) == 0 ? -1 : pg_get_int(r, 0, 0);
    return 0;
}

int imports_next(const struct store *s, struct arena *a, int64_t *ret_ms, struct error *err)
{
    struct job job = { .s = s };

    if (pg_with(s->db, a, next_work, &job, err) != 0)
        return -1;
    *ret_ms = job.next_ms;
    return 0;
}

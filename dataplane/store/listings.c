/* The pages of /v2: names, and the referrers of a subject. */
#include "dataplane/store/listings.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/pg/pg.h"
#include "dataplane/store/content.h"
#include "dataplane/store/key.h"

enum { REPOSITORIES, EXISTS, TAGS, REFERRERS, REFERRERS_OF_TYPE };

/* The page is cut before anything is summed, and the repository is one value, so that the index by
 * subject gives its rows in order. The running sum cuts a page short before its annotations fill
 * the memory; the row that goes over is the last one read. */
#define REFERRER_PAGE(condition)                                                                   \
    "select digest, media_type, artifact_type, annotations, size from "                            \
    "(select f.*, coalesce(sum(octet_length(annotations::text)) over w, 0) - "                     \
    "coalesce(octet_length(annotations::text), 0) as before, row_number() over w as nth from "     \
    "(select m.digest, m.media_type, m.artifact_type, m.annotations, "                             \
    "octet_length(m.payload)::int8 as size from manifests m "                                      \
    "where m.repository_id = (select r.id from repositories r "                                    \
    "where r.registry_id = $1 and r.name = $2) and m.can_list and m.subject = $3 " condition       \
    "and m.digest > coalesce($4::bytea, ''::bytea) order by m.digest limit $5) f "                 \
    "window w as (order by digest rows unbounded preceding)) page "                                \
    "where nth <= 2 or before < 4194304 order by digest"

const struct pg_stmt listing_statements[] = {
    [REPOSITORIES] = { "list_repositories",
                       "select r.name from repositories r where r.registry_id = $1 "
                       "and r.name > $2 and r.has_manifests and r.can_list "
                       "and exists (select from manifests m where m.repository_id = r.id) "
                       "order by r.name limit $3",
                       "uuid text int8" },
    [EXISTS] = { "list_exists",
                 "select r.id from repositories r where r.registry_id = $1 and r.name = $2 "
                 "and exists (select from manifests m where m.repository_id = r.id)",
                 "uuid text" },
    [TAGS] = { "list_tags",
               "select name from tags where repository_id = $1 and name > $2 and can_list "
               "order by name limit $3",
               "int8 text int8" },
    [REFERRERS] = { "list_referrers", REFERRER_PAGE(""), "uuid text bytea bytea int8" },
    [REFERRERS_OF_TYPE] = { "list_referrers_of_type", REFERRER_PAGE("and m.artifact_type = $6 "),
                            "uuid text bytea bytea int8 text" },
    { 0 },
};

struct list_job {
    const struct store *s;
    const char *repository, *last, *artifact_type;
    const struct digest *subject, *last_digest;
    int64_t count;
    struct name_list *names;
    struct referrer_list *referrers;
    int status;
};

static void take_names(struct arena *a, const struct pg_result *r, int64_t count,
                       struct name_list *ret)
{
    ret->has_more = (int64_t)pg_rows(r) > count;
    ret->count = ret->has_more ? (size_t)count : pg_rows(r);
    ret->names = arena_array(a, ret->count + 1, sizeof(*ret->names));
    for (size_t i = 0; i < ret->count; i++)
        ret->names[i] = pg_get_text(r, i, 0);
}

static int repositories_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct list_job *job = ctx;
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &listing_statements[REPOSITORIES], &r, err, pg_text(job->s->registry_id),
               pg_text(job->last), pg_int(job->count + 1)) != 0)
        return -1;
    take_names(a, r, job->count, job->names);
    return 0;
}

int list_repositories(const struct store *s, struct arena *a, const char *last, int64_t count,
                      struct name_list *ret, struct error *err)
{
    struct list_job job = { .s = s, .last = last, .count = count, .names = ret };

    *ret = (struct name_list){ 0 };
    return pg_with(s->db, a, repositories_work, &job, err);
}

static int tags_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct list_job *job = ctx;
    struct pg_result *r = NULL;

    job->status = 0;
    if (PG_RUN(conn, a, &listing_statements[EXISTS], &r, err, pg_text(job->s->registry_id),
               pg_text(job->repository)) != 0)
        return -1;
    if (pg_rows(r) == 0)
        return 0;
    if (PG_RUN(conn, a, &listing_statements[TAGS], &r, err, pg_int(pg_get_int(r, 0, 0)),
               pg_text(job->last), pg_int(job->count + 1)) != 0)
        return -1;
    take_names(a, r, job->count, job->names);
    job->status = 1;
    return 0;
}

int list_tags(const struct store *s, struct arena *a, const char *repository, const char *last,
              int64_t count, struct name_list *ret, struct error *err)
{
    struct list_job job = {
        .s = s, .repository = repository, .last = last, .count = count, .names = ret
    };

    *ret = (struct name_list){ 0 };
    return pg_with(s->db, a, tags_work, &job, err) != 0 ? -1 : job.status;
}

static int referrers_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct list_job *job = ctx;
    struct referrer_list *ret = job->referrers;
    struct pg_result *r = NULL;

    const struct pg_arg args[] = {
        pg_text(job->s->registry_id), pg_text(job->repository),
        key_arg(a, job->subject),     job->last_digest ? key_arg(a, job->last_digest) : pg_null(),
        pg_int(job->count + 1),       pg_text(job->artifact_type)
    };
    bool is_typed = job->artifact_type != NULL;
    if (pg_run(conn, a, &listing_statements[is_typed ? REFERRERS_OF_TYPE : REFERRERS], args,
               is_typed ? 6 : 5, &r, err) != 0)
        return -1;
    ret->count = pg_rows(r);
    ret->items = arena_array(a, ret->count + 1, sizeof(*ret->items));
    for (size_t i = 0; i < ret->count; i++) {
        struct referrer *one = &ret->items[i];
        key_read(r, i, 0, &one->digest);
        one->media_type = pg_get_text(r, i, 1);
        one->artifact_type = pg_get_text(r, i, 2);
        one->annotations = pg_get_text(r, i, 3);
        one->size = pg_get_int(r, i, 4);
    }
    return 0;
}

int list_referrers(const struct store *s, struct arena *a, const char *repository,
                   const struct digest *subject, const char *artifact_type,
                   const struct digest *last, int64_t count, struct referrer_list *ret,
                   struct error *err)
{
    struct list_job job = { .s = s,
                            .repository = repository,
                            .subject = subject,
                            .artifact_type = artifact_type,
                            .last_digest = last,
                            .count = count,
                            .referrers = ret };
    size_t bytes = 0;

    *ret = (struct referrer_list){ 0 };
    if (pg_with(s->db, a, referrers_work, &job, err) != 0)
        return -1;
    /* The same limit as in the statement: a page cut short has a next one. */
    for (size_t i = 0; i < ret->count && !ret->has_more; i++) {
        bytes += ret->items[i].annotations ? strlen(ret->items[i].annotations) : 0;
        if (i > 0 && (i >= (size_t)count || bytes >= (size_t)4194304)) {
            ret->count = i;
            ret->has_more = true;
        }
    }
    return 0;
}

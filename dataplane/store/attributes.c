/* What ACR's API shows and changes: attributes (locks) of repositories, tags and manifests. */
#include "dataplane/store/listings.h"

#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/pg/pg.h"
#include "dataplane/store/content.h"
#include "dataplane/store/key.h"

/* SQL stands in columns of its own. */
/* clang-format off */
enum {
    SHOW, TAG_ONE, TAGS_BY_NAME, TAGS_OLDEST, TAGS_NEWEST, TAGS_OF_DIGEST, MANIFEST_ONE,
    MANIFESTS_BY_DIGEST, MANIFESTS_OLDEST, MANIFESTS_NEWEST, CHANGE_REPOSITORY, CHANGE_TAG,
    CHANGE_MANIFEST
};

#define LOCKS(t) t ".can_read, " t ".can_write, " t ".can_delete, " t ".can_list"
/* Scalars, not joins, here and below: so the rows come out of the index in their order, a page reads
 * only itself, and no estimate of the planner can change that. */
#define REPOSITORY "(select id from repositories where registry_id = $1 and name = $2)"
#define OF_DIGEST(column)                                                                          \
    "(select id from manifests where repository_id = " REPOSITORY " and digest = " column          \
    " union all select manifest_id from manifest_aliases where repository_id = " REPOSITORY        \
    " and digest = " column " limit 1)"

/* $3: the last key of the page before. */
#define TAG_ROWS(condition)                                                                        \
    "select t.name, (select m.digest from manifests m where m.id = t.manifest_id), "               \
    "t.created_at, t.updated_at, " LOCKS("t") " from tags t "                                      \
    "where t.repository_id = " REPOSITORY " and " condition
#define TAG_PAGE(after, order)                                                                     \
    TAG_ROWS("t.can_list and " after " order by " order " limit $4")
#define TAG_TYPES "uuid text text int8"
#define TAG_LAST                                                                                   \
    "(select x.updated_at from tags x where x.repository_id = " REPOSITORY " and x.name = $3)"

#define MANIFEST_COLUMNS                                                                           \
    "select m.digest, m.media_type, m.config_media_type, m.architecture, m.os, "                   \
    "m.quarantine_state, m.quarantine_details, m.image_size, m.created_at, m.updated_at, "         \
    LOCKS("m") ", array(select t.name from tags t where t.manifest_id = m.id and t.can_list "      \
    "order by t.name limit 1000), (select jsonb_agg(jsonb_build_object('digest', "                 \
    "encode(c.digest, 'hex'), 'architecture', c.architecture, 'os', c.os) order by c.digest) "     \
    "from manifest_children mc join manifests c on c.id = mc.child_id "                            \
    "where mc.manifest_id = m.id)"
/* What a row brings along: children and tags. The running sum cuts a page short before they fill
 * the memory; the row that goes over is the last one read. */
#define MANIFEST_WEIGHT                                                                            \
    "(select count(*) from (select from manifest_children mc where mc.manifest_id = m.id "         \
    "limit 10000) c) + (select count(*) from (select from tags t where t.manifest_id = m.id "      \
    "limit 1000) t) as weight"
#define PAGE_WEIGHT_MAX 10000 /* as in the statement */
#define MANIFEST_PAGE(after, order)                                                                \
    MANIFEST_COLUMNS ", m.weight from (select m.*, row_number() over w as nth, "                   \
    "sum(m.weight) over w - m.weight as before from (select m.*, " MANIFEST_WEIGHT                 \
    " from manifests m where m.repository_id = " REPOSITORY " and m.can_list and " after           \
    " order by " order " limit $4) m "                                                             \
    "window w as (order by " order " rows unbounded preceding)) m "                                \
    "where m.nth <= 2 or m.before < 10000 order by " order
#define MANIFEST_TYPES "uuid text bytea int8"
#define MANIFEST_LAST                                                                              \
    "(select x.updated_at from manifests x where x.repository_id = " REPOSITORY                    \
    " and x.digest = $3)"

/* Values for a parameter that leaves the column alone when it is NULL. */
#define SET_LOCKS                                                                                  \
    "can_read = coalesce($3, x.can_read), can_write = coalesce($4, x.can_write), "                 \
    "can_delete = coalesce($5, x.can_delete), can_list = coalesce($6, x.can_list), "               \
    "attributes_clock = $7, attributes_origin = $8"

const struct pg_stmt attribute_statements[] = {
    [SHOW] = { "repository_show",
               "select r.created_at, r.updated_at, " LOCKS("r") ", "
               "coalesce(sum(c.manifests), 0)::int8, coalesce(sum(c.tags), 0)::int8 "
               "from repositories r left join repository_counts c on c.repository_id = r.id "
               "where r.registry_id = $1 and r.name = $2 group by r.id",
               "uuid text" },
    [TAG_ONE] = { "tag_one", TAG_ROWS("t.name = $3"), "uuid text text" },
    [TAGS_BY_NAME] = { "tags_by_name", TAG_PAGE("t.name > $3", "t.name"), TAG_TYPES },
    [TAGS_OLDEST] = { "tags_oldest",
                      TAG_PAGE("(t.updated_at, t.name) > (coalesce(" TAG_LAST
                               ", '-infinity'), $3)",
                               "t.updated_at, t.name"),
                      TAG_TYPES },
    [TAGS_NEWEST] = { "tags_newest",
                      TAG_PAGE("(t.updated_at, t.name) < (coalesce(" TAG_LAST ", 'infinity'), $3)",
                               "t.updated_at desc, t.name desc"),
                      TAG_TYPES },
    [TAGS_OF_DIGEST] = { "tags_of_digest",
                         TAG_ROWS("t.can_list and t.name > $3 and t.manifest_id = " OF_DIGEST(
                             "$5") " order by t.name limit $4"),
                         TAG_TYPES " bytea" },
    [MANIFEST_ONE] = { "manifest_one",
                       MANIFEST_COLUMNS " from manifests m where m.id = " OF_DIGEST("$3"),
                       "uuid text bytea" },
    [MANIFESTS_BY_DIGEST] = { "manifests_by_digest",
                              MANIFEST_PAGE("m.digest > coalesce($3, ''::bytea)", "m.digest"),
                              MANIFEST_TYPES },
    [MANIFESTS_OLDEST] = { "manifests_oldest",
                           MANIFEST_PAGE("(m.updated_at, m.digest) > (coalesce(" MANIFEST_LAST
                                         ", '-infinity'), coalesce($3, ''::bytea))",
                                         "m.updated_at, m.digest"),
                           MANIFEST_TYPES },
    [MANIFESTS_NEWEST] = { "manifests_newest",
                           MANIFEST_PAGE("(m.updated_at, m.digest) < (coalesce(" MANIFEST_LAST
                                         ", 'infinity'), coalesce($3, ''::bytea))",
                                         "m.updated_at desc, m.digest desc"),
                           MANIFEST_TYPES },
    [CHANGE_REPOSITORY] = { "repository_change",
                            "update repositories x set " SET_LOCKS " where x.registry_id = $1 "
                            "and x.name = $2 and exists "
                            "(select from manifests m where m.repository_id = x.id)",
                            "uuid text bool bool bool bool int8 text" },
    [CHANGE_TAG] = { "tag_change",
                     "update tags x set " SET_LOCKS " from repositories r "
                     "where r.registry_id = $1 and r.name = $2 and x.repository_id = r.id "
                     "and x.name = $9",
                     "uuid text bool bool bool bool int8 text text" },
    [CHANGE_MANIFEST] = { "manifest_change",
                          "update manifests x set " SET_LOCKS ", "
                          "quarantine_state = coalesce($10, x.quarantine_state), "
                          "quarantine_details = coalesce($11, x.quarantine_details) "
                          "from repositories r where r.registry_id = $1 and r.name = $2 "
                          "and x.repository_id = r.id and x.id in (select id from manifests "
                          "where repository_id = r.id and digest = $9 union all "
                          "select manifest_id from manifest_aliases "
                          "where repository_id = r.id and digest = $9)",
                          "uuid text bool bool bool bool int8 text bytea text text" },
    { 0 },
};
/* clang-format on */

struct detail_job {
    const struct store *s;
    const char *repository, *name, *last;
    const struct digest *digest, *last_digest;
    enum list_order order;
    int64_t count;
    struct repository_detail *repository_detail;
    struct tag_list *tags;
    struct manifest_list *manifests;
    const struct attribute_change *change;
    int status;
};

static struct attributes read_attributes(const struct pg_result *r, size_t row, size_t col)
{
    return (struct attributes){ .can_read = pg_get_bool(r, row, col),
                                .can_write = pg_get_bool(r, row, col + 1),
                                .can_delete = pg_get_bool(r, row, col + 2),
                                .can_list = pg_get_bool(r, row, col + 3) };
}

static struct pg_arg optional_key(struct arena *a, const struct digest *d)
{
    return d ? key_arg(a, d) : pg_null();
}

static int show_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct detail_job *job = ctx;
    struct repository_detail *ret = job->repository_detail;
    struct pg_result *r = NULL;

    job->status = 0;
    if (PG_RUN(conn, a, &attribute_statements[SHOW], &r, err, pg_text(job->s->registry_id),
               pg_text(job->repository)) != 0)
        return -1;
    if (pg_rows(r) == 0 || pg_get_int(r, 0, 6) == 0)
        return 0;
    ret->created_us = pg_get_time_us(r, 0, 0);
    ret->updated_us = pg_get_time_us(r, 0, 1);
    ret->attributes = read_attributes(r, 0, 2);
    ret->manifest_count = pg_get_int(r, 0, 6);
    ret->tag_count = pg_get_int(r, 0, 7);
    job->status = 1;
    return 0;
}

int repository_show(const struct store *s, struct arena *a, const char *repository,
                    struct repository_detail *ret, struct error *err)
{
    struct detail_job job = { .s = s, .repository = repository, .repository_detail = ret };

    return pg_with(s->db, a, show_work, &job, err) != 0 ? -1 : job.status;
}

static int tags_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    static const int pages[] = {
        [ORDER_NAME] = TAGS_BY_NAME, [ORDER_OLDEST] = TAGS_OLDEST, [ORDER_NEWEST] = TAGS_NEWEST
    };
    struct detail_job *job = ctx;
    struct tag_list *ret = job->tags;
    struct pg_result *r = NULL;

    int statement = job->digest ? TAGS_OF_DIGEST : pages[job->order];
    if (job->name)
        statement = TAG_ONE;
    const struct pg_arg args[] = { pg_text(job->s->registry_id), pg_text(job->repository),
                                   pg_text(job->name ? job->name : job->last),
                                   pg_int(job->count + 1), optional_key(a, job->digest) };
    size_t count = job->name ? 3 : job->digest ? 5 : 4;
    if (pg_run(conn, a, &attribute_statements[statement], args, count, &r, err) != 0)
        return -1;
    ret->has_more = (int64_t)pg_rows(r) > job->count;
    ret->count = ret->has_more ? (size_t)job->count : pg_rows(r);
    ret->items = arena_array(a, ret->count + 1, sizeof(*ret->items));
    for (size_t i = 0; i < ret->count; i++) {
        struct tag_detail *tag = &ret->items[i];
        tag->name = pg_get_text(r, i, 0);
        key_read(r, i, 1, &tag->digest);
        tag->created_us = pg_get_time_us(r, i, 2);
        tag->updated_us = pg_get_time_us(r, i, 3);
        tag->attributes = read_attributes(r, i, 4);
    }
    return 0;
}

int list_tag_details(const struct store *s, struct arena *a, const char *repository,
                     const char *name, const struct digest *digest, enum list_order order,
                     const char *last, int64_t count, struct tag_list *ret, struct error *err)
{
    struct detail_job job = { .s = s,
                              .repository = repository,
                              .name = name,
                              .digest = digest,
                              .order = order,
                              .last = last,
                              .count = count,
                              .tags = ret };

    *ret = (struct tag_list){ 0 };
    return pg_with(s->db, a, tags_work, &job, err);
}

/* How many of the rows are the page. The same limit as in the statement: a page cut short has a
 * next one. */
static size_t page_rows(const struct pg_result *r, int64_t count, bool *ret_has_more)
{
    int64_t weight = 0;

    for (size_t i = 0; i < pg_rows(r); i++) {
        weight += pg_get_int(r, i, 16);
        if ((int64_t)i < count && (i == 0 || weight < PAGE_WEIGHT_MAX))
            continue;
        *ret_has_more = true;
        return i;
    }
    return pg_rows(r);
}

static int manifests_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    static const int pages[] = { [ORDER_NAME] = MANIFESTS_BY_DIGEST,
                                 [ORDER_OLDEST] = MANIFESTS_OLDEST,
                                 [ORDER_NEWEST] = MANIFESTS_NEWEST };
    struct detail_job *job = ctx;
    struct manifest_list *ret = job->manifests;
    struct pg_result *r = NULL;

    const struct pg_arg args[] = { pg_text(job->s->registry_id), pg_text(job->repository),
                                   optional_key(a, job->digest ? job->digest : job->last_digest),
                                   pg_int(job->count + 1) };
    if (pg_run(conn, a, &attribute_statements[job->digest ? MANIFEST_ONE : pages[job->order]], args,
               job->digest ? 3 : 4, &r, err) != 0)
        return -1;
    ret->count = job->digest ? pg_rows(r) : page_rows(r, job->count, &ret->has_more);
    ret->items = arena_array(a, ret->count + 1, sizeof(*ret->items));
    for (size_t i = 0; i < ret->count; i++) {
        struct manifest_detail *m = &ret->items[i];
        key_read(r, i, 0, &m->digest);
        m->media_type = pg_get_text(r, i, 1);
        m->config_media_type = pg_get_text(r, i, 2);
        m->architecture = pg_get_text(r, i, 3);
        m->os = pg_get_text(r, i, 4);
        m->quarantine_state = pg_get_text(r, i, 5);
        m->quarantine_details = pg_get_text(r, i, 6);
        m->image_size = pg_get_int(r, i, 7);
        m->created_us = pg_get_time_us(r, i, 8);
        m->updated_us = pg_get_time_us(r, i, 9);
        m->attributes = read_attributes(r, i, 10);
        m->tag_count = pg_get_texts(r, i, 14, &m->tags);
        m->children = pg_get_text(r, i, 15);
    }
    return 0;
}

int list_manifest_details(const struct store *s, struct arena *a, const char *repository,
                          const struct digest *only, enum list_order order,
                          const struct digest *last, int64_t count, struct manifest_list *ret,
                          struct error *err)
{
    struct detail_job job = { .s = s,
                              .repository = repository,
                              .digest = only,
                              .order = order,
                              .last_digest = last,
                              .count = count,
                              .manifests = ret };

    *ret = (struct manifest_list){ 0 };
    return pg_with(s->db, a, manifests_work, &job, err);
}

/* --- changing ----------------------------------------------------------------------------------
 */

static struct pg_arg optional_bool(const bool *value)
{
    return value ? pg_bool(*value) : pg_null();
}

static int change_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct detail_job *job = ctx;
    const struct attribute_change *c = job->change;
    struct pg_result *r = NULL;
    struct pg_arg args[11] = {
        pg_text(job->s->registry_id), pg_text(job->repository),     optional_bool(c->can_read),
        optional_bool(c->can_write),  optional_bool(c->can_delete), optional_bool(c->can_list),
        pg_int(hybrid_clock()),       pg_text(job->s->region),
    };
    int statement = CHANGE_REPOSITORY;
    size_t count = 8;

    if (job->name) {
        statement = CHANGE_TAG;
        args[count++] = pg_text(job->name);
    } else if (job->digest) {
        statement = CHANGE_MANIFEST;
        args[count++] = key_arg(a, job->digest);
        args[count++] = pg_text(c->quarantine_state);
        args[count++] = pg_text(c->quarantine_details);
    }
    if (pg_run(conn, a, &attribute_statements[statement], args, count, &r, err) != 0)
        return -1;
    job->status = pg_affected(r) > 0;
    return 0;
}

static int change(struct detail_job *job, struct arena *a, struct error *err)
{
    return pg_transact(job->s->db, a, change_work, job, err) != 0 ? -1 : job->status;
}

int repository_change(const struct store *s, struct arena *a, const char *repository,
                      const struct attribute_change *c, struct error *err)
{
    struct detail_job job = { .s = s, .repository = repository, .change = c };

    return change(&job, a, err);
}

int tag_change(const struct store *s, struct arena *a, const char *repository, const char *tag,
               const struct attribute_change *c, struct error *err)
{
    struct detail_job job = { .s = s, .repository = repository, .name = tag, .change = c };

    return change(&job, a, err);
}

int manifest_change(const struct store *s, struct arena *a, const char *repository,
                    const struct digest *digest, const struct attribute_change *c,
                    struct error *err)
{
    struct detail_job job = { .s = s, .repository = repository, .digest = digest, .change = c };

    return change(&job, a, err);
}

/* Into the bin, out of it, and what it shows. A manifest that moves keeps its row, so whatever
 * refers to it by id goes on doing so. */
#include "dataplane/store/bin.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/pg/pg.h"
#include "dataplane/oci/errors.h"
#include "dataplane/store/content.h"
#include "dataplane/store/key.h"
#include "dataplane/store/removal.h"
#include "dataplane/store/usage.h"

/* SQL stands in columns of its own. */
/* clang-format off */
enum {
    MAKE, HOLD, STALE, DROP_PARENTS, REMOVE, LINK, QUEUE, NOTE_TAGS, MOVE, MOVE_ALIASES, REPOSITORIES,
    EXISTS, MANIFESTS, TAGS, LOCK, LIVE, SUBJECT, DROP_NOTES, REVIVE, TAG_HELD, PUT_TAG, UNBURY
};

#define BIN "(select id from repositories where registry_id = $1 and name = '" BIN_PREFIX "' || $2)"
/* The manifest of that digest, or of an alias of it, in a repository. */
#define BY_DIGEST(repository, column)                                                              \
    "(select id from manifests where repository_id = " repository " and digest = " column          \
    " union all select manifest_id from manifest_aliases where repository_id = " repository        \
    " and digest = " column ")"

const struct pg_stmt bin_statements[] = {
    [MAKE] = { "bin_make",
               "insert into repositories (registry_id, name, can_list) "
               "values ($1, '" BIN_PREFIX "' || $2, false) on conflict (registry_id, name) do nothing",
               "uuid text" },
    [HOLD] = { "bin_hold",
               "select id from repositories where registry_id = $1 "
               "and name = '" BIN_PREFIX "' || $2 for key share",
               "uuid text" },
    /* An older copy of the same content. */
    [STALE] = { "bin_stale",
                "with names as (select digest from manifests where id = any ($2) union "
                "select digest from manifest_aliases where manifest_id = any ($2)) "
                "select distinct o.id from names n join lateral (select id from manifests "
                "where repository_id = $1 and digest = n.digest union all "
                "select manifest_id from manifest_aliases where repository_id = $1 "
                "and digest = n.digest) o on true where o.id <> all ($2)",
                "int8 int8[]" },
    [DROP_PARENTS] = { "bin_drop_parents",
                       "delete from manifest_children c using (select manifest_id, child_id "
                       "from manifest_children where child_id = any ($1) or manifest_id = any ($1) "
                       "order by manifest_id, child_id for update) l "
                       "where c.manifest_id = l.manifest_id and c.child_id = l.child_id",
                       "int8[]" },
    [REMOVE] = { "bin_remove", "delete from manifests where id = any ($1)", "int8[]" },
    [LINK] = { "bin_link",
               "insert into repository_blobs (repository_id, blob_id) "
               "select distinct $1, blob_id from manifest_blobs where manifest_id = any ($2) "
               "order by blob_id "
               "on conflict (repository_id, blob_id) do update set created_at = now()",
               "int8 int8[]" },
    /* The repository it leaves may have no use for its blobs any more. */
    [QUEUE] = { "bin_queue",
                "insert into blob_reviews (blob_id, registry_id) "
                "select distinct blob_id, $1 from manifest_blobs where manifest_id = any ($2)",
                "uuid int8[]" },
    [NOTE_TAGS] = { "bin_note_tags",
                    "insert into deleted_tags (repository_id, name, manifest_id) "
                    "select $1, name, manifest_id from tags where manifest_id = any ($2) "
                    "order by name on conflict do nothing",
                    "int8 int8[]" },
    [MOVE] = { "bin_move",
               "update manifests set repository_id = $1, deleted_at = now() "
               "where id = any ($2)",
               "int8 int8[]" },
    [MOVE_ALIASES] = { "bin_move_aliases",
                       "update manifest_aliases set repository_id = $1 "
                       "where manifest_id = any ($2)",
                       "int8 int8[]" },

    [REPOSITORIES] = { "bin_repositories",
                       "select substr(r.name, 10) from repositories r where r.registry_id = $1 "
                       "and r.name > '" BIN_PREFIX "' || $2 and r.name < '_deleted0' "
                       "and r.has_manifests and exists "
                       "(select from manifests m where m.repository_id = r.id) "
                       "order by r.name limit $3",
                       "uuid text int8" },
    [EXISTS] = { "bin_exists",
                 "select exists (select from manifests where repository_id = " BIN ")",
                 "uuid text" },
    [MANIFESTS] = { "bin_manifests",
                    "select m.digest, m.media_type, m.config_media_type, m.architecture, m.os, "
                    "m.image_size, m.created_at, m.updated_at, m.can_read, m.can_write, "
                    "m.can_delete, m.can_list, array(select distinct t.name from deleted_tags t "
                    "where t.manifest_id = m.id order by t.name limit 1000), m.deleted_at "
                    "from manifests m where m.repository_id = " BIN " and m.deleted_at is not null "
                    "and (m.deleted_at, m.digest) > (coalesce((select x.deleted_at "
                    "from manifests x where x.repository_id = " BIN " and x.digest = $3), "
                    "'-infinity'), coalesce($3, ''::bytea)) "
                    "order by m.deleted_at, m.digest limit $4",
                    "uuid text bytea int8" },
    [TAGS] = { "bin_tags",
               "select t.name, m.digest, t.deleted_at from deleted_tags t "
               "join manifests m on m.id = t.manifest_id where t.repository_id = " BIN " "
               "and (t.name, t.deleted_at, t.manifest_id) > ($3, coalesce((select max(x.deleted_at) "
               "from deleted_tags x where x.repository_id = " BIN " and x.name = $3 "
               "and x.manifest_id = (select id from manifests where repository_id = " BIN " "
               "and digest = $4)), 'infinity'), coalesce((select id from manifests "
               "where repository_id = " BIN " and digest = $4), 9223372036854775807)) "
               "order by t.name, t.deleted_at, t.manifest_id limit $5",
               "uuid text text bytea int8" },

    [LOCK] = { "bin_lock",
               "select m.id, m.subject from manifests m where m.id in " BY_DIGEST(BIN, "$3") " "
               "and m.deleted_at is not null limit 1 for update",
               "uuid text bytea" },
    [LIVE] = { "bin_live",
               "select m.id from manifests m where m.repository_id = $1 "
               "and m.id in " BY_DIGEST("$1", "$2") " limit 1 for key share",
               "int8 bytea" },
    [SUBJECT] = { "bin_subject",
                  "select exists (select from manifests where repository_id = " BIN " "
                  "and digest = $3)",
                  "uuid text bytea" },
    [DROP_NOTES] = { "bin_drop_notes", "delete from deleted_tags where manifest_id = $1", "int8" },
    [REVIVE] = { "bin_revive",
                 "update manifests set repository_id = $1, deleted_at = null, updated_at = now(), "
                 "clock = $3, origin = $4 where id = $2",
                 "int8 int8 int8 text" },
    [TAG_HELD] = { "bin_tag_held",
                   "select manifest_id, can_write from tags where repository_id = $1 and name = $2 "
                   "for update",
                   "int8 text" },
    [PUT_TAG] = { "bin_put_tag",
                  "insert into tags as t (repository_id, name, manifest_id, clock, origin) "
                  "values ($1, $2, $3, $4, $5) on conflict (repository_id, name) do update "
                  "set manifest_id = $3, updated_at = now(), clock = $4, origin = $5 "
                  "where t.can_write and ($6 or t.manifest_id = $3)",
                  "int8 text int8 int8 text bool" },
    [UNBURY] = { "bin_unbury",
                 "delete from tombstones t using (select kind, key from tombstones "
                 "where registry_id = $1 and ((kind = 'manifest' and key = $2) "
                 "or (kind = 'tag' and key = $3) or (kind = 'repository' and key = $4)) "
                 "order by kind, key for update) d "
                 "where t.registry_id = $1 and t.kind = d.kind and t.key = d.key",
                 "uuid text text text" },
    { 0 },
};
/* clang-format on */

/* Removed between our look and our insert, again and again: give up at some point. */
#define HOLD_ATTEMPTS 10

struct bin_job {
    const struct store *s;
    const char *repository, *last, *tag;
    const struct digest *digest;
    bool is_forced;
    int64_t count;
    struct name_list *names;
    struct binned_manifest_list *manifests;
    struct binned_tag_list *tags;
    int status;
};

/* --- into the bin ------------------------------------------------------------------------------
 */

/* Ids of manifests, as texts for an int8[] parameter. */
struct ids {
    const char *const *items;
    size_t count;
};

/* Each does something to the manifests; to_repository is the first parameter. */
static int run_move(struct pg_conn *conn, struct arena *a, int statement, int64_t to_repository,
                    struct ids ids, struct error *err)
{
    return PG_RUN(conn, a, &bin_statements[statement], NULL, err, pg_int(to_repository),
                  pg_texts(ids.items, ids.count));
}

static int queue_blobs(struct pg_conn *conn, struct arena *a, const struct store *s, struct ids ids,
                       struct error *err)
{
    return PG_RUN(conn, a, &bin_statements[QUEUE], NULL, err, pg_text(s->registry_id),
                  pg_texts(ids.items, ids.count));
}

static int drop(struct pg_conn *conn, struct arena *a, struct ids ids, struct error *err)
{
    if (ids.count == 0)
        return 0;
    if (PG_RUN(conn, a, &bin_statements[DROP_PARENTS], NULL, err, pg_texts(ids.items, ids.count)) !=
        0)
        return -1;
    return PG_RUN(conn, a, &bin_statements[REMOVE], NULL, err, pg_texts(ids.items, ids.count));
}

int bin_hold(struct pg_conn *conn, struct arena *a, const struct store *s, const char *repository,
             int64_t *ret_bin, struct error *err)
{
    struct pg_result *r = NULL;

    for (int i = 0; i < HOLD_ATTEMPTS; i++) {
        if (PG_RUN(conn, a, &bin_statements[HOLD], &r, err, pg_text(s->registry_id),
                   pg_text(repository)) != 0)
            return -1;
        if (pg_rows(r) == 1) {
            *ret_bin = pg_get_int(r, 0, 0);
            return 0;
        }
        if (PG_RUN(conn, a, &bin_statements[MAKE], NULL, err, pg_text(s->registry_id),
                   pg_text(repository)) != 0)
            return -1;
    }
    return fail_cause(err, &E_UNAVAILABLE, "the bin of %s keeps being removed", repository);
}

/* Two that delete the same content, pushed again in between, meet here: the later one stays. */
static int drop_stale(struct pg_conn *conn, struct arena *a, int64_t bin, struct ids ids,
                      struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &bin_statements[STALE], &r, err, pg_int(bin),
               pg_texts(ids.items, ids.count)) != 0)
        return -1;
    const char **stale = arena_array(a, pg_rows(r) + 1, sizeof(*stale));
    for (size_t i = 0; i < pg_rows(r); i++)
        stale[i] = arena_printf(a, "%" PRId64, pg_get_int(r, i, 0));
    return drop(conn, a, (struct ids){ stale, pg_rows(r) }, err);
}

int bin_take(struct pg_conn *conn, struct arena *a, const struct store *s, int64_t bin,
             const char *const *manifests, size_t count, struct error *err)
{
    const struct ids ids = { manifests, count };

    if (count == 0)
        return 0;
    if (drop_stale(conn, a, bin, ids, err) != 0 || run_move(conn, a, LINK, bin, ids, err) != 0 ||
        queue_blobs(conn, a, s, ids, err) != 0 ||
        run_move(conn, a, NOTE_TAGS, bin, ids, err) != 0 ||
        run_move(conn, a, MOVE, bin, ids, err) != 0)
        return -1;
    return run_move(conn, a, MOVE_ALIASES, bin, ids, err);
}

/* --- listings ----------------------------------------------------------------------------------
 */

static int repositories_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct bin_job *job = ctx;
    struct name_list *ret = job->names;
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &bin_statements[REPOSITORIES], &r, err, pg_text(job->s->registry_id),
               pg_text(job->last), pg_int(job->count + 1)) != 0)
        return -1;
    ret->has_more = (int64_t)pg_rows(r) > job->count;
    ret->count = ret->has_more ? (size_t)job->count : pg_rows(r);
    ret->names = arena_array(a, ret->count + 1, sizeof(*ret->names));
    for (size_t i = 0; i < ret->count; i++)
        ret->names[i] = pg_get_text(r, i, 0);
    return 0;
}

int bin_repositories(const struct store *s, struct arena *a, const char *last, int64_t count,
                     struct name_list *ret, struct error *err)
{
    struct bin_job job = { .s = s, .last = last, .count = count, .names = ret };

    *ret = (struct name_list){ 0 };
    return pg_with(s->db, a, repositories_work, &job, err);
}

static int check_exists(struct pg_conn *conn, struct arena *a, struct bin_job *job,
                        struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &bin_statements[EXISTS], &r, err, pg_text(job->s->registry_id),
               pg_text(job->repository)) != 0)
        return -1;
    job->status = pg_get_bool(r, 0, 0);
    return 0;
}

static void read_manifest(const struct pg_result *r, size_t row, struct binned_manifest *ret)
{
    struct manifest_detail *d = &ret->detail;

    key_read(r, row, 0, &d->digest);
    d->media_type = pg_get_text(r, row, 1);
    d->config_media_type = pg_get_text(r, row, 2);
    d->architecture = pg_get_text(r, row, 3);
    d->os = pg_get_text(r, row, 4);
    d->image_size = pg_get_int(r, row, 5);
    d->created_us = pg_get_time_us(r, row, 6);
    d->updated_us = pg_get_time_us(r, row, 7);
    d->attributes = (struct attributes){ .can_read = pg_get_bool(r, row, 8),
                                         .can_write = pg_get_bool(r, row, 9),
                                         .can_delete = pg_get_bool(r, row, 10),
                                         .can_list = pg_get_bool(r, row, 11) };
    d->tag_count = pg_get_texts(r, row, 12, &d->tags);
    ret->deleted_us = pg_get_time_us(r, row, 13);
}

static int manifests_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct bin_job *job = ctx;
    struct binned_manifest_list *ret = job->manifests;
    struct pg_result *r = NULL;

    if (check_exists(conn, a, job, err) != 0 ||
        PG_RUN(conn, a, &bin_statements[MANIFESTS], &r, err, pg_text(job->s->registry_id),
               pg_text(job->repository), job->digest ? key_arg(a, job->digest) : pg_null(),
               pg_int(job->count + 1)) != 0)
        return -1;
    ret->has_more = (int64_t)pg_rows(r) > job->count;
    ret->count = ret->has_more ? (size_t)job->count : pg_rows(r);
    ret->items = arena_array(a, ret->count + 1, sizeof(*ret->items));
    for (size_t i = 0; i < ret->count; i++)
        read_manifest(r, i, &ret->items[i]);
    return 0;
}

int bin_manifests(const struct store *s, struct arena *a, const char *repository,
                  const struct digest *last, int64_t count, struct binned_manifest_list *ret,
                  struct error *err)
{
    struct bin_job job = {
        .s = s, .repository = repository, .digest = last, .count = count, .manifests = ret
    };

    *ret = (struct binned_manifest_list){ 0 };
    return pg_with(s->db, a, manifests_work, &job, err) != 0 ? -1 : job.status;
}

static int tags_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct bin_job *job = ctx;
    struct binned_tag_list *ret = job->tags;
    struct pg_result *r = NULL;
    struct digest digest;
    size_t name_len = strcspn(job->last, "@");
    bool has_digest = job->last[name_len] == '@' && digest_parse(job->last + name_len + 1, &digest);

    if (check_exists(conn, a, job, err) != 0 ||
        PG_RUN(conn, a, &bin_statements[TAGS], &r, err, pg_text(job->s->registry_id),
               pg_text(job->repository), pg_text(arena_strndup(a, job->last, name_len)),
               has_digest ? key_arg(a, &digest) : pg_null(), pg_int(job->count + 1)) != 0)
        return -1;
    ret->has_more = (int64_t)pg_rows(r) > job->count;
    ret->count = ret->has_more ? (size_t)job->count : pg_rows(r);
    ret->items = arena_array(a, ret->count + 1, sizeof(*ret->items));
    for (size_t i = 0; i < ret->count; i++) {
        ret->items[i].name = pg_get_text(r, i, 0);
        key_read(r, i, 1, &ret->items[i].digest);
        ret->items[i].deleted_us = pg_get_time_us(r, i, 2);
    }
    return 0;
}

int bin_tags(const struct store *s, struct arena *a, const char *repository, const char *last,
             int64_t count, struct binned_tag_list *ret, struct error *err)
{
    struct bin_job job = {
        .s = s, .repository = repository, .last = last, .count = count, .tags = ret
    };

    *ret = (struct binned_tag_list){ 0 };
    return pg_with(s->db, a, tags_work, &job, err) != 0 ? -1 : job.status;
}

/* --- out of the bin ----------------------------------------------------------------------------
 */

/* A referrer comes back after its subject, not before. */
static int check_subject(struct pg_conn *conn, struct arena *a, const struct bin_job *job,
                         const struct pg_result *held, struct error *err)
{
    struct pg_result *r = NULL;
    struct digest subject;
    char text[DIGEST_TEXT_MAX];

    if (pg_is_null(held, 0, 1))
        return 0;
    key_read(held, 0, 1, &subject);
    if (PG_RUN(conn, a, &bin_statements[SUBJECT], &r, err, pg_text(job->s->registry_id),
               pg_text(job->repository), key_arg(a, &subject)) != 0)
        return -1;
    if (!pg_get_bool(r, 0, 0))
        return 0;
    digest_text(&subject, text);
    return fail_at(err, &E_SUBJECT_DELETED, text,
                   "The manifest refers to %s, which is deleted too: restore that one first.",
                   text);
}

static int put_tag(struct pg_conn *conn, struct arena *a, const struct bin_job *job,
                   int64_t repository, int64_t manifest, struct error *err)
{
    struct pg_result *r = NULL;

    if (!job->tag)
        return 0;
    if (PG_RUN(conn, a, &bin_statements[PUT_TAG], &r, err, pg_int(repository), pg_text(job->tag),
               pg_int(manifest), pg_int(hybrid_clock()), pg_text(job->s->region),
               pg_bool(job->is_forced)) != 0)
        return -1;
    if (pg_affected(r) == 1)
        return 0;
    if (PG_RUN(conn, a, &bin_statements[TAG_HELD], &r, err, pg_int(repository),
               pg_text(job->tag)) != 0)
        return -1;
    if (pg_rows(r) == 1 && !pg_get_bool(r, 0, 1))
        return fail_disallowed(err);
    return fail_at(err, &E_TAG_TAKEN, job->tag,
                   "The tag %s is on another manifest: restore with force to move it.", job->tag);
}

static int unbury(struct pg_conn *conn, struct arena *a, const struct bin_job *job,
                  struct error *err)
{
    char text[DIGEST_TEXT_MAX];

    digest_text(job->digest, text);
    return PG_RUN(conn, a, &bin_statements[UNBURY], NULL, err, pg_text(job->s->registry_id),
                  pg_text(grave(a, job->repository, '@', text)),
                  pg_text(job->tag ? grave(a, job->repository, ':', job->tag) : NULL),
                  pg_text(job->repository));
}

/* The row comes back, or, when the same content was pushed since, goes. */
static int revive(struct pg_conn *conn, struct arena *a, const struct bin_job *job,
                  int64_t repository, int64_t *manifest, struct error *err)
{
    const char *const id[] = { arena_printf(a, "%" PRId64, *manifest) };
    const struct ids ids = { id, 1 };
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &bin_statements[LIVE], &r, err, pg_int(repository),
               key_arg(a, job->digest)) != 0)
        return -1;
    if (pg_rows(r) == 1) {
        *manifest = pg_get_int(r, 0, 0);
        return drop(conn, a, ids, err);
    }
    if (run_move(conn, a, LINK, repository, ids, err) != 0 ||
        queue_blobs(conn, a, job->s, ids, err) != 0 ||
        PG_RUN(conn, a, &bin_statements[DROP_NOTES], NULL, err, pg_int(*manifest)) != 0 ||
        PG_RUN(conn, a, &bin_statements[REVIVE], NULL, err, pg_int(repository), pg_int(*manifest),
               pg_int(hybrid_clock()), pg_text(job->s->region)) != 0)
        return -1;
    return run_move(conn, a, MOVE_ALIASES, repository, ids, err);
}

/* The rows of both repositories before the manifest's. 1 with all of them held. */
static int hold_all(struct pg_conn *conn, struct arena *a, struct bin_job *job, int64_t *ret_id,
                    struct pg_result **ret, struct error *err)
{
    struct pg_result *r = NULL;

    if (check_exists(conn, a, job, err) != 0)
        return -1;
    if (job->status == 0)
        return 0;
    if (repository_hold(conn, a, job->s, job->repository, ret_id, err) != 0 ||
        PG_RUN(conn, a, &bin_statements[HOLD], &r, err, pg_text(job->s->registry_id),
               pg_text(job->repository)) != 0 ||
        PG_RUN(conn, a, &bin_statements[LOCK], ret, err, pg_text(job->s->registry_id),
               pg_text(job->repository), key_arg(a, job->digest)) != 0)
        return -1;
    return pg_rows(*ret) == 1;
}

static int restore_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct bin_job *job = ctx;
    struct pg_result *r = NULL;
    int64_t repository = 0;

    job->status = hold_all(conn, a, job, &repository, &r, err);
    if (job->status != 1)
        return job->status;
    int64_t manifest = pg_get_int(r, 0, 0);
    if (check_subject(conn, a, job, r, err) != 0 ||
        revive(conn, a, job, repository, &manifest, err) != 0 ||
        put_tag(conn, a, job, repository, manifest, err) != 0 || unbury(conn, a, job, err) != 0 ||
        repository_touch(conn, a, repository, err) != 0)
        return -1;
    job->status = 1;
    return 0;
}

int bin_restore(const struct store *s, struct arena *a, const char *repository,
                const struct digest *digest, const char *tag, bool is_forced, struct error *err)
{
    struct bin_job job = {
        .s = s, .repository = repository, .digest = digest, .tag = tag, .is_forced = is_forced
    };

    int status = pg_transact(s->db, a, restore_work, &job, err);
    usage_note_less(s->usage); /* of a copy that was pushed meanwhile one is left */
    return status != 0 ? -1 : job.status;
}

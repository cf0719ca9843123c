/* Repositories: made by the first push, gone with their last content. */
#include "dataplane/store/content.h"

#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/failpoint.h"
#include "dataplane/oci/errors.h"
#include "dataplane/store/bin.h"
#include "dataplane/store/key.h"
#include "dataplane/store/usage.h"

enum { MAKE, HOLD, TOUCH, LOCK, MANIFESTS, HOLD_MANIFESTS, TAGS, LOCKED_CONTENT, REMOVE, BURY };

const struct pg_stmt repository_statements[] = {
    [MAKE] = { "repository_make",
               "insert into repositories (registry_id, name) values ($1, $2) "
               "on conflict (registry_id, name) do nothing",
               "uuid text" },
    [HOLD] = { "repository_hold",
               "select id, can_write from repositories where registry_id = $1 and name = $2 "
               "for key share",
               "uuid text" },
    /* One writer a second sets the time, the others pass by: no row is waited for. */
    [TOUCH] = { "repository_touch",
                "update repositories set updated_at = now() where id in "
                "(select id from repositories where id = $1 and updated_at < now() - interval '1s' "
                "for no key update skip locked)",
                "int8" },
    [LOCK] = { "repository_lock",
               "select id, can_write and can_delete from repositories "
               "where registry_id = $1 and name = $2 for update",
               "uuid text" },
    [MANIFESTS] = { "repository_manifests",
                    "select digest from manifests where repository_id = $1 order by digest",
                    "int8" },
    [HOLD_MANIFESTS] = { "repository_hold_manifests",
                         "select id from manifests where repository_id = $1 order by id for update",
                         "int8" },
    [TAGS] = { "repository_tags", "select name from tags where repository_id = $1 order by name",
               "int8" },
    [LOCKED_CONTENT] = { "repository_locked_content",
                         "select exists (select from tags where repository_id = $1 and "
                         "not (can_write and can_delete)) or exists (select from manifests "
                         "where repository_id = $1 and not (can_write and can_delete))",
                         "int8" },
    [REMOVE] = { "repository_remove", "delete from repositories where id = $1", "int8" },
    [BURY] = { "repository_bury",
               "insert into tombstones (registry_id, kind, key, clock, origin) "
               "values ($1, 'repository', $2, $3, $4) on conflict (registry_id, kind, key) "
               "do update set clock = excluded.clock, origin = excluded.origin, deleted_at = now()",
               "uuid text int8 text" },
    { 0 },
};

/* Removed between our look and our insert, again and again: give up at some point. */
#define HOLD_ATTEMPTS 10

struct removal_job {
    const struct store *s;
    const char *name;
    bool is_soft;
    struct repository_removal *removal;
    int found;
};

int repository_hold(struct pg_conn *conn, struct arena *a, const struct store *s, const char *name,
                    int64_t *ret_id, struct error *err)
{
    struct pg_result *r = NULL;

    for (int i = 0; i < HOLD_ATTEMPTS; i++) {
        if (PG_RUN(conn, a, &repository_statements[HOLD], &r, err, pg_text(s->registry_id),
                   pg_text(name)) != 0)
            return -1;
        if (pg_rows(r) == 1) {
            if (!pg_get_bool(r, 0, 1))
                return fail_disallowed(err);
            *ret_id = pg_get_int(r, 0, 0);
            return 0;
        }
        if (PG_RUN(conn, a, &repository_statements[MAKE], NULL, err, pg_text(s->registry_id),
                   pg_text(name)) != 0)
            return -1;
    }
    return fail_cause(err, &E_UNAVAILABLE, "repository %s keeps being removed", name);
}

int repository_keep(struct pg_conn *conn, struct arena *a, const struct store *s, const char *name,
                    struct error *err)
{
    struct pg_result *r = NULL;

    if (PG_RUN(conn, a, &repository_statements[HOLD], &r, err, pg_text(s->registry_id),
               pg_text(name)) != 0)
        return -1;
    return pg_rows(r) == 1;
}

int repository_touch(struct pg_conn *conn, struct arena *a, int64_t id, struct error *err)
{
    return PG_RUN(conn, a, &repository_statements[TOUCH], NULL, err, pg_int(id));
}

static int list_content(struct pg_conn *conn, struct arena *a, int64_t id,
                        struct repository_removal *ret, struct error *err)
{
    struct pg_result *manifests = NULL, *tags = NULL;

    if (PG_RUN(conn, a, &repository_statements[MANIFESTS], &manifests, err, pg_int(id)) != 0 ||
        PG_RUN(conn, a, &repository_statements[TAGS], &tags, err, pg_int(id)) != 0)
        return -1;
    ret->manifest_count = pg_rows(manifests);
    ret->manifests = arena_array(a, ret->manifest_count + 1, sizeof(*ret->manifests));
    for (size_t i = 0; i < ret->manifest_count; i++) {
        struct digest digest;
        char text[DIGEST_TEXT_MAX];
        key_read(manifests, i, 0, &digest);
        digest_text(&digest, text);
        ret->manifests[i] = arena_strdup(a, text);
    }
    ret->tag_count = pg_rows(tags);
    ret->tags = arena_array(a, ret->tag_count + 1, sizeof(*ret->tags));
    for (size_t i = 0; i < ret->tag_count; i++)
        ret->tags[i] = pg_get_text(tags, i, 0);
    return 0;
}

static int take_content(struct pg_conn *conn, struct arena *a, const struct removal_job *job,
                        int64_t id, struct error *err)
{
    struct pg_result *r = NULL;
    int64_t bin = 0;

    if (!job->is_soft)
        return 0;
    if (bin_hold(conn, a, job->s, job->name, &bin, err) != 0 ||
        PG_RUN(conn, a, &repository_statements[HOLD_MANIFESTS], &r, err, pg_int(id)) != 0)
        return -1;
    const char **ids = arena_array(a, pg_rows(r) + 1, sizeof(*ids));
    for (size_t i = 0; i < pg_rows(r); i++)
        ids[i] = arena_printf(a, "%" PRId64, pg_get_int(r, i, 0));
    return bin_take(conn, a, job->s, bin, ids, pg_rows(r), err);
}

static int remove_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct removal_job *job = ctx;
    const struct store *s = job->s;
    struct pg_result *r = NULL;

    job->found = 0;
    if (PG_RUN(conn, a, &repository_statements[LOCK], &r, err, pg_text(s->registry_id),
               pg_text(job->name)) != 0)
        return -1;
    if (pg_rows(r) == 0)
        return 0;
    int64_t id = pg_get_int(r, 0, 0);
    if (!pg_get_bool(r, 0, 1))
        return fail_disallowed(err);
    if (PG_RUN(conn, a, &repository_statements[LOCKED_CONTENT], &r, err, pg_int(id)) != 0)
        return -1;
    if (pg_get_bool(r, 0, 0))
        return fail_disallowed(err);
    if (list_content(conn, a, id, job->removal, err) != 0 ||
        take_content(conn, a, job, id, err) != 0 ||
        PG_RUN(conn, a, &repository_statements[REMOVE], NULL, err, pg_int(id)) != 0 ||
        PG_RUN(conn, a, &repository_statements[BURY], NULL, err, pg_text(s->registry_id),
               pg_text(job->name), pg_int(hybrid_clock()), pg_text(s->region)) != 0)
        return -1;
    job->found = job->removal->manifest_count > 0;
    return FAILPOINT("repository_remove.before_commit") ? fail_errno(err, "remove a repository")
                                                        : 0;
}

int repository_remove(const struct store *s, struct arena *a, const char *name, bool is_soft,
                      struct repository_removal *ret, struct error *err)
{
    struct removal_job job = { .s = s, .name = name, .is_soft = is_soft, .removal = ret };

    *ret = (struct repository_removal){ 0 };
    int status = pg_transact(s->db, a, remove_work, &job, err);
    usage_note_less(s->usage);
    if (status != 0)
        return -1;
    if (FAILPOINT("repository_remove.after_commit"))
        return fail_errno(err, "remove a repository");
    return job.found;
}

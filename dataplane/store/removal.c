/* Removing manifests and tags: for good, or into the bin. A deletion holds the row itself first,
 * and looks at its users and its locks in the statements after. */
#include "dataplane/store/removal.h"

#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/failpoint.h"
#include "dataplane/oci/errors.h"
#include "dataplane/store/bin.h"
#include "dataplane/store/content.h"
#include "dataplane/store/expiry.h"
#include "dataplane/store/key.h"
#include "dataplane/store/usage.h"

/* SQL stands in columns of its own. */
/* clang-format off */
enum {
    LOCK, TAGS_ON, DROP_TAGS, DROP_PARENTS, REMOVE, BURY, VANISH, LOCK_TAG, REMOVE_TAG, IS_USED, DUE,
    PUT_OFF, SPARE
};

const struct pg_stmt removal_statements[] = {
    [LOCK] = { "manifest_lock",
               "select m.id, r.id, r.can_write and not " SQL_IS_LOCKED("m")
               " from repositories r join lateral (select id from manifests "
               "where repository_id = r.id and digest = $3 union all "
               "select manifest_id from manifest_aliases where repository_id = r.id "
               "and digest = $3) f on true join manifests m on m.id = f.id "
               "and m.repository_id = r.id where r.registry_id = $1 and r.name = $2 "
               "limit 1 for update of m",
               "uuid text bytea" },
    [TAGS_ON] = { "manifest_tags_on",
                  "select name, can_write and can_delete from tags where manifest_id = $1 "
                  "order by name for update",
                  "int8" },
    [DROP_TAGS] = { "manifest_drop_tags", "delete from tags where manifest_id = $1", "int8" },
    /* And the links to its children, which would go by cascade in an order of their own. */
    [DROP_PARENTS] = { "manifest_drop_parents",
                       "delete from manifest_children c using (select manifest_id, child_id "
                       "from manifest_children where child_id = $1 or manifest_id = $1 "
                       "order by manifest_id, child_id for update) l "
                       "where c.manifest_id = l.manifest_id and c.child_id = l.child_id",
                       "int8" },
    [REMOVE] = { "manifest_remove", "delete from manifests where id = $1", "int8" },
    [BURY] = { "manifest_bury",
               "insert into tombstones (registry_id, kind, key, clock, origin) "
               "select $1, $2, k, $4, $5 from unnest($3::text[]) k order by k "
               "on conflict (registry_id, kind, key) "
               "do update set clock = excluded.clock, origin = excluded.origin, deleted_at = now()",
               "uuid text text[] int8 text" },
    /* An empty repository is as if it had never been: its attributes do not outlive it. */
    [VANISH] = { "manifest_vanish",
                 "with gone as (delete from metadata where repository_id = $1 and tag is null "
                 "and not exists (select from manifests where repository_id = $1)) "
                 "update repositories set can_read = true, can_write = true, can_delete = true, "
                 "can_list = true where id = $1 and not (can_read and can_write and can_delete "
                 "and can_list) and not exists (select from manifests where repository_id = $1)",
                 "int8" },
    [LOCK_TAG] = { "tag_lock",
                   "select t.repository_id, r.can_write and t.can_write and t.can_delete "
                   "from repositories r join tags t on t.repository_id = r.id "
                   "where r.registry_id = $1 and r.name = $2 and t.name = $3 for update of t",
                   "uuid text text" },
    [REMOVE_TAG] = { "tag_remove", "delete from tags where repository_id = $1 and name = $2",
                     "int8 text" },
    /* By a tag, or by an index that is not in a bin. */
    [IS_USED] = { "manifest_is_used",
                  "select exists (select from tags where manifest_id = $1), exists (select from "
                  "manifest_children c join manifests p on p.id = c.manifest_id "
                  "where c.child_id = $1 and p.deleted_at is null)",
                  "int8" },
    [DUE] = { "manifest_due",
              "select exists (select from untagged_manifests where manifest_id = $1 "
              "and untagged_at <= now() - make_interval(days => $2::int))",
              "int8 int8" },
    [PUT_OFF] = { "manifest_put_off",
                  "update untagged_manifests set untagged_at = now() where manifest_id = $1",
                  "int8" },
    [SPARE] = { "manifest_spare", "delete from untagged_manifests where manifest_id = $1", "int8" },
    { 0 },
};
/* clang-format on */

struct removal_job {
    const struct store *s;
    const char *repository, *tag;
    const struct digest *digest;
    bool is_soft;
    int64_t bin;  /* held, if is_soft */
    int64_t days; /* of the retention policy */
    int status;
};

char *grave(struct arena *a, const char *repository, char separator, const char *what)
{
    return arena_printf(a, "%s%c%s", repository, separator, what);
}

static int run_on(struct pg_conn *conn, struct arena *a, int statement, int64_t id,
                  struct pg_result **ret, struct error *err)
{
    return PG_RUN(conn, a, &removal_statements[statement], ret, err, pg_int(id));
}

static int bury(struct pg_conn *conn, struct arena *a, const struct store *s, const char *kind,
                const char **keys, size_t count, struct error *err)
{
    if (count == 0)
        return 0;
    return PG_RUN(conn, a, &removal_statements[BURY], NULL, err, pg_text(s->registry_id),
                  pg_text(kind), pg_texts(keys, count), pg_int(hybrid_clock()), pg_text(s->region));
}

/* --- manifests ---------------------------------------------------------------------------------
 */

/* 1 with the rows held: the repository's, the bin's if it is needed, the manifest's. */
static int lock(struct pg_conn *conn, struct arena *a, struct removal_job *job, int64_t *ret_id,
                int64_t *ret_repository, bool *ret_may, struct error *err)
{
    struct pg_result *r = NULL;

    int kept = repository_keep(conn, a, job->s, job->repository, err);
    if (kept != 1)
        return kept;
    if (job->is_soft && bin_hold(conn, a, job->s, job->repository, &job->bin, err) != 0)
        return -1;
    if (PG_RUN(conn, a, &removal_statements[LOCK], &r, err, pg_text(job->s->registry_id),
               pg_text(job->repository), key_arg(a, job->digest)) != 0)
        return -1;
    if (pg_rows(r) == 0)
        return 0;
    *ret_id = pg_get_int(r, 0, 0);
    *ret_repository = pg_get_int(r, 0, 1);
    *ret_may = pg_get_bool(r, 0, 2);
    return 1;
}

/* The tags of a manifest, held; fails when one of them is locked. */
static int hold_tags(struct pg_conn *conn, struct arena *a, const struct removal_job *job,
                     int64_t id, const char ***ret_keys, size_t *ret_count, struct error *err)
{
    struct pg_result *r = NULL;

    if (run_on(conn, a, TAGS_ON, id, &r, err) != 0)
        return -1;
    const char **keys = arena_array(a, pg_rows(r) + 1, sizeof(*keys));
    for (size_t i = 0; i < pg_rows(r); i++) {
        if (!pg_get_bool(r, i, 1))
            return fail_disallowed(err);
        keys[i] = grave(a, job->repository, ':', pg_get_text(r, i, 0));
    }
    *ret_keys = keys;
    *ret_count = pg_rows(r);
    return 0;
}

static int take_away(struct pg_conn *conn, struct arena *a, const struct removal_job *job,
                     int64_t id, int64_t repository, struct error *err)
{
    char text[DIGEST_TEXT_MAX];
    const char **tags = NULL;
    size_t tag_count = 0;

    digest_text(job->digest, text);
    const char *key = grave(a, job->repository, '@', text);
    const char *const ids[] = { arena_printf(a, "%" PRId64, id) };
    if (hold_tags(conn, a, job, id, &tags, &tag_count, err) != 0 ||
        (job->is_soft && bin_take(conn, a, job->s, job->bin, ids, 1, err) != 0) ||
        run_on(conn, a, DROP_TAGS, id, NULL, err) != 0 ||
        bury(conn, a, job->s, "tag", tags, tag_count, err) != 0)
        return -1;
    if (FAILPOINT("manifest_remove.after_tags"))
        return fail_errno(err, "remove a manifest");
    if (!job->is_soft && (run_on(conn, a, DROP_PARENTS, id, NULL, err) != 0 ||
                          run_on(conn, a, REMOVE, id, NULL, err) != 0))
        return -1;
    if (bury(conn, a, job->s, "manifest", &key, 1, err) != 0 ||
        run_on(conn, a, VANISH, repository, NULL, err) != 0)
        return -1;
    return repository_touch(conn, a, repository, err);
}

static int remove_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct removal_job *job = ctx;
    int64_t id = 0, repository = 0;
    bool may = false;

    job->status = lock(conn, a, job, &id, &repository, &may, err);
    if (job->status != 1)
        return job->status;
    if (!may)
        return fail_disallowed(err);
    if (take_away(conn, a, job, id, repository, err) != 0)
        return -1;
    return FAILPOINT("manifest_remove.before_commit") ? fail_errno(err, "remove a manifest") : 0;
}

int manifest_remove(const struct store *s, struct arena *a, const char *repository,
                    const struct digest *digest, bool is_soft, struct error *err)
{
    struct removal_job job = {
        .s = s, .repository = repository, .digest = digest, .is_soft = is_soft
    };

    int status = pg_transact(s->db, a, remove_work, &job, err);
    usage_note_less(s->usage);
    if (status != 0)
        return -1;
    if (FAILPOINT("manifest_remove.after_commit"))
        return fail_errno(err, "remove a manifest");
    return job.status;
}

/* The time is up: the manifest goes unless something has come to need it since. */
static int retire_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct removal_job *job = ctx;
    struct pg_result *r = NULL;
    int64_t id = 0, repository = 0;
    bool may = false;

    job->status = 0;
    int found = lock(conn, a, job, &id, &repository, &may, err);
    if (found != 1)
        return found;
    if (PG_RUN(conn, a, &removal_statements[DUE], &r, err, pg_int(id), pg_int(job->days)) != 0)
        return -1;
    if (!pg_get_bool(r, 0, 0))
        return 0;
    if (run_on(conn, a, IS_USED, id, &r, err) != 0)
        return -1;
    if (!may || pg_get_bool(r, 0, 0))
        return run_on(conn, a, SPARE, id, NULL, err);
    if (pg_get_bool(r, 0, 1))
        return run_on(conn, a, PUT_OFF, id, NULL, err);
    if (take_away(conn, a, job, id, repository, err) != 0)
        return -1;
    job->status = 1;
    return 0;
}

int manifest_retire(const struct store *s, struct arena *a, const char *repository,
                    const struct digest *digest, int64_t days, struct error *err)
{
    struct removal_job job = { .s = s, .repository = repository, .digest = digest, .days = days };

    int status = pg_transact(s->db, a, retire_work, &job, err);
    usage_note_less(s->usage);
    return status != 0 ? -1 : job.status;
}

/* --- tags --------------------------------------------------------------------------------------
 */

static int remove_tag_work(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct removal_job *job = ctx;
    struct pg_result *r = NULL;
    const char *key = grave(a, job->repository, ':', job->tag);

    job->status = 0;
    int kept = repository_keep(conn, a, job->s, job->repository, err);
    if (kept != 1)
        return kept;
    if (PG_RUN(conn, a, &removal_statements[LOCK_TAG], &r, err, pg_text(job->s->registry_id),
               pg_text(job->repository), pg_text(job->tag)) != 0)
        return -1;
    if (pg_rows(r) == 0)
        return 0;
    int64_t repository = pg_get_int(r, 0, 0);
    if (!pg_get_bool(r, 0, 1))
        return fail_disallowed(err);
    if (PG_RUN(conn, a, &removal_statements[REMOVE_TAG], NULL, err, pg_int(repository),
               pg_text(job->tag)) != 0 ||
        bury(conn, a, job->s, "tag", &key, 1, err) != 0 ||
        repository_touch(conn, a, repository, err) != 0)
        return -1;
    job->status = 1;
    return FAILPOINT("tag_remove.before_commit") ? fail_errno(err, "remove a tag") : 0;
}

int tag_remove(const struct store *s, struct arena *a, const char *repository, const char *tag,
               struct error *err)
{
    struct removal_job job = { .s = s, .repository = repository, .tag = tag };

    if (pg_transact(s->db, a, remove_tag_work, &job, err) != 0)
        return -1;
    if (FAILPOINT("tag_remove.after_commit"))
        return fail_errno(err, "remove a tag");
    return job.status;
}

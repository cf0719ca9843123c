/* Two fixed tables of sets under one lock: names, and scope maps. The newest stands first in its set;
 * the oldest makes room. What leaves the tables is marked, so that whoever holds it asks again. */
#include "dataplane/store/accounts.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/json/json.h"
#include "common/pg/pg.h"
#include "dataplane/store/content.h"

#define NAME_SETS       256u
#define NAME_WAYS       16
#define MAP_SETS        32u
#define MAP_WAYS        8
#define KEPT_WAYS       1 /* of a set of names, when it is quiet */
#define NAME_MAX_BYTES  256
#define PASSWORDS_MAX   8 /* of one name; there are two of a token and two of the admin user */
#define PERMISSIONS_MAX ((size_t)4 * 1024 * 1024)
#define STATE_MAX_BYTES ((size_t)8192)

enum { LOOK_UP, COMPARE, MAP };

/* What a row is, as one text: two rows with the same text are the same. */
#define ROW_STATE                                                                                  \
    "concat_ws(' ', c.password_name, c.kind, c.hash, extract(epoch from c.expires_at), "           \
    "md5(c.permissions::text), c.scope_map_id, m.version)"
#define ROW_FROM                                                                                   \
    "from credentials c left join scope_maps m on m.registry_id = c.registry_id "                  \
    "and m.id = c.scope_map_id where c.registry_id = $1 "

const struct pg_stmt account_statements[] = {
    [LOOK_UP] = { "account_look_up",
                  "select c.kind, c.hash, c.expires_at, c.scope_map_id, coalesce(m.version, 0), "
                  "case when c.scope_map_id is null then c.permissions end, " ROW_STATE
                  " " ROW_FROM "and c.username = $2 order by c.password_name",
                  "uuid text" },
    [COMPARE] = { "account_compare",
                  "select c.username, string_agg(" ROW_STATE ", '|' order by c.password_name) "
                  ROW_FROM "and c.username = any ($2) group by c.username",
                  "uuid text[]" },
    [MAP] = { "account_scope_map",
              "select version, permissions from scope_maps where registry_id = $1 and id = $2",
              "uuid uuid" },
    { 0 },
};

/* The permissions of one version of a scope map. */
struct map {
    _Atomic int refs;
    struct arena *arena;
    const char *id;
    int64_t version;
    struct scopes permissions;
};

struct entry {
    struct account account; /* first */
    _Atomic int refs;
    _Atomic bool is_stale;
    struct arena *arena;
    const char *state; /* ROW_STATE of its rows, in order, joined by '|' */
};

struct accounts {
    struct pg_pool *db;
    const char *registry_id;
    uint64_t seed; /* so that nobody can aim names at one set */
    pthread_mutex_t lock;
    uint64_t epoch; /* of comparisons: what was asked for before one began is not kept after it */
    struct entry *names[NAME_SETS][NAME_WAYS];
    struct map *maps[MAP_SETS][MAP_WAYS];
};

/* --- references --------------------------------------------------------------------------------
 */

static void map_unref(void *map)
{
    struct map *m = map;

    if (!m || atomic_fetch_sub(&m->refs, 1) != 1)
        return;
    arena_free(m->arena);
    free(m);
}

struct account *account_ref(struct account *account)
{
    atomic_fetch_add(&((struct entry *)account)->refs, 1);
    return account;
}

void account_unref(void *account)
{
    struct entry *e = account;

    if (!e || atomic_fetch_sub(&e->refs, 1) != 1)
        return;
    arena_free(e->arena);
    free(e);
}

bool account_is_current(const struct account *account)
{
    return !atomic_load(&((const struct entry *)account)->is_stale);
}

static void drop(struct entry **slot)
{
    struct entry *e = take(*slot);

    if (!e)
        return;
    atomic_store(&e->is_stale, true);
    account_unref(e);
}

/* --- the tables --------------------------------------------------------------------------------
 */

static uint64_t hash_of(uint64_t seed, const char *s)
{
    uint64_t h = seed ^ 0x9e3779b97f4a7c15u;

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 0xc4ceb9fe1a85ec53u;
    return h ^ (h >> 29);
}

struct accounts *accounts_new(struct pg_pool *db, const char *registry_id)
{
    struct accounts *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    s->db = db;
    s->registry_id = registry_id;
    (void)pthread_mutex_init(&s->lock, NULL);
    random_bytes(&s->seed, sizeof(s->seed));
    return s;
}

void accounts_free(struct accounts *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < NAME_SETS * NAME_WAYS; i++)
        drop(&s->names[i / NAME_WAYS][i % NAME_WAYS]);
    for (size_t i = 0; i < MAP_SETS * MAP_WAYS; i++)
        map_unref(s->maps[i / MAP_WAYS][i % MAP_WAYS]);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

struct account *accounts_find(struct accounts *s, const char *name)
{
    struct entry *found = NULL;

    (void)pthread_mutex_lock(&s->lock);
    struct entry **set = s->names[hash_of(s->seed, name) % NAME_SETS];
    for (size_t i = 0; i < NAME_WAYS && !found; i++) {
        if (set[i] && strcmp(set[i]->account.name, name) == 0)
            found = set[i];
    }
    if (found)
        (void)account_ref(&found->account);
    (void)pthread_mutex_unlock(&s->lock);
    return found ? &found->account : NULL;
}

/* In place of its namesake, else of the oldest; unless a comparison began meanwhile. */
static void remember(struct accounts *s, uint64_t epoch, struct entry *e)
{
    size_t at = 0;

    (void)pthread_mutex_lock(&s->lock);
    struct entry **set = s->names[hash_of(s->seed, e->account.name) % NAME_SETS];
    if (s->epoch != epoch) {
        atomic_store(&e->is_stale, true);
    } else {
        while (at < NAME_WAYS - 1 && set[at] &&
               strcmp(set[at]->account.name, e->account.name) != 0)
            at++;
        drop(&set[at]);
        memmove(&set[1], &set[0], at * sizeof(struct entry *));
        set[0] = e;
        (void)account_ref(&e->account);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

void accounts_trim(struct accounts *s)
{
    (void)pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < NAME_SETS; i++) {
        for (size_t way = KEPT_WAYS; way < NAME_WAYS; way++)
            drop(&s->names[i][way]);
    }
    for (size_t i = 0; i < MAP_SETS * MAP_WAYS; i++)
        map_unref(take(s->maps[i / MAP_WAYS][i % MAP_WAYS]));
    (void)pthread_mutex_unlock(&s->lock);
}

/* --- scope maps --------------------------------------------------------------------------------
 */

static struct map *find_map(struct accounts *s, const char *id, int64_t version)
{
    struct map *found = NULL;

    (void)pthread_mutex_lock(&s->lock);
    struct map **set = s->maps[hash_of(s->seed, id) % MAP_SETS];
    for (size_t i = 0; i < MAP_WAYS && !found; i++) {
        if (set[i] && set[i]->version == version && strcmp(set[i]->id, id) == 0)
            found = set[i];
    }
    if (found)
        atomic_fetch_add(&found->refs, 1);
    (void)pthread_mutex_unlock(&s->lock);
    return found;
}

static void remember_map(struct accounts *s, struct map *m)
{
    size_t at = 0;

    (void)pthread_mutex_lock(&s->lock);
    struct map **set = s->maps[hash_of(s->seed, m->id) % MAP_SETS];
    while (at < MAP_WAYS - 1 && set[at] && strcmp(set[at]->id, m->id) != 0)
        at++;
    map_unref(set[at]);
    memmove(&set[1], &set[0], at * sizeof(struct map *));
    set[0] = m;
    atomic_fetch_add(&m->refs, 1);
    (void)pthread_mutex_unlock(&s->lock);
}

static int read_permissions(struct arena *a, const char *text, struct scopes *ret,
                            struct error *err)
{
    _cleanup_(json_putp) struct json_object *list = NULL;

    if (json_parse(text, strlen(text), PERMISSIONS_MAX, JSON_STRICT, &list, err) != 0)
        return wrap(err, "published permissions");
    scopes_read(a, list, ret);
    return 0;
}

static struct map *map_new(const char *id, int64_t version)
{
    struct map *m = calloc(1, sizeof(*m));
    if (!m)
        abort();
    atomic_init(&m->refs, 1);
    m->arena = arena_new();
    m->id = arena_strdup(m->arena, id);
    m->version = version;
    return m;
}

/* A map that is gone allows nothing. A newer version than the row named is as good: the row is found
 * changed by the next comparison. */
static int load_map(struct accounts *s, struct pg_conn *conn, struct arena *a, const char *id,
                    int64_t version, struct map **ret, struct error *err)
{
    struct pg_result *r = NULL;

    *ret = find_map(s, id, version);
    if (*ret)
        return 0;
    if (PG_RUN(conn, a, &account_statements[MAP], &r, err, pg_text(s->registry_id), pg_text(id)))
        return wrap(err, "scope map");
    bool is_there = pg_rows(r) == 1;
    *ret = map_new(id, is_there ? pg_get_int(r, 0, 0) : 0);
    if (is_there && read_permissions((*ret)->arena, pg_get_text(r, 0, 1), &(*ret)->permissions,
                                     err)) {
        map_unref(take(*ret));
        return -1;
    }
    if (is_there)
        remember_map(s, *ret);
    return 0;
}

/* --- asking the database -----------------------------------------------------------------------
 */

struct asking {
    struct accounts *owner;
    const char *name;
    struct entry *entry;
};

static struct entry *entry_new(const char *name, size_t count)
{
    struct entry *e = calloc(1, sizeof(*e));
    if (!e)
        abort();
    atomic_init(&e->refs, 1);
    e->arena = arena_new();
    e->account.name = arena_strdup(e->arena, name);
    e->account.passwords = arena_array(e->arena, count, sizeof(struct password));
    return e;
}

static void set_mark(struct password *p)
{
    struct digest digest;
    char hex[2 * SHA512_LEN + 1];

    digest_of(DIGEST_SHA256, p->hash, strlen(p->hash), &digest);
    digest_hex(&digest, hex);
    memcpy(p->mark, hex, sizeof(p->mark) - 1);
}

static int read_password(struct asking *q, struct pg_conn *conn, struct arena *a,
                         const struct pg_result *r, size_t row, struct error *err)
{
    struct entry *e = q->entry;
    struct password *p = &e->account.passwords[e->account.count++];
    struct map *map = NULL;

    p->is_admin = text_eq(pg_get_text(r, row, 0), "admin");
    p->hash = arena_strdup(e->arena, pg_get_text(r, row, 1));
    p->expires_us = pg_is_null(r, row, 2) ? 0 : pg_get_time_us(r, row, 2);
    set_mark(p);
    if (pg_is_null(r, row, 3)) {
        struct scopes *own = ARENA_NEW(e->arena, struct scopes);
        p->permissions = own;
        return read_permissions(e->arena, pg_get_text(r, row, 5), own, err);
    }
    if (load_map(q->owner, conn, a, pg_get_text(r, row, 3), pg_get_int(r, row, 4), &map, err))
        return -1;
    arena_defer(e->arena, map_unref, map);
    p->permissions = &map->permissions;
    return 0;
}

static int ask(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    struct asking *q = ctx;
    _cleanup_(str_done) struct str state = { 0 };
    struct pg_result *r = NULL;

    account_unref(take(q->entry)); /* of a run that is repeated */
    if (PG_RUN(conn, a, &account_statements[LOOK_UP], &r, err, pg_text(q->owner->registry_id),
               pg_text(q->name)))
        return -1;
    size_t count = pg_rows(r) < PASSWORDS_MAX ? pg_rows(r) : PASSWORDS_MAX;
    if (count == 0)
        return 0;
    str_init(&state, STATE_MAX_BYTES);
    q->entry = entry_new(q->name, count);
    for (size_t i = 0; i < count; i++) {
        str_printf(&state, "%s%s", i ? "|" : "", pg_get_text(r, i, 6));
        if (read_password(q, conn, a, r, i, err) != 0)
            return -1;
    }
    q->entry->state = str_copy(&state, q->entry->arena);
    return 0;
}

int accounts_look_up(struct accounts *s, const char *name, struct account **ret, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct asking q = { .owner = s, .name = name };

    *ret = NULL;
    if (strnlen(name, NAME_MAX_BYTES + 1) > NAME_MAX_BYTES || !text_is_utf8(name, strlen(name)))
        return 0;
    (void)pthread_mutex_lock(&s->lock);
    uint64_t epoch = s->epoch;
    (void)pthread_mutex_unlock(&s->lock);
    if (pg_with(s->db, a, ask, &q, err) != 0) {
        account_unref(q.entry);
        return -1;
    }
    if (!q.entry)
        return 0;
    remember(s, epoch, q.entry);
    *ret = &q.entry->account;
    return 1;
}

/* --- comparing ---------------------------------------------------------------------------------
 */

struct known {
    const char **names, **states;
    size_t count;
};

static void list_known(struct accounts *s, struct arena *a, struct known *ret)
{
    ret->names = arena_array(a, (size_t)NAME_SETS * NAME_WAYS, sizeof(char *));
    ret->states = arena_array(a, (size_t)NAME_SETS * NAME_WAYS, sizeof(char *));
    (void)pthread_mutex_lock(&s->lock);
    s->epoch++;
    for (size_t i = 0; i < NAME_SETS * NAME_WAYS; i++) {
        const struct entry *e = s->names[i / NAME_WAYS][i % NAME_WAYS];
        if (!e)
            continue;
        ret->names[ret->count] = arena_strdup(a, e->account.name);
        ret->states[ret->count++] = arena_strdup(a, e->state);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

/* Only if it is still the one that was compared. */
static void forget(struct accounts *s, const char *name, const char *state)
{
    struct entry **set = s->names[hash_of(s->seed, name) % NAME_SETS];

    for (size_t i = 0; i < NAME_WAYS; i++) {
        if (!set[i] || strcmp(set[i]->account.name, name) != 0 ||
            strcmp(set[i]->state, state) != 0)
            continue;
        drop(&set[i]);
        memmove(&set[i], &set[i + 1], (NAME_WAYS - 1 - i) * sizeof(struct entry *));
        set[NAME_WAYS - 1] = NULL;
        return;
    }
}

static int by_name(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Rows of the answer by name: "name" then "state", sorted by name here, whatever the server's
 * collation. */
static const char *state_in(const char *const (*rows)[2], size_t count, const char *name)
{
    const char *const key[2] = { name, NULL };
    const char *const *found = bsearch(key, rows, count, sizeof(*rows), by_name);

    return found ? found[1] : NULL;
}

int accounts_compare(struct accounts *s, struct pg_conn *conn, struct arena *a, struct error *err)
{
    struct known known = { 0 };
    struct pg_result *r = NULL;

    list_known(s, a, &known);
    if (known.count == 0)
        return 0;
    if (PG_RUN(conn, a, &account_statements[COMPARE], &r, err, pg_text(s->registry_id),
               pg_texts(known.names, known.count)))
        return wrap(err, "compare accounts");
    const char *(*rows)[2] = arena_array(a, pg_rows(r) + 1, sizeof(*rows));
    for (size_t i = 0; i < pg_rows(r); i++) {
        rows[i][0] = pg_get_text(r, i, 0);
        rows[i][1] = pg_get_text(r, i, 1);
    }
    qsort(rows, pg_rows(r), sizeof(*rows), by_name);
    (void)pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < known.count; i++) {
        if (!text_eq(state_in((const char *const (*)[2])rows, pg_rows(r), known.names[i]),
                     known.states[i]))
            forget(s, known.names[i], known.states[i]);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return 0;
}

/* The table of upload sessions: few enough that a list under one lock will do. */
#include "dataplane/oci/upload.h"

#include <pthread.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "dataplane/auth/identity.h"
#include "dataplane/blobs/blobs.h"
#include "dataplane/oci/errors.h"

struct session {
    struct upload upload; /* first */
    struct session *next;
    char *repository;
    enum identity_kind kind;
    char *name; /* of the identity */
    bool is_held;
    int64_t used_ms;
};

struct uploads {
    pthread_mutex_t lock;
    struct blob_store *blobs;
    struct session *first;
    unsigned count;
};

struct uploads *uploads_new(struct blob_store *blobs)
{
    struct uploads *t = calloc(1, sizeof(*t));
    if (!t)
        abort();
    (void)pthread_mutex_init(&t->lock, NULL);
    t->blobs = blobs;
    return t;
}

static void session_free(struct session *s)
{
    blob_writer_free(s->upload.writer);
    free(s->repository);
    free(s->name);
    free(s);
}

void uploads_free(struct uploads *t)
{
    if (!t)
        return;
    while (t->first) {
        struct session *s = t->first;
        t->first = s->next;
        session_free(s);
    }
    (void)pthread_mutex_destroy(&t->lock);
    free(t);
}

static bool is_owner(const struct session *s, const struct identity *id)
{
    return s->kind == id->kind && strcmp(s->name, id->name) == 0;
}

/* id NULL: whoever's it is. */
static struct session *find(const struct uploads *t, const char *session, const char *repository,
                            const struct identity *id)
{
    for (struct session *s = t->first; s; s = s->next) {
        if (strcmp(s->upload.id, session) == 0)
            return strcmp(s->repository, repository) == 0 && (!id || is_owner(s, id)) ? s : NULL;
    }
    return NULL;
}

static bool has_room(const struct uploads *t, const struct identity *id)
{
    unsigned own = 0;

    for (const struct session *s = t->first; s; s = s->next)
        own += is_owner(s, id);
    return own < UPLOADS_PER_IDENTITY && t->count < UPLOADS_MAX;
}

int upload_start(struct uploads *t, const char *repository, const struct identity *id,
                 bool has_sha512, struct upload **ret, struct error *err)
{
    struct blob_writer *writer = NULL;
    bool is_room = false;

    if (blob_writer_new(t->blobs, has_sha512, &writer, err) != 0)
        return -1;
    struct session *s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    uuid_new(s->upload.id);
    s->upload.writer = writer;
    s->upload.started_s = s->upload.used_s = clock_wall_s();
    s->repository = strdup(repository);
    s->kind = id->kind;
    s->name = strdup(id->name);
    if (!s->repository || !s->name)
        abort();
    s->is_held = true;
    s->used_ms = clock_mono_ms();

    (void)pthread_mutex_lock(&t->lock);
    is_room = has_room(t, id);
    if (is_room) {
        s->next = t->first;
        t->first = s;
        t->count++;
    }
    (void)pthread_mutex_unlock(&t->lock);
    if (!is_room) {
        session_free(s);
        return fail(err, &E_TOO_MANY, "too many uploads are open; finish or cancel some");
    }
    *ret = &s->upload;
    return 0;
}

int upload_hold(struct uploads *t, const char *session, const char *repository,
                const struct identity *id, struct upload **ret, struct error *err)
{
    bool is_busy = false;

    (void)pthread_mutex_lock(&t->lock);
    struct session *s = find(t, session, repository, id);
    if (s) {
        is_busy = s->is_held;
        s->is_held = true;
        s->used_ms = clock_mono_ms();
    }
    (void)pthread_mutex_unlock(&t->lock);
    if (!s)
        return fail(err, &E_BLOB_UPLOAD_UNKNOWN, "blob upload unknown to registry");
    if (is_busy)
        return fail(err, &E_BLOB_UPLOAD_BUSY, "another request is writing to this upload");
    *ret = &s->upload;
    return 0;
}

void upload_release(struct uploads *t, struct upload *u)
{
    struct session *s = (struct session *)u;

    (void)pthread_mutex_lock(&t->lock);
    s->is_held = false;
    s->used_ms = clock_mono_ms();
    s->upload.used_s = clock_wall_s();
    (void)pthread_mutex_unlock(&t->lock);
}

/* The lock is held. */
static void detach(struct uploads *t, struct session *s)
{
    struct session **at = &t->first;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    t->count--;
}

void upload_end(struct uploads *t, struct upload *u)
{
    struct session *s = (struct session *)u;

    (void)pthread_mutex_lock(&t->lock);
    detach(t, s);
    (void)pthread_mutex_unlock(&t->lock);
    session_free(s);
}

bool upload_times(struct uploads *t, const char *session, const char *repository,
                  int64_t *ret_started_s, int64_t *ret_used_s)
{
    (void)pthread_mutex_lock(&t->lock);
    const struct session *s = find(t, session, repository, NULL);
    if (s) {
        *ret_started_s = s->upload.started_s;
        *ret_used_s = s->upload.used_s;
    }
    (void)pthread_mutex_unlock(&t->lock);
    return s != NULL;
}

unsigned uploads_sweep(struct uploads *t)
{
    int64_t limit = clock_mono_ms() - UPLOAD_IDLE_MS;
    struct session *ended = NULL;
    unsigned left = 0;

    (void)pthread_mutex_lock(&t->lock);
    for (struct session *s = t->first, *next = NULL; s; s = next) {
        next = s->next;
        if (s->is_held || s->used_ms > limit)
            continue;
        detach(t, s);
        s->next = ended;
        ended = s;
    }
    left = t->count;
    (void)pthread_mutex_unlock(&t->lock);
    while (ended) {
        struct session *s = ended;
        ended = s->next;
        session_free(s);
    }
    return left;
}

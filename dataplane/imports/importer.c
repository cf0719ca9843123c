/* The thread of imports: claims, carries out, tells the end. It is made when there is something to
 * do, and ends when nothing is left, with its connections and its memory. */
#include "dataplane/imports/importer.h"

#include <pthread.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/failpoint.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/client/client.h"
#include "common/crypto/digest.h"
#include "common/crypto/secret.h"
#include "dataplane/imports/import.h"
#include "dataplane/plane.h"
#include "dataplane/store/imports.h"

#define STACK_BYTES  ((size_t)512 * 1024)
#define ATTEMPTS_MAX 5
#define WAIT_S       5 /* before another attempt; longer each time */
#define OUTAGE_MS    2000

struct importer {
    struct data_plane *plane;
    char owner[UUID_TEXT_LEN + 1];
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool has_thread; /* to be joined */
    bool is_running;
    bool is_asked;
    bool is_stopping;
};

static bool goes_on(void *ctx)
{
    struct importer *i = ctx;

    (void)pthread_mutex_lock(&i->lock);
    bool ret = !i->is_stopping;
    (void)pthread_mutex_unlock(&i->lock);
    return ret;
}

static int unwrap(const struct importer *i, struct arena *a, const struct import_row *row,
                  const char **ret, struct error *err)
{
    struct service_key key;
    uint8_t *bytes = NULL;
    size_t len = 0;

    *ret = NULL;
    if (!row->wrapped_secret)
        return 0;
    if (service_key_load(i->plane->settings->service_key_file, false, &key, err) != 0)
        return -1;
    int status = secret_unwrap(a, &key, arena_printf(a, "import/%s", row->id), row->wrapped_secret,
                               &bytes, &len, err);
    secret_cleanse(&key, sizeof(key));
    if (status == 0)
        *ret = arena_strndup(a, (const char *)bytes, len);
    return status;
}

static int open_clients(const struct importer *i, struct arena *a, struct client **ret_own,
                        struct client **ret_abroad, struct error *err)
{
    const struct data_settings *settings = i->plane->settings;
    struct client_config own = { .reach = CLIENT_OWN, .ca_file = settings->ca_file };
    struct client_config abroad = { .reach = CLIENT_PUBLIC, .ca_file = settings->import_ca_file };
    char **allowed = NULL;

    if (settings->import_allow) {
        (void)text_split(a, settings->import_allow, ' ', &allowed);
        abroad.allowed_cidrs = (const char *const *)allowed;
    }
    return client_new(&own, ret_own, err) != 0 || client_new(&abroad, ret_abroad, err) != 0 ? -1
                                                                                            : 0;
}

static int carry_out(struct importer *i, struct arena *a, struct import_run *run, struct error *err)
{
    int status = unwrap(i, a, run->row, &run->secret, err);

    if (status == 0)
        status = open_clients(i, a, &run->own, &run->abroad, err);
    if (status == 0)
        status = import_carry_out(run, a, err);
    client_free(run->own);
    client_free(run->abroad);
    return status;
}

static bool is_passing(const struct error *err)
{
    return err->code == &E_UNAVAILABLE || err->code == &E_TIMEOUT;
}

static void say(const struct import_row *row, const struct error *err)
{
    struct log_line line;

    log_start(&line, err ? LOG_WARN : LOG_INFO, "import");
    log_text(&line, "id", row->id);
    log_int(&line, "attempt", row->attempts);
    log_text(&line, "outcome", err ? err->code->name : "succeeded");
    if (err)
        log_text(&line, "why", err->cause[0] ? err->cause : err->message);
    log_end(&line);
}

/* Tells how it ended, unless somebody else has it by now. */
static int conclude(struct importer *i, struct arena *a, const struct import_run *run, int status,
                    const struct error *failure, struct error *err)
{
    const struct import_row *row = run->row;
    const struct store *s = &i->plane->store;

    if (status != 0 && run->is_lost)
        return imports_put_off(s, a, row->id, i->owner, 0, err) < 0 ? -1 : 0;
    say(row, status != 0 ? failure : NULL);
    if (status != 0 && is_passing(failure) && row->attempts < ATTEMPTS_MAX)
        return imports_put_off(s, a, row->id, i->owner, WAIT_S * row->attempts, err) < 0 ? -1 : 0;
    if (FAILPOINT("import.before_end"))
        return fail_errno(err, "end an import");
    if (imports_end(s, a, row->id, i->owner, status != 0 ? failure->code->name : NULL,
                    status != 0 ? failure->message : NULL, err) < 0)
        return -1;
    return FAILPOINT("import.after_end") ? fail_errno(err, "end an import") : 0;
}

/* 1 when there was one, 0 when there is none now. */
static int take_one(struct importer *i, struct arena *a, struct error *err)
{
    struct import_row row;
    struct error failure = { 0 };
    int found = imports_claim(&i->plane->store, a, i->owner, &row, err);

    if (found != 1)
        return found;
    if (FAILPOINT("import.after_claim"))
        return fail_errno(err, "claim an import");
    struct import_run run = {
        .plane = i->plane, .row = &row, .owner = i->owner, .goes_on = goes_on, .ctx = i
    };
    int status = carry_out(i, a, &run, &failure);
    return conclude(i, a, &run, status, &failure, err) != 0 ? -1 : 1;
}

static void wait_for(struct importer *i, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;
    struct timespec at = { .tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000 };

    (void)pthread_mutex_lock(&i->lock);
    if (!i->is_stopping && !i->is_asked)
        (void)pthread_cond_timedwait(&i->wake, &i->lock, &at);
    (void)pthread_mutex_unlock(&i->lock);
}

/* Does what can be done now; milliseconds until the next can be, -1: nothing is left. */
static int64_t work(struct importer *i, struct arena *a)
{
    struct error err = { 0 };
    int64_t next_ms = -1;
    int status = 1;

    while (status == 1 && goes_on(i)) {
        arena_reset(a);
        status = take_one(i, a, &err);
    }
    if (status == 0)
        status = imports_next(&i->plane->store, a, &next_ms, &err);
    if (status >= 0)
        return next_ms;
    log_failure(LOG_WARN, "imports", &err);
    return OUTAGE_MS;
}

/* False while somebody has asked meanwhile, or something waits. */
static bool is_over(struct importer *i, int64_t next_ms)
{
    (void)pthread_mutex_lock(&i->lock);
    bool is_over = i->is_stopping || (next_ms < 0 && !i->is_asked);
    i->is_running = !is_over;
    (void)pthread_mutex_unlock(&i->lock);
    return is_over;
}

static void *run_imports(void *ctx)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct importer *i = ctx;
    int64_t next_ms;

    do {
        (void)pthread_mutex_lock(&i->lock);
        i->is_asked = false;
        (void)pthread_mutex_unlock(&i->lock);
        next_ms = work(i, a);
        arena_reset(a);
        if (next_ms >= 0)
            wait_for(i, next_ms > 100 ? next_ms : 100);
    } while (!is_over(i, next_ms));
    return NULL;
}

struct importer *importer_new(struct data_plane *plane)
{
    struct importer *i = calloc(1, sizeof(*i));
    pthread_condattr_t attr;

    if (!i)
        abort();
    i->plane = plane;
    uuid_new(i->owner);
    (void)pthread_mutex_init(&i->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&i->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    return i;
}

void importer_stop(struct importer *i)
{
    bool has_thread;

    if (!i)
        return;
    (void)pthread_mutex_lock(&i->lock);
    i->is_stopping = true;
    has_thread = i->has_thread;
    i->has_thread = false;
    (void)pthread_cond_signal(&i->wake);
    (void)pthread_mutex_unlock(&i->lock);
    if (has_thread)
        (void)pthread_join(i->thread, NULL);
}

void importer_free(struct importer *i)
{
    if (!i)
        return;
    importer_stop(i);
    (void)pthread_cond_destroy(&i->wake);
    (void)pthread_mutex_destroy(&i->lock);
    free(i);
}

static void start_thread(struct importer *i)
{
    pthread_attr_t attr;

    if (i->has_thread) /* it has ended, or is about to return */
        (void)pthread_join(i->thread, NULL);
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    i->is_running = i->has_thread = pthread_create(&i->thread, &attr, run_imports, i) == 0;
    (void)pthread_attr_destroy(&attr);
    if (!i->has_thread)
        log_note(LOG_WARN, "imports", "no thread could be made; the next request tries again");
}

int importer_look(struct importer *i, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    int64_t next_ms = -1;

    if (imports_next(&i->plane->store, a, &next_ms, err) != 0)
        return -1;
    if (next_ms < 0)
        return 0;
    (void)pthread_mutex_lock(&i->lock);
    i->is_asked = true;
    (void)pthread_cond_signal(&i->wake);
    if (!i->is_running && !i->is_stopping)
        start_thread(i);
    (void)pthread_mutex_unlock(&i->lock);
    return 0;
}

bool importer_is_busy(struct importer *i)
{
    (void)pthread_mutex_lock(&i->lock);
    bool is_busy = i->is_running;
    (void)pthread_mutex_unlock(&i->lock);
    return is_busy;
}

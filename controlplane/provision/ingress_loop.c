/* The thread that keeps attached networks up to date. A notification only shortens its sleep; a
 * network that was just attached is found by the next look. Failures are logged once and tried
 * again. */
#include "controlplane/provision/ingress.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/thread.h"
#include "common/pg/pg.h"
#include "controlplane/control.h"
#include "controlplane/store/network_rules.h"

#define CHANNEL "portolan_network"
#define LOOK_MS 2000
#define STOP_MS 1000 /* beyond the grace: it stops between two looks */

struct ingresses {
    struct control *control;
    struct pg_listener *listener;
    pthread_t thread;
    int stop_fd; /* readable when stopping */
    atomic_bool is_stopping;
};

static int wake(struct pg_conn *conn, struct arena *a, void *ctx, struct error *err)
{
    (void)ctx;
    return rules_wake(conn, a, err);
}

/* is_told: something changed, perhaps a subnet that a registry's rules name. */
static int turn(struct ingresses *i, struct arena *a, bool is_told, struct error *err)
{
    if (is_told && pg_transact(i->control->db, a, wake, NULL, err))
        return -1;
    return ingress_sync(i->control, a, err);
}

static void *run(void *ctx)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct ingresses *i = ctx;
    bool is_failing = false;
    const char *payload;
    struct error err;

    while (!atomic_load(&i->is_stopping)) {
        bool was_failing = is_failing;
        int told = pg_listener_wait(i->listener, a, i->stop_fd, LOOK_MS, &payload, &err);

        if (atomic_load(&i->is_stopping))
            break;
        is_failing = told < 0 || turn(i, a, told > 0, &err) != 0;
        if (is_failing)
            log_failure(was_failing ? LOG_DEBUG : LOG_WARN, "ingress-failed", &err);
        arena_reset(a);
    }
    return NULL;
}

static void ingresses_free(struct ingresses *i)
{
    pg_listener_free(i->listener);
    if (i->stop_fd >= 0)
        (void)close(i->stop_fd);
    free(i);
}

int ingresses_start(struct control *control, struct ingresses **ret, struct error *err)
{
    struct ingresses *i = calloc(1, sizeof(*i));

    if (!i)
        abort();
    i->control = control;
    i->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (i->stop_fd < 0) {
        (void)fail_errno(err, "eventfd");
    } else if (pg_listener_new(control->settings->control_db, CHANNEL, &i->listener, err)) {
        (void)wrap(err, "listen");
    } else if ((errno = pthread_create(&i->thread, NULL, run, i)) != 0) {
        (void)fail_errno(err, "start thread");
    } else {
        *ret = i;
        return 0;
    }
    ingresses_free(i);
    return -1;
}

bool ingresses_stop(struct ingresses *i, int64_t grace_ms)
{
    uint64_t one = 1;

    if (!i)
        return true;
    atomic_store(&i->is_stopping, true);
    (void)!write(i->stop_fd, &one, sizeof(one));
    if (!thread_join(i->thread, clock_mono_ms() + grace_ms + STOP_MS))
        return false;
    ingresses_free(i);
    return true;
}

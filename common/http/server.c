/* Start and stop of a server: listeners, libmicrohttpd's daemon, worker pool, edge thread. */
#include "common/http/exchange.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/base/thread.h"
#include "common/http/work.h"

/* libmicrohttpd takes this per connection when it is accepted and clears all of it per request, so
 * an idle connection costs it in full. Half of it is the first read buffer: a target of 8 KiB and
 * tokens of some KiB fit, and uploads are read in pieces of 16 KiB, at 0.9 GB/s on one core; 64 KiB
 * would double what idle connections cost. Pools above 32 KiB are mapped, not taken from the heap,
 * so the memory of a closed connection goes back to the system. */
#define CONNECTION_BYTES ((size_t)36 << 10)
#define WORKER_IDLE_MS 10000
/* A short statement has two sides: this keeps both at work. */
#define BRIEF_PER_PROCESSOR 2
/* frame.c makes up for what 0.9.75 lets through; newer ones can refuse it themselves. */
#if MHD_VERSION >= 0x00097701
#define STRICTNESS MHD_OPTION_CLIENT_DISCIPLINE_LVL
#else
#define STRICTNESS MHD_OPTION_STRICT_FOR_CLIENT
#endif

/* Targets are decoded by target.c, once; query arguments by request.c. */
static size_t leave_escapes(void *cls, struct MHD_Connection *connection, char *s)
{
    (void)cls;
    (void)connection;
    return strlen(s);
}

static unsigned or_default(unsigned value, unsigned fallback)
{
    return value ? value : fallback;
}

static int copy_config(struct http_server *s, const struct http_server_config *config,
                       struct error *err)
{
    s->config = *config;
    s->config.event_threads = or_default(config->event_threads, 1);
    s->config.workers_max = or_default(config->workers_max, 16);
    s->config.queue_max = or_default(config->queue_max, 1024);
    s->config.connections_max = or_default(config->connections_max, 4096);
    s->config.idle_timeout_s = or_default(config->idle_timeout_s, 60);
    s->config.edge_secret = NULL;
    if (!config->edge_listen)
        return 0;
    if (!config->edge_secret || config->edge_secret[0] == '\0')
        return fail_cause(err, &E_INVALID, "the edge listener needs a secret");
    s->config.edge_secret = strdup(config->edge_secret);
    return s->config.edge_secret ? 0 : fail_errno(err, "edge secret");
}

static struct MHD_Daemon *start_with(struct http_server *s, unsigned flags,
                                     const struct MHD_OptionItem *options)
{
    return MHD_start_daemon(flags, 0, NULL, NULL, http_on_request, s, MHD_OPTION_ARRAY, options,
                            MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, s,
                            MHD_OPTION_URI_LOG_CALLBACK, http_on_uri, s,
                            MHD_OPTION_UNESCAPE_CALLBACK, leave_escapes, NULL, MHD_OPTION_END);
}

static int start_daemon(struct http_server *s, struct error *err)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC;
    struct MHD_OptionItem options[] = {
        { MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)CONNECTION_BYTES, NULL },
        { MHD_OPTION_CONNECTION_LIMIT, (intptr_t)s->config.connections_max, NULL },
        { MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)s->config.idle_timeout_s, NULL },
        { MHD_OPTION_THREAD_STACK_SIZE, (intptr_t)HTTP_STACK_BYTES, NULL },
        { STRICTNESS, 1, NULL },
        { MHD_OPTION_END, 0, NULL }, /* room for a pool */
        { MHD_OPTION_END, 0, NULL }, /* room for a socket */
        { MHD_OPTION_END, 0, NULL },
    };
    size_t n = ARRAY_LEN(options) - 3;
    sigset_t all, before;

    if (s->config.event_threads > 1)
        options[n++] = (struct MHD_OptionItem){ MHD_OPTION_THREAD_POOL_SIZE,
                                                (intptr_t)s->config.event_threads, NULL };
    if (s->plain.fd >= 0)
        options[n++] =
            (struct MHD_OptionItem){ MHD_OPTION_LISTEN_SOCKET, (intptr_t)s->plain.fd, NULL };
    else
        flags |= MHD_USE_NO_LISTEN_SOCKET;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    s->daemon = start_with(s, flags, options);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return s->daemon ? 0 : fail_cause(err, &E_INTERNAL, "libmicrohttpd did not start");
}

static unsigned processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n > 0 && n < 1024 ? (unsigned)n : 1;
}

static int start_parts(struct http_server *s, const struct http_server_config *config,
                       struct error *err)
{
    struct http_workers_config workers = { .run = http_work_run,
                                           .refuse = http_work_refuse,
                                           .idle_ms = WORKER_IDLE_MS };

    if (copy_config(s, config, err) < 0)
        return -1;
    workers.threads_max = s->config.workers_max;
    workers.threads_brief = BRIEF_PER_PROCESSOR * processors();
    workers.threads_kept = s->app.has_slow_writes ? workers.threads_brief : 0;
    workers.queue_max = s->config.queue_max;
    s->workers = http_workers_new(&workers);
    if (!s->workers)
        return fail_errno(err, "workers");
    if (http_listener_open(&s->plain, config->listen, err) < 0)
        return -1;
    if (http_listener_open(&s->proxied, config->edge_listen, err) < 0)
        return -1;
    if (start_daemon(s, err) < 0)
        return -1;
    if (s->proxied.fd >= 0 && http_edge_start(s, &s->edge, err) < 0)
        return -1;
    return 0;
}

/* Waits for the requests that are under way. */
static void wait_quiet(struct http_server *s, int64_t grace_ms)
{
    int64_t until = clock_mono_ms() + grace_ms;

    pthread_mutex_lock(&s->lock);
    while (s->active > 0 && thread_wait(&s->quiet, &s->lock, until))
        ;
    pthread_mutex_unlock(&s->lock);
}

static void server_free(struct http_server *s)
{
    http_exchange_trim(s);
    http_workers_free(s->workers);
    http_listener_close(&s->plain);
    http_listener_close(&s->proxied);
    (void)pthread_cond_destroy(&s->quiet);
    (void)pthread_mutex_destroy(&s->lock);
    free((void *)(uintptr_t)s->config.edge_secret);
    free(s);
}

int http_server_start(const struct http_server_config *config, const struct http_app *app,
                      struct http_server **ret, struct error *err)
{
    struct http_server *s = calloc(1, sizeof *s);

    if (!s)
        return fail_errno(err, "server");
    s->app = *app;
    s->plain.fd = s->proxied.fd = -1;
    s->is_layout_known = text_starts(MHD_get_version(), "0.9.75");
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->quiet, NULL);
    if (start_parts(s, config, err) < 0) {
        http_server_stop(s, 0);
        return -1;
    }
    *ret = s;
    return 0;
}

int http_server_port(const struct http_server *s)
{
    return s->plain.port;
}

int http_server_edge_port(const struct http_server *s)
{
    return s->proxied.port;
}

void http_server_stop(struct http_server *s, int64_t grace_ms)
{
    if (!s)
        return;
    atomic_store(&s->is_stopping, true);
    http_edge_stop(s->edge);
    if (s->daemon) {
        (void)MHD_quiesce_daemon(s->daemon);
        wait_quiet(s, grace_ms);
    }
    /* From here on every job is refused, which resumes its connection at once: none is suspended
     * when the daemon stops. */
    if (s->workers)
        http_workers_stop(s->workers);
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    server_free(s);
}

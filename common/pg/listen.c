/* A connection that listens on one channel. NOTIFY is a hint, never the truth: after every gap the
 * caller is told that something may have happened. */
#include "common/pg/pg.h"

#include <errno.h>
#include <poll.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/pg/conn.h"

#define PAUSE_MIN_MS   100
#define PAUSE_MAX_MS   5000
#define CONNECT_MAX_MS 2000

struct pg_listener {
    char *conninfo;
    char *channel;
    struct pg_conn *conn; /* NULL: to be opened by the next wait */
    int64_t pause_ms;     /* before the next attempt to connect; 0 after a success */
};

static int open_and_listen(struct pg_listener *l, struct error *err)
{
    struct conn_options options = { .conninfo = l->conninfo };
    _cleanup_(conn_closep) struct pg_conn *conn = NULL;
    char *name, *text;
    PGresult *res;

    if (conn_open(&options, clock_mono_ms() + CONNECT_MAX_MS, &conn, NULL, err))
        return -1;
    name = must_have(PQescapeIdentifier(conn->pq, l->channel, strlen(l->channel)));
    if (asprintf(&text, "LISTEN %s", name) < 0)
        abort();
    PQfreemem(name);
    res = conn_exec(conn, text, err);
    free(text);
    if (!res)
        return -1;
    PQclear(res);
    l->conn = take(conn);
    l->pause_ms = 0;
    return 0;
}

int pg_listener_new(const char *conninfo, const char *channel, struct pg_listener **ret,
                    struct error *err)
{
    PQconninfoOption *parsed = PQconninfoParse(conninfo, NULL);
    struct error ignored;
    struct pg_listener *l;

    if (!parsed)
        return fail_cause(err, &E_INVALID, "malformed connection string");
    PQconninfoFree(parsed);
    l = must_have(calloc(1, sizeof(*l)));
    l->conninfo = must_have(strdup(conninfo));
    l->channel = must_have(strdup(channel));
    (void)open_and_listen(l, &ignored);
    *ret = l;
    return 0;
}

void pg_listener_free(struct pg_listener *l)
{
    if (!l)
        return;
    conn_close(l->conn);
    free(l->conninfo);
    free(l->channel);
    free(l);
}

/* Sleeps until the time, or until a descriptor is ready: 1 socket, 0 time-out or wake_fd. */
static int sleep_on(int socket_fd, int wake_fd, int64_t deadline_ms)
{
    struct pollfd fds[] = { { .fd = socket_fd, .events = POLLIN },
                            { .fd = wake_fd, .events = POLLIN } };

    for (;;) {
        int64_t left = deadline_ms - clock_mono_ms();
        int rc = poll(fds, 2, left <= 0 ? 0 : left > 3600000 ? 3600000 : (int)left);

        if (rc < 0 && errno != EINTR)
            abort(); /* EFAULT, EINVAL: ours */
        if (rc > 0)
            return fds[1].revents ? 0 : 1;
        if (rc == 0 && left <= 0)
            return 0;
    }
}

static int lose(struct pg_listener *l, const char *why, struct error *err)
{
    (void)fail_cause(err, &E_UNAVAILABLE, "listen: %s", why);
    conn_close(l->conn);
    l->conn = NULL;
    return -1;
}

/* 1 connected; 0 woken or out of time before trying; -1 failed. */
static int reconnect(struct pg_listener *l, int wake_fd, int64_t deadline_ms, struct error *err)
{
    int64_t until = clock_mono_ms() + conn_jitter(l->pause_ms);

    if (l->pause_ms && sleep_on(-1, wake_fd, until < deadline_ms ? until : deadline_ms) == 0 &&
        clock_mono_ms() < until)
        return 0;
    if (open_and_listen(l, err) == 0)
        return 1;
    l->pause_ms = l->pause_ms ? l->pause_ms * 2 : PAUSE_MIN_MS;
    if (l->pause_ms > PAUSE_MAX_MS)
        l->pause_ms = PAUSE_MAX_MS;
    return -1;
}

/* The next notification that has already come in. */
static const char *next_payload(struct pg_listener *l, struct arena *a)
{
    PGnotify *n = PQnotifies(l->conn->pq);
    const char *payload;

    if (!n)
        return NULL;
    payload = arena_strdup(a, n->extra);
    PQfreemem(n);
    return payload;
}

int pg_listener_wait(struct pg_listener *l, struct arena *a, int wake_fd, int64_t timeout_ms,
                     const char **ret_payload, struct error *err)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;

    if (!l->conn) {
        int rc = reconnect(l, wake_fd, deadline, err);

        if (rc == 1)
            *ret_payload = "";
        return rc;
    }
    for (;;) {
        const char *payload = next_payload(l, a);

        if (payload) {
            *ret_payload = payload;
            return 1;
        }
        if (PQsocket(l->conn->pq) < 0)
            return lose(l, "the connection is closed", err);
        if (sleep_on(PQsocket(l->conn->pq), wake_fd, deadline) == 0)
            return 0;
        if (!PQconsumeInput(l->conn->pq))
            return lose(l, PQerrorMessage(l->conn->pq), err);
    }
}

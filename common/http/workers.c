/* The worker pool. One lock, one queue, a stack of resting workers with a condition each; ended threads
 * are joined by the next one that ends or by the stop, so that none is left behind. */
#include "common/http/workers.h"

#include <signal.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/thread.h"

#define KEEPER_STEP_MS 250
#define KEEPER_REST_MS 1000 /* without a job, before it ends */
#define STALL_MS       50
#define HASTEN_MS      10

/* A worker without a job, on its own stack. */
struct rest {
    struct rest *below;
    pthread_cond_t wake; /* a job, or the stop */
    bool is_woken;       /* not in the pool's stack any more */
};

struct http_workers {
    struct http_workers_config config;
    pthread_mutex_t lock;
    pthread_cond_t keep;  /* the stop, for the keeper */
    pthread_cond_t ended; /* threads reached 0 */
    struct http_job *head, **tail;
    unsigned depth;   /* jobs in the queue */
    unsigned counted; /* of them is_counted */
    unsigned workers; /* worker threads alive */
    unsigned threads; /* workers and keeper */
    unsigned idle;    /* workers that have no job yet, woken ones as well */
    unsigned brief;   /* brief jobs in the queue and at work */
    unsigned slow;    /* the others */
    unsigned slow_begun;
    struct rest *resting; /* the last one on top */
    bool is_keeper_on;
    bool is_keeper_resting; /* waits for a job */
    bool is_stopped;
    bool has_ended; /* last_ended is to be joined */
    pthread_t last_ended;
};

int http_thread_start(pthread_t *ret, void *(*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    sigset_t all, before;
    int rc;

    rc = pthread_attr_init(&attr);
    if (rc != 0)
        return rc;
    sigfillset(&all);
    rc = pthread_attr_setstacksize(&attr, HTTP_STACK_BYTES);
    if (rc == 0)
        rc = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (rc == 0) {
        rc = pthread_create(ret, &attr, fn, arg);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    (void)pthread_attr_destroy(&attr);
    return rc;
}

/* Those that are not brief leave some threads to those that are. */
static unsigned slow_max(const struct http_workers *w)
{
    unsigned max = w->config.threads_max, kept = w->config.threads_kept;

    return max > kept ? max - kept : max;
}

/* Jobs that may begin. */
static unsigned startable(const struct http_workers *w)
{
    unsigned waiting = w->slow - w->slow_begun, room = slow_max(w) - w->slow_begun;

    return w->depth - (waiting > room ? waiting - room : 0);
}

/* The oldest that may begin, or NULL. */
static struct http_job *pop(struct http_workers *w)
{
    struct http_job **at = &w->head, *job;

    while (*at && !(*at)->is_brief && w->slow_begun >= slow_max(w))
        at = &(*at)->next;
    job = *at;
    if (!job)
        return NULL;
    *at = job->next;
    if (!*at)
        w->tail = at;
    w->depth--;
    w->counted -= job->is_counted;
    w->slow_begun += !job->is_brief;
    job->next = NULL;
    return job;
}

/* The last act of a thread: leaves itself to be joined, joins the one that ended before. */
static void end_thread(struct http_workers *w)
{
    pthread_t earlier = w->last_ended;
    bool has_earlier = w->has_ended;

    w->last_ended = pthread_self();
    w->has_ended = true;
    w->threads--;
    if (w->threads == 0)
        pthread_cond_broadcast(&w->ended);
    pthread_mutex_unlock(&w->lock);
    if (has_earlier)
        (void)pthread_join(earlier, NULL);
}

static bool is_expired(const struct http_job *job)
{
    return job->expires_ms && clock_mono_ms() >= job->expires_ms;
}

static void wake(struct http_workers *w)
{
    struct rest *top = w->resting;

    if (!top)
        return; /* all are on their way */
    w->resting = top->below;
    top->is_woken = true;
    pthread_cond_signal(&top->wake);
}

static void leave(struct http_workers *w, const struct rest *me)
{
    struct rest **at = &w->resting;

    while (*at != me)
        at = &(*at)->below;
    *at = me->below;
}

/* Until there may be a job. False when there was none in time. The lock is held. */
static bool wait_for_job(struct http_workers *w, int64_t until_ms)
{
    struct rest me = { .below = w->resting };
    bool is_in_time = true;

    (void)pthread_cond_init(&me.wake, NULL);
    w->resting = &me;
    w->idle++;
    while (!me.is_woken && is_in_time)
        is_in_time = thread_wait(&me.wake, &w->lock, until_ms);
    w->idle--;
    if (!me.is_woken)
        leave(w, &me);
    (void)pthread_cond_destroy(&me.wake);
    return is_in_time;
}

static void *work(void *arg)
{
    struct http_workers *w = arg;

    pthread_mutex_lock(&w->lock);
    for (;;) {
        int64_t until = clock_mono_ms() + w->config.idle_ms;
        bool is_in_time = true, is_brief;
        struct http_job *job;

        while (!(job = pop(w)) && !w->is_stopped && is_in_time)
            is_in_time = wait_for_job(w, until);
        if (!job)
            break;
        is_brief = job->is_brief;
        pthread_mutex_unlock(&w->lock);
        if (is_expired(job))
            w->config.refuse(job, HTTP_REFUSED_EXPIRED);
        else
            w->config.run(job);
        pthread_mutex_lock(&w->lock);
        w->brief -= is_brief;
        w->slow -= !is_brief;
        w->slow_begun -= !is_brief;
    }
    w->workers--;
    end_thread(w);
    return NULL;
}

/* Takes what is expired out of the queue; *ret_next is the earliest expiry that is left. */
static struct http_job *take_expired(struct http_workers *w, int64_t *ret_next)
{
    struct http_job *expired = NULL, **at = &w->head;
    int64_t now = clock_mono_ms();

    *ret_next = now + KEEPER_STEP_MS;
    while (*at) {
        struct http_job *job = *at;

        if (!job->expires_ms || now < job->expires_ms) {
            if (job->expires_ms && job->expires_ms < *ret_next)
                *ret_next = job->expires_ms;
            at = &job->next;
            continue;
        }
        *at = job->next;
        w->depth--;
        w->counted -= job->is_counted;
        w->brief -= job->is_brief;
        w->slow -= !job->is_brief;
        job->next = expired;
        expired = job;
    }
    w->tail = at;
    return expired;
}

static void refuse_all(struct http_workers *w, struct http_job *list, enum http_refusal why)
{
    while (list) {
        struct http_job *job = list;

        list = job->next;
        job->next = NULL;
        w->config.refuse(job, why);
    }
}

static bool is_stalled(const struct http_workers *w)
{
    return w->head && clock_mono_ms() - w->head->queued_ms >= STALL_MS;
}

static bool add_worker(struct http_workers *w);

/* One more thread for a queue that does not move. The lock is held. */
static void hasten(struct http_workers *w)
{
    if (!is_stalled(w))
        return;
    if (w->idle > 0)
        wake(w);
    else
        (void)add_worker(w);
}

/* False when there was nothing to keep for a while. The lock is held. */
static bool rest(struct http_workers *w)
{
    bool is_told;

    w->is_keeper_resting = true;
    is_told = thread_wait(&w->keep, &w->lock, clock_mono_ms() + KEEPER_REST_MS);
    w->is_keeper_resting = false;
    return is_told || w->head;
}

static void *keep(void *arg)
{
    struct http_workers *w = arg;

    pthread_mutex_lock(&w->lock);
    while (!w->is_stopped && (w->head || rest(w))) {
        int64_t next, soon = clock_mono_ms() + HASTEN_MS;
        struct http_job *expired = take_expired(w, &next);

        if (!expired) {
            hasten(w);
            if (w->workers < w->config.threads_max || w->idle > 0)
                next = next < soon ? next : soon;
            (void)thread_wait(&w->keep, &w->lock, next);
            continue;
        }
        pthread_mutex_unlock(&w->lock);
        refuse_all(w, expired, HTTP_REFUSED_EXPIRED);
        pthread_mutex_lock(&w->lock);
    }
    w->is_keeper_on = false;
    end_thread(w);
    return NULL;
}

static bool add_worker(struct http_workers *w)
{
    pthread_t thread;

    if (w->workers >= w->config.threads_max || http_thread_start(&thread, work, w) != 0)
        return false;
    w->workers++;
    w->threads++;
    return true;
}

static void watch(struct http_workers *w)
{
    pthread_t thread;

    if (w->is_keeper_resting) {
        pthread_cond_signal(&w->keep);
    } else if (!w->is_keeper_on && http_thread_start(&thread, keep, w) == 0) {
        w->is_keeper_on = true;
        w->threads++;
    }
}

/* Somebody for the job just queued: an idle worker, a new one, or, when enough brief ones are at work,
 * whoever is done first, with the keeper watching. False when nobody would ever take the job. The
 * lock is held. */
static bool staff(struct http_workers *w, const struct http_job *job)
{
    bool may_wait = job->is_brief ? w->brief > w->config.threads_brief && !is_stalled(w)
                                  : w->slow > slow_max(w);

    if (!may_wait && startable(w) <= w->idle) {
        wake(w);
        return true;
    }
    if (!may_wait && add_worker(w))
        return true;
    if (w->workers == 0)
        return false;
    watch(w);
    return true;
}

struct http_workers *http_workers_new(const struct http_workers_config *config)
{
    struct http_workers *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    w->config = *config;
    w->tail = &w->head;
    (void)pthread_mutex_init(&w->lock, NULL);
    (void)pthread_cond_init(&w->keep, NULL);
    (void)pthread_cond_init(&w->ended, NULL);
    return w;
}

bool http_workers_submit(struct http_workers *w, struct http_job *job, enum http_refusal *ret_why)
{
    bool is_taken = false;

    pthread_mutex_lock(&w->lock);
    *ret_why = w->is_stopped ? HTTP_REFUSED_STOPPED : HTTP_REFUSED_FULL;
    if (!w->is_stopped && (!job->is_counted || w->counted < w->config.queue_max)) {
        struct http_job **at = w->tail;

        job->next = NULL;
        job->queued_ms = clock_mono_ms();
        *at = job;
        w->tail = &job->next;
        w->depth++;
        w->counted += job->is_counted;
        w->brief += job->is_brief;
        w->slow += !job->is_brief;
        is_taken = staff(w, job);
        if (!is_taken) {
            *at = NULL;
            w->tail = at;
            w->depth--;
            w->counted -= job->is_counted;
            w->brief -= job->is_brief;
            w->slow -= !job->is_brief;
        }
    }
    pthread_mutex_unlock(&w->lock);
    return is_taken;
}

void http_workers_stop(struct http_workers *w)
{
    struct http_job *waiting;

    pthread_mutex_lock(&w->lock);
    w->is_stopped = true;
    waiting = w->head;
    w->head = NULL;
    w->tail = &w->head;
    w->depth = 0;
    w->counted = 0;
    while (w->resting)
        wake(w);
    pthread_cond_broadcast(&w->keep);
    pthread_mutex_unlock(&w->lock);
    refuse_all(w, waiting, HTTP_REFUSED_STOPPED);

    pthread_mutex_lock(&w->lock);
    while (w->threads > 0)
        pthread_cond_wait(&w->ended, &w->lock);
    if (w->has_ended) {
        pthread_t last = w->last_ended;

        w->has_ended = false;
        pthread_mutex_unlock(&w->lock);
        (void)pthread_join(last, NULL);
        return;
    }
    pthread_mutex_unlock(&w->lock);
}

void http_workers_free(struct http_workers *w)
{
    if (!w)
        return;
    (void)pthread_cond_destroy(&w->keep);
    (void)pthread_cond_destroy(&w->ended);
    (void)pthread_mutex_destroy(&w->lock);
    free(w);
}

/* A hand-over place for one piece of work at a time. The thread leaves its result to be joined by
 * whoever starts the next one, or by aside_free(). */
#include "dataplane/blobs/aside.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/thread.h"

#define IDLE_MS     5000
#define STACK_BYTES ((size_t)128 * 1024)

struct aside {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    pthread_t thread;
    bool has_thread; /* to be joined */
    bool is_running; /* the thread takes work */
    bool is_taken;   /* from begin to end */
    bool is_stopping;
    void (*run)(void *arg); /* NULL: none waits, or it is done */
    void *arg;
};

struct aside *aside_new(void)
{
    struct aside *a = calloc(1, sizeof(*a));

    if (!a)
        abort();
    (void)pthread_mutex_init(&a->lock, NULL);
    (void)pthread_cond_init(&a->wake, NULL);
    (void)pthread_cond_init(&a->done, NULL);
    return a;
}

/* Waits for work; false when there was none for a while, or never will be. The lock is held. */
static bool await_work(struct aside *a)
{
    int64_t until_ms = clock_mono_ms() + IDLE_MS;

    while (!a->run && !a->is_stopping && thread_wait(&a->wake, &a->lock, until_ms))
        ;
    return a->run != NULL;
}

static void *work(void *arg)
{
    struct aside *a = arg;

    pthread_mutex_lock(&a->lock);
    while (await_work(a)) {
        void (*run)(void *) = a->run;
        void *with = a->arg;

        pthread_mutex_unlock(&a->lock);
        run(with);
        pthread_mutex_lock(&a->lock);
        a->run = NULL;
        pthread_cond_signal(&a->done);
    }
    a->is_running = false;
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* The lock is held; a thread that stopped taking work does not want it any more. */
static bool start(struct aside *a)
{
    pthread_attr_t attr;

    if (a->has_thread)
        (void)pthread_join(a->thread, NULL);
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    a->has_thread = pthread_create(&a->thread, &attr, work, a) == 0;
    (void)pthread_attr_destroy(&attr);
    a->is_running = a->has_thread;
    return a->is_running;
}

bool aside_begin(struct aside *a, void (*run)(void *arg), void *arg)
{
    pthread_mutex_lock(&a->lock);
    bool is_ours = !a->is_taken && (a->is_running || start(a));
    if (is_ours) {
        a->is_taken = true;
        a->run = run;
        a->arg = arg;
        pthread_cond_signal(&a->wake);
    }
    pthread_mutex_unlock(&a->lock);
    return is_ours;
}

void aside_end(struct aside *a)
{
    pthread_mutex_lock(&a->lock);
    while (a->run)
        pthread_cond_wait(&a->done, &a->lock);
    a->is_taken = false;
    pthread_mutex_unlock(&a->lock);
}

void aside_free(struct aside *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    a->is_stopping = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
    if (a->has_thread)
        (void)pthread_join(a->thread, NULL);
    (void)pthread_cond_destroy(&a->wake);
    (void)pthread_cond_destroy(&a->done);
    (void)pthread_mutex_destroy(&a->lock);
    free(a);
}

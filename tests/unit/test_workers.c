/* The worker pool: what waits for a disk does not wait for the few threads that brief jobs get. */
/* links: portolan_http */
#include "common/http/workers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/thread.h"

#include <cmocka.h>

#define LONG_MS  60000
#define JOBS_MAX 8

/* Jobs stay inside until the gate is open. */
struct bench {
    struct http_workers *workers;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned quick, slow;         /* inside */
    unsigned ended, refused;
    bool is_open;
};

struct job {
    struct http_job job; /* first: the pool hands back its address */
    struct bench *bench;
};

static void run(struct http_job *job)
{
    struct bench *b = ((struct job *)job)->bench;
    unsigned *inside = job->is_brief ? &b->quick : &b->slow;

    pthread_mutex_lock(&b->lock);
    ++*inside;
    pthread_cond_broadcast(&b->changed);
    while (!b->is_open && thread_wait(&b->changed, &b->lock, clock_mono_ms() + LONG_MS))
        ;
    --*inside;
    b->ended++;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

static void refuse(struct http_job *job, enum http_refusal why)
{
    struct bench *b = ((struct job *)job)->bench;

    (void)why;
    pthread_mutex_lock(&b->lock);
    b->refused++;
    pthread_mutex_unlock(&b->lock);
}

static void start(struct bench *b, unsigned max, unsigned brief, unsigned kept)
{
    struct http_workers_config config = { .threads_max = max,
                                          .threads_brief = brief,
                                          .threads_kept = kept,
                                          .queue_max = 100,
                                          .idle_ms = LONG_MS,
                                          .run = run,
                                          .refuse = refuse };

    *b = (struct bench){ .workers = http_workers_new(&config) };
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
}

static void submit(struct bench *b, struct job *job, bool is_slow)
{
    enum http_refusal why;

    *job = (struct job){ .job = { .is_brief = !is_slow, .is_counted = true }, .bench = b };
    assert_true(http_workers_submit(b->workers, &job->job, &why));
}

static void wait_inside(struct bench *b, unsigned quick, unsigned slow)
{
    int64_t until = clock_mono_ms() + LONG_MS;

    pthread_mutex_lock(&b->lock);
    while ((b->quick < quick || b->slow < slow) && thread_wait(&b->changed, &b->lock, until))
        ;
    assert_int_equal(b->quick, quick);
    assert_int_equal(b->slow, slow);
    pthread_mutex_unlock(&b->lock);
}

static void finish(struct bench *b, unsigned ended)
{
    int64_t until = clock_mono_ms() + LONG_MS;

    pthread_mutex_lock(&b->lock);
    b->is_open = true;
    pthread_cond_broadcast(&b->changed);
    while (b->ended < ended && thread_wait(&b->changed, &b->lock, until))
        ;
    assert_int_equal(b->ended, ended);
    pthread_mutex_unlock(&b->lock);
    http_workers_stop(b->workers);
    http_workers_free(b->workers);
    assert_int_equal(b->refused, 0);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
}

static void test_slow_jobs_do_not_wait_for_quick_ones(void **state)
{
    struct job jobs[JOBS_MAX];
    struct bench b;

    (void)state;
    start(&b, 5, 2, 0);
    for (int i = 0; i < 2; i++)
        submit(&b, &jobs[i], false);
    wait_inside(&b, 2, 0);
    for (int i = 2; i < 5; i++)
        submit(&b, &jobs[i], true);
    wait_inside(&b, 2, 3);
    finish(&b, 5);
}

/* The fourth slow job waits, and a brief one behind it does not. */
static void test_slow_jobs_leave_what_is_kept(void **state)
{
    struct job jobs[JOBS_MAX];
    struct bench b;

    (void)state;
    start(&b, 5, 2, 2);
    for (int i = 0; i < 5; i++)
        submit(&b, &jobs[i], true);
    wait_inside(&b, 0, 3);
    submit(&b, &jobs[5], false);
    wait_inside(&b, 1, 3);
    submit(&b, &jobs[6], false);
    wait_inside(&b, 2, 3);
    finish(&b, 7);
}

/* What was not begun is refused with the stop, of either kind. */
static void test_stop_refuses_both(void **state)
{
    struct job jobs[JOBS_MAX];
    struct bench b;

    (void)state;
    start(&b, 2, 1, 1);
    submit(&b, &jobs[0], true);
    submit(&b, &jobs[1], false);
    wait_inside(&b, 1, 1);
    submit(&b, &jobs[2], true);
    pthread_mutex_lock(&b.lock);
    b.is_open = true;
    pthread_cond_broadcast(&b.changed);
    pthread_mutex_unlock(&b.lock);
    http_workers_stop(b.workers);
    assert_int_equal(b.ended + b.refused, 3);
    http_workers_free(b.workers);
    pthread_cond_destroy(&b.changed);
    pthread_mutex_destroy(&b.lock);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_jobs_do_not_wait_for_quick_ones),
        cmocka_unit_test(test_slow_jobs_leave_what_is_kept),
        cmocka_unit_test(test_stop_refuses_both),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

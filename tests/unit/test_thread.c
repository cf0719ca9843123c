/* Waits with a deadline: they end by it and not before, or when what is waited for is there. */
/* links: portolan_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/thread.h"

#include <cmocka.h>

#define SHORT_MS 20
#define LONG_MS  60000

struct door {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool is_open;
};

static void *pass_through(void *arg)
{
    struct door *d = arg;

    pthread_mutex_lock(&d->lock);
    while (!d->is_open && thread_wait(&d->opened, &d->lock, clock_mono_ms() + LONG_MS))
        ;
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static void test_wait_ends_by_its_deadline(void **state)
{
    struct door d = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
    int64_t until = clock_mono_ms() + SHORT_MS;

    (void)state;
    pthread_mutex_lock(&d.lock);
    while (thread_wait(&d.opened, &d.lock, until))
        ;
    assert_true(clock_mono_ms() >= until);
    assert_false(thread_wait(&d.opened, &d.lock, clock_mono_ms() - 1));
    pthread_mutex_unlock(&d.lock);
}

static void test_join(void **state)
{
    struct door d = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
    int64_t until = clock_mono_ms() + SHORT_MS;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, pass_through, &d), 0);
    assert_false(thread_join(thread, until));
    assert_true(clock_mono_ms() >= until);
    assert_false(thread_join(thread, until - LONG_MS));
    pthread_mutex_lock(&d.lock);
    d.is_open = true;
    pthread_cond_signal(&d.opened);
    pthread_mutex_unlock(&d.lock);
    assert_true(thread_join(thread, clock_mono_ms() + LONG_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wait_ends_by_its_deadline),
        cmocka_unit_test(test_join),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

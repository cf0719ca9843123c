/* Waits with a deadline, and patience: see the header. */
#include "common/base/thread.h"

#include <errno.h>
#include <time.h>

#include "common/base/clock.h"

static _Thread_local bool is_this_patient;

bool thread_wait(pthread_cond_t *c, pthread_mutex_t *lock, int64_t until_ms)
{
    struct timespec at = { .tv_sec = (time_t)(until_ms / 1000),
                           .tv_nsec = (long)(until_ms % 1000) * 1000000L };

    return pthread_cond_clockwait(c, lock, CLOCK_MONOTONIC, &at) != ETIMEDOUT;
}

bool thread_join(pthread_t thread, int64_t until_ms)
{
    /* Sanitizers know this call, and not its twin for the monotonic clock. */
    int64_t left_ms = until_ms - clock_mono_ms();
    int64_t wall_us = clock_wall_us() + (left_ms > 0 ? left_ms * 1000 : 0);
    struct timespec at = { .tv_sec = (time_t)(wall_us / 1000000),
                           .tv_nsec = (long)(wall_us % 1000000) * 1000L };

    return pthread_timedjoin_np(thread, NULL, &at) == 0;
}

void thread_set_patient(bool is_patient)
{
    is_this_patient = is_patient;
}

bool thread_is_patient(void)
{
    return is_this_patient;
}

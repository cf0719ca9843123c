/* Waiting with a deadline: on condition variables and for threads to end; and who waits first. Deadlines
 * are times of the monotonic clock in milliseconds, as clock_mono_ms() gives them, so that setting the
 * machine's clock ends no wait early and holds none up. */
#ifndef PORTOLAN_BASE_THREAD_H
#define PORTOLAN_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Waits on c, whose lock is held; false once until_ms is reached. May return true for no reason. */
bool thread_wait(pthread_cond_t *c, pthread_mutex_t *lock, int64_t until_ms);
/* Joins the thread; false when it still runs at until_ms, and is not joined then. */
bool thread_join(pthread_t thread, int64_t until_ms);

/* A patient thread does what nobody looks at the clock for, as writes and work in the background: where
 * it shares something scarce with others, they go first. Threads begin impatient. */
void thread_set_patient(bool is_patient);
bool thread_is_patient(void);

#endif

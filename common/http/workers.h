/* A bounded pool of worker threads. Threads are started when a job finds none idle and end after
 * 10 s without work, so a process that only answers from memory has none. Jobs are embedded in
 * what they work for; the pool does not touch a job after handing it to run() or refuse().
 *
 * A job with an expiry that is not begun in time is refused, even while all threads hang: a keeper
 * thread watches the queue as long as it cannot move. Work that only computes goes fastest with about as
 * many threads as there are processors, work that blocks needs more: so jobs that are brief get no
 * more than some threads, until one of them has waited for 50 ms. Whoever went to rest last is woken
 * first: its stack is in the processor's cache, and those not needed end. */
#ifndef PORTOLAN_HTTP_WORKERS_H
#define PORTOLAN_HTTP_WORKERS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct http_workers;

/* Sanitizers make frames several times larger. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HTTP_STACK_BYTES ((size_t)2 << 20)
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HTTP_STACK_BYTES ((size_t)2 << 20)
#endif
#endif
#ifndef HTTP_STACK_BYTES
#define HTTP_STACK_BYTES ((size_t)256 << 10)
#endif

enum http_refusal { HTTP_REFUSED_FULL, HTTP_REFUSED_EXPIRED, HTTP_REFUSED_STOPPED };

struct http_job {
    struct http_job *next;
    int64_t expires_ms; /* monotonic; 0: never */
    bool is_counted;    /* counts against the queue's maximum, and may be refused for it */
    bool is_brief;      /* computes, or waits for little; does not change while the job is here */
    int64_t queued_ms;  /* the pool's own */
};

struct http_workers_config {
    unsigned threads_max;
    unsigned threads_brief; /* for brief jobs, without hesitation */
    unsigned threads_kept;  /* never taken by the others, where there are more; 0: none */
    unsigned queue_max;
    int64_t idle_ms;
    void (*run)(struct http_job *job); /* on a worker */
    /* On the keeper, on a worker, or on the thread that stops the pool. Must not block. */
    void (*refuse)(struct http_job *job, enum http_refusal why);
};

struct http_workers *http_workers_new(const struct http_workers_config *config);
/* False, and *ret_why filled, when the job was not taken. */
MUST_CHECK bool http_workers_submit(struct http_workers *w, struct http_job *job,
                                    enum http_refusal *ret_why);
/* Refuses what waits and what comes, waits for the jobs that run, ends all threads. */
void http_workers_stop(struct http_workers *w);
void http_workers_free(struct http_workers *w); /* stopped, or NULL */

/* Starts a thread with a small stack and all signals blocked; returns 0 or an errno value. */
MUST_CHECK int http_thread_start(pthread_t *ret, void *(*fn)(void *), void *arg);

#endif

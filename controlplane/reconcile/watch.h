/* The leases a process holds, kept alive while their passes run. One watch per worker. */
#ifndef PORTOLAN_RECONCILE_WATCH_H
#define PORTOLAN_RECONCILE_WATCH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct control;

struct watch {
    pthread_mutex_t lock;
    char owner[37];
    char uid[37];
    bool is_held;         /* a pass is running */
    bool is_lost;
    int64_t confirmed_ms; /* monotonic: when the database last said that the lease is ours */
};

void watch_init(struct watch *w);
void watch_done(struct watch *w);
/* claimed_ms: a moment before the claim was made. */
void watch_begin(struct watch *w, const char *owner, const char *uid, int64_t claimed_ms);
void watch_end(struct watch *w);
/* Extends the lease unless that was done within the last min_age_ms; false when it is lost, or when
 * the database has been away for so long that it may be. */
bool watch_extend(struct watch *w, struct control *control, int64_t min_age_ms);

#endif

/* When something that is known for a while is read anew. If all who find it too old did that, a busy
 * process would ask the same of its database as often as it has threads, at one moment, whenever the
 * time is up. So one thread is sent some time before, a patient one (thread.h) sooner than others, and the
 * rest use what is known as long as it may be used. Whoever keeps the thing guards this with it. */
#ifndef PORTOLAN_BASE_REFRESH_H
#define PORTOLAN_BASE_REFRESH_H

#include <stdbool.h>
#include <stdint.h>

struct refresh {
    int64_t read_ms; /* when reading began: 0 never */
    bool is_sent;    /* somebody reads it anew, or failed to; the time being up sends everybody */
};

/* Whether the caller is to read it anew. Times are the monotonic clock's. */
bool refresh_is_due(struct refresh *r, int64_t now_ms, int64_t life_ms);
void refresh_done(struct refresh *r, int64_t read_ms);

#endif

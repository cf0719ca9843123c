/* When to read something anew: see the header. */
#include "common/base/refresh.h"

#include "common/base/thread.h"

bool refresh_is_due(struct refresh *r, int64_t now_ms, int64_t life_ms)
{
    int64_t age = now_ms - r->read_ms;

    if (r->read_ms == 0 || age >= life_ms)
        return true;
    if (r->is_sent || age < (thread_is_patient() ? life_ms / 2 : life_ms * 3 / 4))
        return false;
    r->is_sent = true;
    return true;
}

void refresh_done(struct refresh *r, int64_t read_ms)
{
    *r = (struct refresh){ .read_ms = read_ms };
}

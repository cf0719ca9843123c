/* Limits guessing of secrets: at most 10 wrong ones in a minute per name and source address (IPv6: the
 * /64). Counting by the pair means that a stranger can slow down nobody but himself: whoever has the
 * right secret and calls from elsewhere is not affected. Each process counts for itself. The memory
 * is fixed; under a flood of pairs the oldest are forgotten. */
#ifndef PORTOLAN_NETWORK_THROTTLE_H
#define PORTOLAN_NETWORK_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/base/cleanup.h"

#define THROTTLE_FAILURES  10
#define THROTTLE_WINDOW_MS 60000

struct throttle;
struct throttle *throttle_new(void);
void throttle_free(struct throttle *t); /* NULL is accepted */

/* Takes one of the pair's tries before the secret is looked at, so that parallel guesses are
 * counted exactly. false: none is left, and *ret_retry_ms says when there will be. */
MUST_CHECK bool throttle_try(struct throttle *t, const char *name,
                             const struct sockaddr_storage *peer, int64_t now_ms,
                             int64_t *ret_retry_ms);
/* Gives the try back: the secret was right, or was not looked at. */
void throttle_return(struct throttle *t, const char *name, const struct sockaddr_storage *peer);

/* The same for where many sign in at once with one name from one address, all with the right secret:
 * only wrong ones are counted, after they were looked at. Guesses that are looked at in the same
 * moment may pass the limit by as many as there are threads that look. */
MUST_CHECK bool throttle_allows(struct throttle *t, const char *name,
                                const struct sockaddr_storage *peer, int64_t now_ms,
                                int64_t *ret_retry_ms);
void throttle_note(struct throttle *t, const char *name, const struct sockaddr_storage *peer,
                   int64_t now_ms);

#endif

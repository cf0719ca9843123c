/* In-process locks by digest. The advisory lock in the database orders transactions, but it is gone
 * the moment a connection breaks, while the thread behind it may still be about to rename or unlink
 * a file. One process owns a registry's tree, so holding this lock as well, until the transaction's
 * end is known, keeps such a late hand off content that somebody else has acknowledged since.
 *
 * Taken before a transaction begins, or tried within one: so nobody waits for it with a lock of the
 * database in hand. */
#ifndef PORTOLAN_STORE_GUARD_H
#define PORTOLAN_STORE_GUARD_H

#include <pthread.h>
#include <stdbool.h>

#include "common/crypto/digest.h"

/* Several digests share a lock. */
pthread_mutex_t *guard_lock(const struct digest *digest);
pthread_mutex_t *guard_try(const struct digest *digest); /* NULL: it is held */
void guard_unlock(pthread_mutex_t **guard);              /* for _cleanup_; NULL inside accepted */

#endif

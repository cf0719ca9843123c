/* Claims on work. A lease is (lease_owner, lease_until) of a resource row; only its holder may
 * finish the work, and every finishing statement repeats the owner in its WHERE. The owner is a
 * fresh uuid for every claim, so that a stalled thread cannot finish what another thread of its own
 * process claimed after it.
 *
 * While a lease is held, not_before equals lease_until; whoever wants the row looked at again
 * (a new desired state, changed grants) sets not_before to now(), which the finishing statements
 * notice: the row then stays due at once. */
#ifndef PORTOLAN_STORE_LEASES_H
#define PORTOLAN_STORE_LEASES_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;
struct pg_conn;
struct pg_result;
struct resource;

#define LEASE_MS 10000      /* length of a claim; heartbeats extend it */
#define DRIFT_MS 60000      /* settled rows are observed again this often (± 20 %) */

/* Claims the most overdue due row (FOR UPDATE SKIP LOCKED): not_before passed, no live lease, and
 * either unsettled or due for a drift check. owner is this worker's uuid. 1/0/-1. The types listed
 * in type_keys (NULL-terminated) are those with steps. */
MUST_CHECK int lease_claim(struct pg_conn *conn, struct arena *a, const char *owner,
                           const char *const *type_keys, struct resource **ret, struct error *err);
/* Milliseconds until the next row is due, at most cap_ms. */
MUST_CHECK int lease_next_due(struct pg_conn *conn, struct arena *a, const char *const *type_keys,
                              int64_t cap_ms, int64_t *ret_ms, struct error *err);
/* 1 extended, 0 lost. */
MUST_CHECK int lease_extend(struct pg_conn *conn, struct arena *a, const char *owner,
                            const char *uid, struct error *err);
/* The following five belong into a transaction; each is 1 done, 0 when the lease was lost (nothing
 * changed), -1 failed.
 * settle: status stored, observed_generation = generation; if the row's generation is still that
 * one, EVENT_SETTLED, operations closed with Succeeded, and the row is due again after drift_ms
 * (± 20 %; 0: DRIFT_MS); else it stays due at once. */
MUST_CHECK int lease_settle(struct pg_conn *conn, struct arena *a, const char *owner,
                            const struct resource *r, struct json_object *status,
                            int64_t drift_ms, struct error *err);
/* The same by who carried out this generation without a claim. 0: it is somebody's by now, or another one.
 * What was woken meanwhile, or has become due, stays due. */
MUST_CHECK int lease_settle_unclaimed(struct pg_conn *conn, struct arena *a, const struct resource *r,
                                      int64_t drift_ms, struct error *err);
/* Not finished: due again after delay_ms; attempts counted when is_failure, with its error. */
MUST_CHECK int lease_postpone(struct pg_conn *conn, struct arena *a, const char *owner,
                              const struct resource *r, const char *step, int64_t delay_ms,
                              bool is_failure, struct json_object *status,
                              struct json_object *failure, struct error *err);
/* EVENT_GAVE_UP; operations closed with Failed and the error {code, message}. A failed row is still
 * observed for drift, so a later cause of success settles it. */
MUST_CHECK int lease_give_up(struct pg_conn *conn, struct arena *a, const char *owner,
                             const struct resource *r, struct json_object *status,
                             struct json_object *failure, struct error *err);
/* Every undo is done: removes the row and closes its operations with Succeeded. */
MUST_CHECK int lease_remove(struct pg_conn *conn, struct arena *a, const char *owner,
                            const struct resource *r, struct error *err);

/* Makes the rows of a type at or below a scope (key in lower case, "" is everything) due at once,
 * and notifies the workers. Returns how many in *ret_count. */
MUST_CHECK int lease_wake(struct pg_conn *conn, struct arena *a, const char *type_key,
                          const char *scope_key, int64_t *ret_count, struct error *err);

/* Makes one row due once delay_ms have passed, if another resource names `named`, without touching it now:
 * for transactions that hold it shared, as all that write below it do. lease_wake_due() moves what has
 * become due. Queued (pg_queue): *ret affects a row if somebody names it. Whoever comes to name it holds it
 * shared until then, so who holds `named` alone is told of all. */
MUST_CHECK int lease_wake_later(struct pg_conn *conn, struct arena *a, const char *uid,
                                const char *named, int64_t delay_ms, struct pg_result **ret,
                                struct error *err);
MUST_CHECK int lease_wake_due(struct pg_conn *conn, struct arena *a, struct error *err);

/* Claims a chore of the whole installation until the transaction ends. 1 ours, 0 somebody else is
 * at it. */
MUST_CHECK int lease_chore(struct pg_conn *conn, struct arena *a, const char *name,
                           struct error *err);
/* Those of the uids that no resource has: what bears such a name outside is an orphan. */
MUST_CHECK int lease_missing(struct pg_conn *conn, struct arena *a, const char *const *uids,
                             size_t count, const char ***ret, size_t *ret_count,
                             struct error *err);
/* Those of the global names that no resource of the type has. */
MUST_CHECK int lease_unnamed(struct pg_conn *conn, struct arena *a, const char *type_key,
                             const char *const *names, size_t count, const char ***ret,
                             size_t *ret_count, struct error *err);

#endif

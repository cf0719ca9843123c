/* The published projection of this process's registry, held in memory: an immutable snapshot,
 * counted by references, swapped whole when its generation moves; what did not change is shared with
 * the one before. Names that sign in with passwords are not part of it: there may be a million of them
 * (accounts.h).
 *
 * Freshness: a snapshot that was compared with the database within SNAPSHOT_FRESH_MS may answer.
 * While there is traffic the housekeeper compares often enough for that; after idling, whoever
 * comes first compares before answering. When the database is away, the last snapshot goes on for
 * the grace time. */
#ifndef PORTOLAN_STORE_SNAPSHOT_H
#define PORTOLAN_STORE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/crypto/digest.h"
#include "common/crypto/secret.h"
#include "common/crypto/seal.h"
#include "common/crypto/token.h"
#include "dataplane/auth/rate.h"
#include "dataplane/auth/scope.h"

struct accounts;
struct arena;
struct error;
struct network_rules;
struct pg_pool;

#define SNAPSHOT_FRESH_MS 1000

/* What a directory identity may do. */
struct grant {
    const char *principal; /* uuid, lower case */
    struct scopes permissions;
};

/* Of the registry, over time. */
struct policies {
    bool is_soft_delete_on; /* deletions go to the bin */
    bool is_quarantine_on;  /* what is pushed is not pulled before it has passed */
    bool has_retention;
    int64_t soft_delete_days; /* also when it is off: of what lies in the bin */
    int64_t retention_days;
};

/* What snapshots share while it stays the same: the registry's own keys, the grants, the directory's keys. */
enum { PART_KEYS, PART_GRANTS, PART_DIRECTORY, PART_MAX };
struct snapshot_part;

struct snapshot {
    struct arena *arena;
    uint64_t serial; /* another one for each load */
    int64_t generation;
    struct snapshot_part *parts[PART_MAX]; /* own what keys, grants and directory_keys point at */
    const char *login_server;
    bool is_admin_enabled, is_anonymous_enabled;
    bool is_abac; /* roleAssignmentMode: principals have rights on repositories one by one */
    int64_t storage_limit; /* bytes; 0: none */
    struct policies policies;
    struct request_rates rates;
    const char *tenant;           /* NULL: not checked */
    const char *const *issuers;   /* NULL-terminated; of directory tokens; empty: none is taken */
    const char *const *audiences; /* NULL-terminated */
    struct token_key *key;        /* signs and checks the registry's own tokens */
    struct token_key **directory_keys;
    int64_t *directory_until_us; /* of each */
    size_t directory_key_count;
    struct grant *grants; /* by principal */
    size_t grant_count;
    struct network_rules *network;
    const char *data_host;        /* of the data endpoint, without port; NULL: there is none */
    uint8_t link_key[SHA256_LEN]; /* proves links to it */
    uint8_t data_key[SEAL_KEY_BYTES];
    uint32_t data_key_epoch;
};

struct snapshots;
struct snapshots_config {
    struct pg_pool *db;
    struct accounts *accounts; /* compared together with the snapshot */
    const char *registry_id;
    struct service_key service_key;
    int64_t grace_ms;
};
struct snapshots *snapshots_new(const struct snapshots_config *config);
void snapshots_free(struct snapshots *s);
/* The current snapshot, one more reference; NULL before the first load and after the registry is
 * gone. *ret_is_fresh says whether it may answer. Never blocks. */
struct snapshot *snapshots_get(struct snapshots *s, bool *ret_is_fresh);
/* The serial of the current one; 0 before the first load. */
uint64_t snapshots_serial(const struct snapshots *s);
/* An empty one, for whoever fills it; one reference. */
struct snapshot *snapshot_new(uint64_t serial);
void snapshot_unref(struct snapshot *snapshot); /* NULL is accepted */
struct snapshot *snapshot_ref(struct snapshot *snapshot);
/* Compares with the database and loads anew when something moved. 0 also while the database is away
 * within the grace time. E_NOT_FOUND when the registry is not published. */
MUST_CHECK int snapshots_refresh(struct snapshots *s, struct error *err);

/* NULL when absent. */
const struct grant *snapshot_grant(const struct snapshot *s, const char *principal);

#endif

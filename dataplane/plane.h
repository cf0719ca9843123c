/* The running data plane: settings, pool, keys, caches, made once in main and shared by all request
 * handlers. Everything in it is thread-safe or constant. */
#ifndef PORTOLAN_DATAPLANE_PLANE_H
#define PORTOLAN_DATAPLANE_PLANE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "dataplane/store/content.h"

struct accounts;
struct arena;
struct bearer_cache;
struct blob_store;
struct content_cache;
struct error;
struct http_app;
struct importer;
struct housekeeper;
struct pg_pool;
struct snapshots;
struct suspects;
struct rate_buckets;
struct throttle;
struct transfers;
struct uploads;

/* One row per setting stands in dataplane/main.c. */
struct data_settings {
    char *registry_id;
    char *region;      /* "eastus": the origin of what is written here */
    char *metadata_db; /* libpq URL of the regional database */
    char *blobs;       /* directory of this registry's content */
    char *service_key_file;
    char *listen;      /* plain listener, or NULL */
    char *edge_listen; /* listener behind the edge */
    char *edge_secret_file;
    char *realm_scheme; /* "https": of the token endpoint in challenges */
    char *log_level;
    char *ca_file;        /* of the installation: what its other registries are checked by */
    char *import_allow;   /* address ranges of import sources beside public ones */
    char *import_ca_file; /* what their certificates are checked by; NULL: the system's */
    int64_t event_threads, workers;
    int64_t ready_fd;
    int64_t cache_bytes;     /* of manifests and memberships */
    int64_t hot_bytes;       /* of decrypted content */
    int64_t grace_s;         /* how long reads go on without the database */
    int64_t collect_delay_s; /* before unused content is removed */
    int64_t walk_delay_s, walk_interval_s;
    int64_t scrub_interval_s, scrub_rate;
    int64_t tombstone_keep_s, aside_keep_s;
    bool encryption;
};

struct data_plane {
    const struct data_settings *settings;
    struct pg_pool *db;
    struct accounts *accounts;
    struct throttle *throttle; /* of wrong passwords */
    struct rate_buckets *rates; /* of requests */
    struct snapshots *snapshots;
    struct blob_store *blobs;
    struct store store;
    struct content_cache *cache;
    struct bearer_cache *bearers;
    struct suspects *suspects;
    struct uploads *uploads;
    struct transfers *transfers;
    struct importer *importer;
    struct housekeeper *housekeeper;
};

/* Opens everything: waits, with back-off, until the registry is published and the database answers,
 * or until stop_fd is readable (1 is returned then). */
MUST_CHECK int plane_open(struct data_plane *plane, const struct data_settings *settings,
                          int stop_fd, struct error *err);
void plane_close(struct data_plane *plane);
/* The whole of what is served; ctx is plane. */
void plane_app(struct data_plane *plane, struct http_app *ret);

/* The one background thread: keeps the projection fresh while there is traffic, collects garbage
 * when some is due, ends idle uploads, and gives memory and connections back when it is quiet. It
 * sleeps without waking while there is nothing to do. */
struct housekeeper *housekeeper_start(struct data_plane *plane);
void housekeeper_stop(struct housekeeper *h); /* NULL is accepted */
void housekeeper_note_request(struct housekeeper *h);
/* Something may have lost its last user: look once the delay has passed. */
void housekeeper_note_garbage(struct housekeeper *h);
/* Something may have begun to wait for the end of its days: look soon when that is. */
void housekeeper_note_expiry(struct housekeeper *h);

#endif

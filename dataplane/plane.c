/* Bringing the data plane up: database pool, published projection, blob store, caches. */
#include "dataplane/plane.h"

#include <poll.h>

#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/crypto/secret.h"
#include "common/network/rate.h"
#include "common/network/throttle.h"
#include "dataplane/auth/bearer.h"
#include "dataplane/auth/transfer.h"
#include "dataplane/imports/importer.h"
#include "dataplane/oci/upload.h"
#include "dataplane/rules/suspects.h"
#include "dataplane/store/accounts.h"
#include "dataplane/store/cache.h"
#include "dataplane/store/snapshot.h"
#include "dataplane/store/usage.h"

#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS   2000
#define POOL_MAX         8
#define POOL_IDLE_MS     3000

static int open_projection(struct data_plane *plane, struct error *err)
{
    const struct data_settings *settings = plane->settings;
    struct snapshots_config config = { .db = plane->db,
                                       .accounts = plane->accounts,
                                       .registry_id = settings->registry_id,
                                       .grace_ms = settings->grace_s * 1000 };
    int status = service_key_load(settings->service_key_file, false, &config.service_key, err);

    if (status == 0)
        plane->snapshots = snapshots_new(&config);
    secret_cleanse(&config.service_key, sizeof(config.service_key));
    return status;
}

/* True when stop_fd became readable while waiting. */
static bool wait_or_stop(int stop_fd, int ms)
{
    struct pollfd p = { .fd = stop_fd, .events = POLLIN };

    return poll(&p, 1, ms) > 0;
}

/* 1: told to stop. What is wrong is said once, not at every attempt. */
static int wait_for_projection(struct data_plane *plane, int stop_fd, struct error *err)
{
    int delay_ms = BACKOFF_FIRST_MS;
    const struct error_code *said = NULL;

    while (snapshots_refresh(plane->snapshots, err) != 0) {
        if (err->code != &E_UNAVAILABLE && err->code != &E_NOT_FOUND)
            return -1;
        if (err->code != said)
            log_failure(LOG_WARN, "waiting_for_projection", err);
        said = err->code;
        if (wait_or_stop(stop_fd, delay_ms))
            return 1;
        delay_ms = delay_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : delay_ms * 2;
    }
    return 0;
}

static int open_blobs(struct data_plane *plane, struct error *err)
{
    const struct data_settings *settings = plane->settings;
    bool is_fresh = false;
    struct snapshot *snapshot = snapshots_get(plane->snapshots, &is_fresh);
    struct blob_config config = { .root = settings->blobs,
                                  .registry_id = settings->registry_id,
                                  .key = snapshot->data_key,
                                  .epoch = snapshot->data_key_epoch,
                                  .is_sealing = settings->encryption,
                                  .hot_bytes = (uint64_t)settings->hot_bytes };
    const struct blob_driver *driver = &blob_directory_driver;

    int status = driver->open(&config, &plane->blobs, err);
    if (status == 0)
        status = driver->sweep(plane->blobs, err);
    snapshot_unref(snapshot);
    return status;
}

int plane_open(struct data_plane *plane, const struct data_settings *settings, int stop_fd,
               struct error *err)
{
    struct pg_pool_config pool = { .conninfo = settings->metadata_db,
                                   .application = "portolan-dataplane",
                                   .max = POOL_MAX,
                                   .idle_close_ms = POOL_IDLE_MS };

    *plane = (struct data_plane){ .settings = settings };
    plane->db = pg_pool_new(&pool);
    plane->accounts = accounts_new(plane->db, settings->registry_id);
    plane->throttle = throttle_new();
    plane->rates = rate_buckets_new();
    if (open_projection(plane, err) != 0)
        return -1;
    int status = wait_for_projection(plane, stop_fd, err);
    if (status != 0)
        return status;
    if (open_blobs(plane, err) != 0)
        return -1;
    plane->store = (struct store){ .db = plane->db,
                                   .blobs = plane->blobs,
                                   .usage = usage_new(),
                                   .registry_id = settings->registry_id,
                                   .region = settings->region };
    plane->cache = content_cache_new((size_t)settings->cache_bytes);
    plane->bearers = bearer_cache_new();
    plane->suspects = suspects_new();
    plane->uploads = uploads_new(plane->blobs);
    plane->transfers = transfers_new();
    plane->importer = importer_new(plane);
    plane->housekeeper = housekeeper_start(plane);
    return 0;
}

void plane_close(struct data_plane *plane)
{
    importer_stop(plane->importer);
    housekeeper_stop(plane->housekeeper);
    importer_free(plane->importer);
    uploads_free(plane->uploads);
    transfers_free(plane->transfers);
    bearer_cache_free(plane->bearers);
    suspects_free(plane->suspects);
    content_cache_free(plane->cache);
    if (plane->blobs)
        plane->blobs->driver->close(plane->blobs);
    usage_free(plane->store.usage);
    snapshots_free(plane->snapshots);
    accounts_free(plane->accounts);
    throttle_free(plane->throttle);
    rate_buckets_free(plane->rates);
    if (plane->db)
        pg_pool_free(plane->db);
    *plane = (struct data_plane){ 0 };
}

/* The clockwork of upkeep. A step works for a few tens of milliseconds at most, apart from one blob
 * that must be read in one go; what it read is paid for by the time until the next. Failures are
 * said once and tried again later: the database away is no reason to read disks. */
#include "dataplane/rules/upkeep.h"

#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/crypto/digest.h"
#include "dataplane/store/cache.h"
#include "dataplane/store/content.h"
#include "dataplane/store/upkeep.h"

#define STEP_MS        20 /* of walking */
#define PAUSE_MS       400
#define RETRY_MS       30000
#define SPREAD         9    /* the first walk comes after one to ten times its delay */
#define PER_BLOB_BYTES 4096 /* what a small blob costs beside its bytes */

struct upkeep {
    struct upkeep_config config;
    unsigned part; /* of the walk */
    int64_t walk_ms, scrub_ms;
    int64_t orphans; /* of this walk */
    int64_t aside;   /* files removed by it */
    struct scrub_state scrub;
    bool is_scrubbing;
};

/* Many processes start at once after their machine did: they spread out. */
static int64_t some_of(int64_t ms)
{
    uint32_t noise;

    random_bytes(&noise, sizeof(noise));
    return (int64_t)(noise % (uint64_t)(ms + 1));
}

struct upkeep *upkeep_new(const struct upkeep_config *config)
{
    struct upkeep *u = calloc(1, sizeof(*u));
    if (!u)
        abort();
    u->config = *config;
    u->walk_ms = u->scrub_ms =
        clock_mono_ms() + config->walk_delay_ms + some_of(SPREAD * config->walk_delay_ms);
    if (config->scrub_interval_ms == 0)
        u->scrub_ms = INT64_MAX;
    return u;
}

void upkeep_free(struct upkeep *u)
{
    free(u);
}

static void say(const char *event, const char *name, int64_t count)
{
    struct log_line line;

    if (count == 0)
        return;
    log_start(&line, LOG_INFO, event);
    log_int(&line, name, count);
    log_end(&line);
}

/* --- the walk ----------------------------------------------------------------------------------
 */

static int walk(struct upkeep *u, struct arena *a, int64_t now_ms, struct error *err)
{
    const struct store *s = u->config.store;
    int64_t ended = 0;

    while (u->part < BLOB_PARTS && clock_mono_ms() - now_ms < STEP_MS) {
        arena_reset(a);
        if (upkeep_orphans(s, a, u->part, &u->orphans, err) != 0)
            return -1;
        u->part++;
    }
    u->walk_ms = now_ms + PAUSE_MS;
    if (u->part < BLOB_PARTS)
        return 0;
    if (s->blobs->driver->sweep_aside(s->blobs, u->config.aside_s, &u->aside, err) != 0 ||
        upkeep_tombstones(s, a, u->config.tombstone_s, &ended, err) != 0)
        return -1;
    say("tombstones_ended", "count", ended);
    if (ended > 0) /* there may be more */
        return 0;
    say("orphans_removed", "count", u->orphans);
    say("aside_removed", "count", u->aside);
    u->orphans = u->aside = 0;
    u->part = 0;
    u->walk_ms = now_ms + u->config.walk_interval_ms - some_of(u->config.walk_interval_ms / 8);
    return 0;
}

/* --- the scrubber ------------------------------------------------------------------------------
 */

static int verify(struct upkeep *u, struct arena *a, const struct scrub_item *item,
                  struct error *err)
{
    const char **repositories = NULL;
    size_t count = 0;
    char text[DIGEST_TEXT_MAX];
    int verdict = scrub_verify(u->config.store, &item->ref, err);

    if (verdict != 0)
        return verdict < 0 ? -1 : 0;
    verdict = scrub_quarantine(u->config.store, a, item, &repositories, &count, err);
    if (verdict != 1)
        return verdict;
    for (size_t i = 0; i < count; i++)
        content_cache_forget(u->config.cache, repositories[i]);
    digest_text(&item->ref.digest, text);
    log_note(LOG_ERROR, "blob_damaged", "%s is set aside; pushing it again heals it", text);
    return 0;
}

/* Its last reader may have met something that has passed since, or been healed: only what fails
 * again, twice, is set aside. */
void upkeep_examine(struct upkeep *u, const struct digest *digest)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct scrub_item item;
    struct error err = { 0 };
    int status = scrub_find(u->config.store, a, digest, &item, &err);

    if (status == 1)
        status = verify(u, a, &item, &err);
    if (status < 0)
        log_failure(LOG_WARN, "examine", &err);
}

static int64_t due_ms(const struct upkeep *u, int64_t now_ms)
{
    int64_t age_ms = u->scrub.age_s > INT64_MAX / 2000 ? INT64_MAX : u->scrub.age_s * 1000;

    return age_ms >= u->config.scrub_interval_ms ? now_ms
                                                 : now_ms + u->config.scrub_interval_ms - age_ms;
}

static int scrub(struct upkeep *u, struct arena *a, int64_t now_ms, struct error *err)
{
    const struct store *s = u->config.store;
    struct scrub_item *items = NULL;
    size_t count = 0;
    int64_t bytes = 0;

    if (!u->is_scrubbing) {
        if (scrub_load(s, a, &u->scrub, err) != 0)
            return -1;
        u->scrub_ms = due_ms(u, now_ms);
        u->is_scrubbing = u->scrub_ms <= now_ms;
        if (!u->is_scrubbing)
            return 0;
    }
    if (scrub_next(s, a, u->scrub.after, &items, &count, err) != 0)
        return -1;
    for (size_t i = 0; i < count && bytes < u->config.scrub_rate / 4; i++) {
        if (verify(u, a, &items[i], err) != 0)
            return -1;
        bytes += (int64_t)items[i].ref.size + PER_BLOB_BYTES;
        u->scrub.after = items[i].id;
    }
    if (scrub_save(s, a, u->scrub.after, count == 0, err) != 0)
        return -1;
    u->is_scrubbing = count > 0;
    int64_t paid_ms = bytes * 1000 / u->config.scrub_rate;
    u->scrub_ms = now_ms + (count == 0 ? u->config.scrub_interval_ms
                                       : (paid_ms > PAUSE_MS ? paid_ms : PAUSE_MS));
    if (count == 0)
        u->scrub.after = 0;
    return 0;
}

int64_t upkeep_step(struct upkeep *u, int64_t now_ms)
{
    _cleanup_(arena_freep) struct arena *a = NULL;
    struct error err = { 0 };

    if (now_ms >= u->walk_ms || now_ms >= u->scrub_ms)
        a = arena_new();
    if (now_ms >= u->walk_ms && walk(u, a, now_ms, &err) != 0) {
        log_failure(LOG_WARN, "walk", &err);
        u->walk_ms = now_ms + RETRY_MS;
    }
    if (now_ms >= u->scrub_ms && scrub(u, a, now_ms, &err) != 0) {
        log_failure(LOG_WARN, "scrub", &err);
        u->scrub_ms = now_ms + RETRY_MS;
    }
    return u->walk_ms < u->scrub_ms ? u->walk_ms : u->scrub_ms;
}

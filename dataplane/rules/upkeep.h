/* When stored content is looked after, and how much at a time: files without a row are looked for
 * after every start and then now and then, tombstones and what was set aside end after their time,
 * and every blob is read and verified once in an interval, at a bounded rate. */
#ifndef PORTOLAN_RULES_UPKEEP_H
#define PORTOLAN_RULES_UPKEEP_H

#include <stdint.h>

struct content_cache;
struct digest;
struct store;

struct upkeep_config {
    const struct store *store;
    struct content_cache *cache;
    int64_t walk_delay_ms;     /* after start */
    int64_t walk_interval_ms;  /* between walks through the files */
    int64_t scrub_interval_ms; /* between whole passes; 0: none */
    int64_t scrub_rate;        /* bytes a second */
    int64_t tombstone_s;       /* how long deletions are remembered */
    int64_t aside_s;           /* how long damaged content is kept */
};

struct upkeep;
struct upkeep *upkeep_new(const struct upkeep_config *config);
void upkeep_free(struct upkeep *u); /* NULL is accepted */
/* Does a little of what is due, and returns when it wants to be called again, on the monotonic
 * clock. */
int64_t upkeep_step(struct upkeep *u, int64_t now_ms);
/* Verifies one blob out of turn, and sets it aside if it is damaged. */
void upkeep_examine(struct upkeep *u, const struct digest *digest);

#endif

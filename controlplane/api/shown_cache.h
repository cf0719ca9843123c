/* Resources as they were last shown, by uid, revision of the row and api-version: a GET of what has
 * not changed costs its statement and a copy. Nothing is ever wrong in it, only unused: a written row
 * has another revision. Entries live for seconds, long before a revision could come round again. */
#ifndef PORTOLAN_API_SHOWN_CACHE_H
#define PORTOLAN_API_SHOWN_CACHE_H

#include <stddef.h>

struct arena;
struct resource;
struct shown_cache;

struct shown_cache *shown_cache_new(void);
void shown_cache_free(struct shown_cache *cache);
/* A copy in a, or NULL. */
const char *shown_cache_get(struct shown_cache *cache, struct arena *a, const struct resource *r,
                            const char *api_version, size_t *ret_len);
void shown_cache_put(struct shown_cache *cache, const struct resource *r, const char *api_version,
                     const char *text, size_t len);

#endif

/* Bump allocation for one request or one reconcile pass. Memory is zeroed, never freed one by one;
 * arena_reset() and arena_free() release all of it and run the deferred functions, newest first.
 * An arena belongs to one thread at a time. Out of memory aborts: whoever allocates a size that a
 * client chose caps it first. Freed and unused space is poisoned under AddressSanitizer, and
 * -DARENA_DEBUG=ON turns every allocation into a malloc. */
#ifndef PORTOLAN_BASE_ARENA_H
#define PORTOLAN_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *a); /* NULL is accepted */
void arena_reset(struct arena *a);
void arena_freep(struct arena **a);

/* Zeroed, aligned for any type. Never NULL. */
void *arena_alloc(struct arena *a, size_t bytes) __attribute__((returns_nonnull, malloc));
/* count × size with overflow check (aborts). */
void *arena_array(struct arena *a, size_t count, size_t size) __attribute__((returns_nonnull));
char *arena_strdup(struct arena *a, const char *s); /* NULL gives NULL */
char *arena_strndup(struct arena *a, const char *s, size_t len);
void *arena_memdup(struct arena *a, const void *p, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
char *arena_vprintf(struct arena *a, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
/* Runs fn(p) when the arena is reset or freed: for things that live as long as the request. */
void arena_defer(struct arena *a, void (*fn)(void *), void *p);

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type)))

#endif

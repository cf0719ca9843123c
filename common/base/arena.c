/* The bump allocator: a list of blocks, the newest bumped, sizes doubling from 4 KiB, because
 * thousands of mostly idle processes share a machine. An allocation that would waste much of a
 * block gets a block of its own. Space not handed out is poisoned under AddressSanitizer, with a
 * red zone behind every allocation. */
#include "common/base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   __asan_poison_memory_region((p), (n))
#define UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#define RED_ZONE       ((size_t)16)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#define RED_ZONE       ((size_t)0)
#endif

#ifdef ARENA_DEBUG
#define EVERY_ALLOCATION_OWN 1
#else
#define EVERY_ALLOCATION_OWN 0
#endif

#define ALIGNMENT ((size_t)16)
#define BLOCK_MIN ((size_t)4096)
#define BLOCK_MAX ((size_t)256 * 1024)

struct block {
    struct block *next;
    size_t size; /* of data */
    size_t used;
    size_t pad; /* keeps data aligned */
    unsigned char data[];
};

struct defer {
    void (*fn)(void *);
    void *p;
    struct defer *next;
};

struct arena {
    struct block *bump; /* newest first */
    struct block *own;  /* blocks that hold one allocation each */
    struct defer *defers;
    size_t next_size;
};

_Static_assert(sizeof(struct block) % ALIGNMENT == 0, "block data is aligned");

static _Noreturn void out_of_memory(size_t bytes)
{
    log_note(LOG_ERROR, "out-of-memory", "cannot allocate %zu bytes", bytes);
    abort();
}

static struct block *block_new(size_t size)
{
    struct block *b = calloc(1, sizeof(*b) + size);

    if (!b)
        out_of_memory(size);
    b->size = size;
    return b;
}

static void block_free(struct block *b)
{
    UNPOISON(b->data, b->size);
    free(b);
}

static void block_free_all(struct block **list)
{
    while (*list) {
        struct block *b = *list;
        *list = b->next;
        block_free(b);
    }
}

static void *own_alloc(struct arena *a, size_t bytes)
{
    struct block *b = block_new(bytes);

    b->used = bytes;
    b->next = a->own;
    a->own = b;
    return b->data;
}

static struct block *bump_block(struct arena *a, size_t room)
{
    struct block *b = a->bump;

    if (b && b->size - b->used >= room)
        return b;
    b = block_new(a->next_size - sizeof(*b));
    POISON(b->data, b->size);
    b->next = a->bump;
    a->bump = b;
    if (a->next_size < BLOCK_MAX)
        a->next_size *= 2;
    return b;
}

static void run_defers(struct arena *a)
{
    while (a->defers) {
        struct defer *d = a->defers;
        a->defers = d->next;
        d->fn(d->p);
    }
}

struct arena *arena_new(void)
{
    struct arena *a = calloc(1, sizeof(*a));

    if (!a)
        out_of_memory(sizeof(*a));
    a->next_size = BLOCK_MIN;
    return a;
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    run_defers(a);
    block_free_all(&a->own);
    block_free_all(&a->bump);
    free(a);
}

void arena_freep(struct arena **a)
{
    arena_free(*a);
    *a = NULL;
}

void arena_reset(struct arena *a)
{
    run_defers(a);
    block_free_all(&a->own);
    /* The first and smallest block stays; the next pass starts without malloc. */
    while (a->bump && a->bump->next) {
        struct block *b = a->bump;
        a->bump = b->next;
        block_free(b);
    }
    a->next_size = BLOCK_MIN;
    if (!a->bump)
        return;
    UNPOISON(a->bump->data, a->bump->used);
    memset(a->bump->data, 0, a->bump->used);
    POISON(a->bump->data, a->bump->size);
    a->bump->used = 0;
    a->next_size = 2 * BLOCK_MIN;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    if (bytes > PTRDIFF_MAX / 2)
        out_of_memory(bytes);
    size_t room = ((bytes ? bytes : 1) + RED_ZONE + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (EVERY_ALLOCATION_OWN || room > a->next_size / 4)
        return own_alloc(a, bytes);

    /* Every block is zeroed when it is made and when it is reset. */
    struct block *b = bump_block(a, room);
    void *p = b->data + b->used;
    b->used += room;
    UNPOISON(p, bytes);
    return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        out_of_memory(SIZE_MAX);
    return arena_alloc(a, bytes);
}

char *arena_strdup(struct arena *a, const char *s)
{
    return s ? arena_memdup(a, s, strlen(s) + 1) : NULL;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
    size_t n = s ? strnlen(s, len) : 0;
    char *copy = arena_alloc(a, n + 1);

    if (n)
        memcpy(copy, s, n);
    return copy;
}

void *arena_memdup(struct arena *a, const void *p, size_t len)
{
    void *copy = arena_alloc(a, len);

    if (len)
        memcpy(copy, p, len);
    return copy;
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    va_list again;

    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (len < 0)
        out_of_memory(0);
    char *text = arena_alloc(a, (size_t)len + 1);
    (void)vsnprintf(text, (size_t)len + 1, fmt, ap);
    return text;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    char *text = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return text;
}

void arena_defer(struct arena *a, void (*fn)(void *), void *p)
{
    struct defer *d = ARENA_NEW(a, struct defer);

    d->fn = fn;
    d->p = p;
    d->next = a->defers;
    a->defers = d;
}

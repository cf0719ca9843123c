/* Compiling blocks to ranges: blocks in the order of their first address, wider ones first; a stack
 * holds those that are open, and every opening and closing starts a range. IPv4 keeps its starts in
 * four bytes each, and large sets an index by the first half of the address: a search then touches
 * a few lines of memory only. */
#include "common/network/ranges.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/network/address.h"

#define NESTED_MAX 130 /* distinct prefixes of one address, and one */
#define HEADS      65536u
#define HEADS_FROM 4096 /* ranges; fewer are found as fast without */

/* 128 bits, most significant half first; IPv4 addresses stand in the last 32. */
struct wide {
    uint64_t high, low;
};

struct piece {
    struct wide start;
    uint32_t block;
};

struct ranges {
    size_t count4, count6;
    uint32_t *starts4, *blocks4;
    uint32_t *heads; /* where the search begins for a first half of an address; NULL: few ranges */
    struct piece *pieces6;
};

struct block {
    struct wide first, last;
    uint32_t index;
};

struct sweep {
    struct piece *pieces;
    size_t count;
    struct block open[NESTED_MAX];
    size_t depth;
};

static void *allocate(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);

    if (!p)
        abort();
    return p;
}

static int wide_compare(struct wide x, struct wide y)
{
    if (x.high != y.high)
        return x.high < y.high ? -1 : 1;
    return x.low < y.low ? -1 : x.low > y.low;
}

static struct wide wide_of(const uint8_t *bytes, size_t len)
{
    struct wide w = { 0, 0 };

    for (size_t i = 0; i < len; i++) {
        w.high = w.high << 8 | w.low >> 56;
        w.low = w.low << 8 | bytes[i];
    }
    return w;
}

static struct block block_of(const struct cidr *c, uint32_t index)
{
    unsigned host = (c->family == AF_INET ? 32u : 128u) - c->bits;
    struct block b = { .first = wide_of(c->bytes, c->family == AF_INET ? 4 : 16), .index = index };

    b.last = b.first;
    if (host >= 64) {
        b.last.low = UINT64_MAX;
        b.last.high |= host == 128 ? UINT64_MAX : ((uint64_t)1 << (host - 64)) - 1;
    } else {
        b.last.low |= ((uint64_t)1 << host) - 1;
    }
    return b;
}

static int by_first(const void *x, const void *y)
{
    const struct block *a = x, *b = y;
    int order = wide_compare(a->first, b->first);

    if (order == 0)
        order = -wide_compare(a->last, b->last);
    return order ? order : a->index < b->index ? -1 : 1;
}

static void start_piece(struct sweep *s, struct wide start, uint32_t block)
{
    if (s->count > 0 && wide_compare(s->pieces[s->count - 1].start, start) == 0)
        s->count--;
    s->pieces[s->count++] = (struct piece){ start, block };
}

/* Closes the innermost block. What it ends with may be the end of all addresses. */
static void close_block(struct sweep *s, struct wide end_of_all)
{
    struct wide next = s->open[--s->depth].last;

    if (wide_compare(next, end_of_all) == 0)
        return;
    next.low++;
    next.high += next.low == 0;
    start_piece(s, next, s->depth ? s->open[s->depth - 1].index : RANGES_NONE);
}

/* Fills s->pieces; blocks are in order. */
static void compile(struct sweep *s, const struct block *blocks, size_t count, struct wide end)
{
    start_piece(s, (struct wide){ 0, 0 }, RANGES_NONE);
    for (size_t i = 0; i < count; i++) {
        const struct block *b = &blocks[i];
        while (s->depth && wide_compare(s->open[s->depth - 1].last, b->first) < 0)
            close_block(s, end);
        const struct block *outer = s->depth ? &s->open[s->depth - 1] : NULL;
        if (outer && wide_compare(outer->first, b->first) == 0 &&
            wide_compare(outer->last, b->last) == 0)
            continue;
        s->open[s->depth++] = *b;
        start_piece(s, b->first, b->index);
    }
    while (s->depth)
        close_block(s, end);
}

/* Pieces of one family; the caller frees them. */
static struct piece *pieces_of(const struct cidr *blocks, uint32_t count, int family, size_t *ret)
{
    static const struct wide end4 = { 0, UINT32_MAX }, end6 = { UINT64_MAX, UINT64_MAX };
    struct block *sorted = allocate(count, sizeof(*sorted));
    struct sweep s = { .pieces = allocate(2 * (size_t)count + 1, sizeof(*s.pieces)) };
    size_t n = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (blocks[i].family == family)
            sorted[n++] = block_of(&blocks[i], i);
    }
    qsort(sorted, n, sizeof(*sorted), by_first);
    compile(&s, sorted, n, family == AF_INET ? end4 : end6);
    free(sorted);
    *ret = s.count;
    return s.pieces;
}

static void index_heads(struct ranges *r)
{
    size_t at = 0;

    r->heads = allocate(HEADS + 1, sizeof(*r->heads));
    for (uint32_t h = 0; h < HEADS; h++) {
        while (at + 1 < r->count4 && r->starts4[at + 1] <= h << 16)
            at++;
        r->heads[h] = (uint32_t)at;
    }
    r->heads[HEADS] = (uint32_t)(r->count4 - 1);
}

struct ranges *ranges_new(const struct cidr *blocks, uint32_t count)
{
    struct ranges *r = allocate(1, sizeof(*r));
    struct piece *pieces4 = pieces_of(blocks, count, AF_INET, &r->count4);

    r->pieces6 = pieces_of(blocks, count, AF_INET6, &r->count6);
    r->starts4 = allocate(r->count4, sizeof(*r->starts4));
    r->blocks4 = allocate(r->count4, sizeof(*r->blocks4));
    for (size_t i = 0; i < r->count4; i++) {
        r->starts4[i] = (uint32_t)pieces4[i].start.low;
        r->blocks4[i] = pieces4[i].block;
    }
    free(pieces4);
    if (r->count4 >= HEADS_FROM)
        index_heads(r);
    return r;
}

void ranges_free(struct ranges *r)
{
    if (!r)
        return;
    free(r->heads);
    free(r->starts4);
    free(r->blocks4);
    free(r->pieces6);
    free(r);
}

/* The last start that is not above the address; the first start is 0. Both searches halve without a
 * branch on what they find. */
static uint32_t find4(const struct ranges *r, uint32_t address)
{
    size_t at = r->heads ? r->heads[address >> 16] : 0;
    size_t n = r->heads ? r->heads[(address >> 16) + 1] - at + 1 : r->count4;

    for (; n > 1; n -= n / 2)
        at += r->starts4[at + n / 2] <= address ? n / 2 : 0;
    return r->blocks4[at];
}

static uint32_t find6(const struct ranges *r, struct wide address)
{
    size_t at = 0;

    for (size_t n = r->count6; n > 1; n -= n / 2)
        at += wide_compare(r->pieces6[at + n / 2].start, address) <= 0 ? n / 2 : 0;
    return r->pieces6[at].block;
}

uint32_t ranges_find(const struct ranges *r, const struct sockaddr *address)
{
    uint8_t bytes[16];
    int family = address ? address_unwrap(address, bytes) : 0;

    if (family == AF_INET)
        return find4(r, (uint32_t)wide_of(bytes, 4).low);
    return family == AF_INET6 ? find6(r, wide_of(bytes, 16)) : RANGES_NONE;
}

/* Sealed files: round trips at every boundary, and every way of tampering with one. */
/* links: portolan_base portolan_crypto */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/crypto/digest.h"
#include "common/crypto/seal.h"

#include <cmocka.h>

#define SEALED_CHUNK (SEAL_CHUNK_BYTES + SEAL_TAG_BYTES)

static const uint8_t key[SEAL_KEY_BYTES] = { 1, 2, 3 };

struct sealed {
    uint8_t *bytes; /* header and chunks */
    size_t len;
};

static struct sealed seal(struct arena *a, const uint8_t *plain, size_t len, const char *context)
{
    struct sealed f = { .len = (size_t)seal_file_bytes(len) };
    f.bytes = arena_alloc(a, f.len);
    struct sealer *s = sealer_new(key, 7, context, f.bytes);
    uint8_t *out = f.bytes + SEAL_HEADER_BYTES;
    for (size_t at = 0;;) {
        size_t part = len - at < SEAL_CHUNK_BYTES ? len - at : SEAL_CHUNK_BYTES;
        int is_last = at + part == len;
        sealer_chunk(s, plain + at, part, is_last, out);
        out += part + SEAL_TAG_BYTES;
        at += part;
        if (is_last)
            break;
    }
    sealer_free(s);
    assert_ptr_equal(out, f.bytes + f.len);
    return f;
}

/* Reads a whole sealed file the way a reader does: the last chunk is the one that ends the file. */
static int open_all(struct arena *a, const struct sealed *f, const char *context, uint8_t **ret,
                    size_t *ret_len)
{
    struct error err;
    struct opener *o = NULL;
    if (f->len < SEAL_HEADER_BYTES || opener_new(key, context, f->bytes, &o, &err) != 0)
        return -1;
    uint8_t *plain = arena_alloc(a, f->len);
    size_t at = SEAL_HEADER_BYTES, done = 0;
    int rc = 0;
    for (uint64_t i = 0; rc == 0; i++) {
        size_t len = f->len - at < SEALED_CHUNK ? f->len - at : SEALED_CHUNK;
        int is_last = at + len == f->len;
        rc = opener_chunk(o, i, f->bytes + at, len, is_last, plain + done, &err);
        if (rc != 0)
            assert_ptr_equal(err.code, &E_INTERNAL);
        else
            done += len - SEAL_TAG_BYTES;
        at += len;
        if (is_last)
            break;
    }
    opener_free(o);
    *ret = plain;
    *ret_len = done;
    return rc;
}

static void refuse(struct arena *a, struct sealed f, const char *what)
{
    uint8_t *plain = NULL;
    size_t len = 0;
    if (open_all(a, &f, "ctx", &plain, &len) == 0)
        fail_msg("opened a file with %s", what);
}

static void round_trips(void **state)
{
    (void)state;
    static const size_t lengths[] = {
        0,
        1,
        15,
        16,
        SEAL_CHUNK_BYTES - 1,
        SEAL_CHUNK_BYTES,
        SEAL_CHUNK_BYTES + 1,
        2 * SEAL_CHUNK_BYTES,
        3 * SEAL_CHUNK_BYTES - 16,
        3 * SEAL_CHUNK_BYTES,
        3 * SEAL_CHUNK_BYTES + 77,
    };
    _cleanup_(arena_freep) struct arena *a = arena_new();
    uint8_t *plain = arena_alloc(a, 4 * SEAL_CHUNK_BYTES);
    random_bytes(plain, 4 * SEAL_CHUNK_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct sealed f = seal(a, plain, lengths[i], "ctx");
        uint8_t *back = NULL;
        size_t len = 1;
        assert_int_equal(open_all(a, &f, "ctx", &back, &len), 0);
        assert_int_equal(len, lengths[i]);
        assert_memory_equal(back, plain, len);
        assert_int_equal(open_all(a, &f, "cty", &back, &len), -1);
        assert_int_equal(open_all(a, &f, "", &back, &len), -1);
    }
}

static void sizes(void **state)
{
    (void)state;
    assert_int_equal(seal_file_bytes(0), 40 + 16);
    assert_int_equal(seal_file_bytes(1), 40 + 17);
    assert_int_equal(seal_file_bytes(65536), 40 + 65536 + 16);
    assert_int_equal(seal_file_bytes(65537), 40 + 65537 + 32);
    assert_true(seal_file_bytes(UINT64_MAX) == UINT64_MAX);
    assert_true(seal_file_bytes(UINT64_MAX - 1000) == UINT64_MAX);
}

static void headers(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct error err;
    uint8_t one[SEAL_HEADER_BYTES], two[SEAL_HEADER_BYTES];
    sealer_free(sealer_new(key, 0xfedcba98u, "ctx", one));
    sealer_free(sealer_new(key, 0xfedcba98u, "ctx", two));
    assert_memory_equal(one, "PSEAL1\0\0\x01\x10\0\0\x98\xba\xdc\xfe", 16);
    assert_memory_equal(one, two, 16);
    assert_memory_not_equal(one + 16, two + 16, 24);
    uint32_t epoch = 0;
    assert_int_equal(seal_header_epoch(one, &epoch, &err), 0);
    assert_int_equal(epoch, 0xfedcba98u);
    assert_int_equal(seal_header_epoch(one, NULL, &err), 0);

    struct sealed f = seal(a, (const uint8_t *)"hello", 5, "ctx");
    for (size_t i = 0; i < SEAL_HEADER_BYTES; i++) {
        for (int bit = 0; bit < 8; bit++) {
            f.bytes[i] ^= (uint8_t)(1 << bit);
            refuse(a, f, "a changed header");
            if (i < 12)
                assert_int_equal(seal_header_epoch(f.bytes, &epoch, &err), -1);
            f.bytes[i] ^= (uint8_t)(1 << bit);
        }
    }
}

static void truncation(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    uint8_t *plain = arena_alloc(a, 3 * SEAL_CHUNK_BYTES);
    static const size_t lengths[] = { 0, 5, SEAL_CHUNK_BYTES, 2 * SEAL_CHUNK_BYTES,
                                      2 * SEAL_CHUNK_BYTES + 5 };
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        struct sealed f = seal(a, plain, lengths[i], "ctx");
        size_t whole = f.len;
        /* At every chunk boundary, and one byte around it. */
        for (size_t at = SEAL_HEADER_BYTES; at < whole; at += SEALED_CHUNK) {
            for (size_t cut = at - 1; cut <= at + 1 && cut < whole; cut++) {
                f.len = cut;
                refuse(a, f, "its end cut off");
            }
        }
        for (f.len = whole - 1; f.len + 40 > whole && f.len > 0; f.len--)
            refuse(a, f, "its last bytes cut off");
    }
}

static void swap_chunks(struct sealed *f, size_t x, size_t y)
{
    static uint8_t hold[SEALED_CHUNK];
    uint8_t *px = f->bytes + SEAL_HEADER_BYTES + x * SEALED_CHUNK;
    uint8_t *py = f->bytes + SEAL_HEADER_BYTES + y * SEALED_CHUNK;
    memcpy(hold, px, SEALED_CHUNK);
    memmove(px, py, SEALED_CHUNK);
    memcpy(py, hold, SEALED_CHUNK);
}

static void moved_chunks(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    size_t len = 4 * SEAL_CHUNK_BYTES;
    uint8_t *plain = arena_alloc(a, len), *back = NULL; /* equal chunks: only the place differs */
    struct sealed f = seal(a, plain, len, "ctx"), g = seal(a, plain, len, "ctx");

    static const size_t pairs[][2] = { { 0, 1 }, { 1, 2 }, { 0, 3 }, { 2, 3 } };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        swap_chunks(&f, pairs[i][0], pairs[i][1]);
        refuse(a, f, "two chunks swapped");
        swap_chunks(&f, pairs[i][0], pairs[i][1]);
    }
    /* A chunk of another file of the same key and context, at its own place. */
    for (size_t i = 0; i < 4; i++) {
        struct sealed h = { arena_memdup(a, f.bytes, f.len), f.len };
        memcpy(h.bytes + SEAL_HEADER_BYTES + i * SEALED_CHUNK,
               g.bytes + SEAL_HEADER_BYTES + i * SEALED_CHUNK, SEALED_CHUNK);
        refuse(a, h, "a chunk of another file");
    }
    /* The other file's header. */
    struct sealed h = { arena_memdup(a, f.bytes, f.len), f.len };
    memcpy(h.bytes, g.bytes, SEAL_HEADER_BYTES);
    refuse(a, h, "the header of another file");
    /* A chunk left out, one doubled, one appended. */
    h = (struct sealed){ arena_memdup(a, f.bytes, f.len), f.len - SEALED_CHUNK };
    memmove(h.bytes + SEAL_HEADER_BYTES, h.bytes + SEAL_HEADER_BYTES + SEALED_CHUNK,
            3 * (size_t)SEALED_CHUNK);
    refuse(a, h, "its first chunk left out");
    h = (struct sealed){ arena_alloc(a, f.len + SEALED_CHUNK), f.len + SEALED_CHUNK };
    memcpy(h.bytes, f.bytes, f.len);
    memcpy(h.bytes + f.len, f.bytes + f.len - SEALED_CHUNK, SEALED_CHUNK);
    refuse(a, h, "its last chunk doubled");
    size_t back_len = 0;
    assert_int_equal(open_all(a, &f, "ctx", &back, &back_len), 0);
}

static void flipped_bits(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct sealed f = seal(a, (const uint8_t *)"seventeen letters", 17, "ctx");
    for (size_t i = SEAL_HEADER_BYTES; i < f.len; i++) {
        f.bytes[i] ^= 0x80;
        refuse(a, f, "a flipped bit");
        f.bytes[i] ^= 0x80;
    }
}

static void last_chunk_games(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct error err;
    uint8_t *plain = arena_alloc(a, 2 * SEAL_CHUNK_BYTES), *out = arena_alloc(a, SEALED_CHUNK);
    struct sealed f = seal(a, plain, 2 * SEAL_CHUNK_BYTES, "ctx");
    struct opener *o = NULL;
    assert_int_equal(opener_new(key, "ctx", f.bytes, &o, &err), 0);
    const uint8_t *first = f.bytes + SEAL_HEADER_BYTES, *second = first + SEALED_CHUNK;
    static const struct {
        uint64_t index;
        int chunk, is_last;
        size_t len;
        int rc;
    } cases[] = {
        { 0, 0, 0, SEALED_CHUNK, 0 },
        { 1, 1, 1, SEALED_CHUNK, 0 },
        { 0, 0, 1, SEALED_CHUNK, -1 },
        { 1, 1, 0, SEALED_CHUNK, -1 },
        { 1, 0, 0, SEALED_CHUNK, -1 },
        { 0, 1, 1, SEALED_CHUNK, -1 },
        { 1, 1, 1, SEALED_CHUNK - 1, -1 },
        { 0, 0, 0, SEALED_CHUNK - 1, -1 },
        { 1, 1, 1, SEAL_TAG_BYTES, -1 },
        { 1, 1, 1, SEAL_TAG_BYTES - 1, -1 },
        { 1, 1, 1, 0, -1 },
        { 0, 0, 0, 0, -1 },
        { 0, 0, 0, SEALED_CHUNK + 1, -1 },
        { UINT64_MAX, 1, 1, SEALED_CHUNK, -1 },
        { 1ull << 32, 0, 0, SEALED_CHUNK, -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        memset(out, 0x55, SEALED_CHUNK);
        int rc = opener_chunk(o, cases[i].index, cases[i].chunk ? second : first, cases[i].len,
                              cases[i].is_last, out, &err);
        if (rc != cases[i].rc)
            fail_msg("case %zu: %d", i, rc);
    }
    /* What is not authentic is not handed out either. */
    memset(plain, 0xab, SEAL_CHUNK_BYTES);
    f = seal(a, plain, SEAL_CHUNK_BYTES, "ctx");
    opener_free(o);
    assert_int_equal(opener_new(key, "ctx", f.bytes, &o, &err), 0);
    f.bytes[f.len - 1] ^= 1;
    assert_int_equal(opener_chunk(o, 0, f.bytes + SEAL_HEADER_BYTES, SEALED_CHUNK, 1, out, &err),
                     -1);
    for (size_t i = 0; i < SEAL_CHUNK_BYTES; i++)
        assert_int_equal(out[i], 0);
    opener_free(o);
    opener_free(NULL);
    sealer_free(NULL);
}

static void in_place(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct error err;
    uint8_t header[SEAL_HEADER_BYTES], *buf = arena_alloc(a, SEALED_CHUNK);
    for (size_t i = 0; i < SEAL_CHUNK_BYTES; i++)
        buf[i] = (uint8_t)(i * 7);
    struct sealer *s = sealer_new(key, 1, "ctx", header);
    sealer_chunk(s, buf, SEAL_CHUNK_BYTES, 1, buf);
    sealer_free(s);
    struct opener *o = NULL;
    assert_int_equal(opener_new(key, "ctx", header, &o, &err), 0);
    assert_int_equal(opener_chunk(o, 0, buf, SEALED_CHUNK, 1, buf, &err), 0);
    for (size_t i = 0; i < SEAL_CHUNK_BYTES; i++)
        assert_int_equal(buf[i], (uint8_t)(i * 7));
    opener_free(o);
    const uint8_t other[SEAL_KEY_BYTES] = { 9 };
    assert_int_equal(opener_new(other, "ctx", header, &o, &err), 0);
    assert_int_equal(opener_chunk(o, 0, buf, SEALED_CHUNK, 1, buf, &err), -1);
    opener_free(o);
}

struct reader {
    const struct opener *opener;
    const struct sealed *file;
    const uint8_t *plain;
    int failures;
};

static void *read_often(void *arg)
{
    struct reader *r = arg;
    uint8_t *out = malloc(SEAL_CHUNK_BYTES);
    for (uint64_t n = 0; out && n < 200; n++) {
        uint64_t i = n % 4;
        struct error err;
        if (opener_chunk(r->opener, i, r->file->bytes + SEAL_HEADER_BYTES + i * SEALED_CHUNK,
                         SEALED_CHUNK, i == 3, out, &err) != 0 ||
            memcmp(out, r->plain + i * SEAL_CHUNK_BYTES, SEAL_CHUNK_BYTES) != 0)
            r->failures++;
    }
    free(out);
    return NULL;
}

static void shared_opener(void **state)
{
    (void)state;
    _cleanup_(arena_freep) struct arena *a = arena_new();
    uint8_t *plain = arena_alloc(a, 4 * SEAL_CHUNK_BYTES);
    random_bytes(plain, 4 * SEAL_CHUNK_BYTES);
    struct sealed f = seal(a, plain, 4 * SEAL_CHUNK_BYTES, "ctx");
    struct error err;
    struct opener *o = NULL;
    assert_int_equal(opener_new(key, "ctx", f.bytes, &o, &err), 0);
    struct reader readers[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        readers[i] = (struct reader){ o, &f, plain, 0 };
        assert_int_equal(pthread_create(&threads[i], NULL, read_often, &readers[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(readers[i].failures, 0);
    }
    opener_free(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),      cmocka_unit_test(sizes),
        cmocka_unit_test(headers),          cmocka_unit_test(truncation),
        cmocka_unit_test(moved_chunks),     cmocka_unit_test(flipped_bits),
        cmocka_unit_test(last_chunk_games), cmocka_unit_test(in_place),
        cmocka_unit_test(shared_opener),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

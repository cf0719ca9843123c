/* Reads of a whole chunk are opened where they are wanted, in place. Smaller ones come from the
 * chunks that readers share, or from one of the view's own. A chunk is authenticated as a whole
 * before any byte of it is given out. */
#include "dataplane/blobs/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "common/base/error.h"
#include "common/crypto/seal.h"

#define CHUNK_FILE_BYTES (SEAL_CHUNK_BYTES + SEAL_TAG_BYTES)

ssize_t view_read_file(int fd, void *buf, size_t len, uint64_t offset, struct error *err)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, (uint8_t *)buf + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(err, "read a blob");
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* Fills a (of a_len bytes) and then b from the file. 0, VIEW_LATER or -1. */
static ssize_t read_pair(const struct view *v, uint64_t offset, uint8_t *a, size_t a_len,
                         uint8_t *b, size_t b_len, bool is_now, struct error *err)
{
    struct iovec parts[] = { { a, a_len }, { b, b_len } };
    ssize_t n = preadv2(v->fd, parts, 2, (off_t)offset, is_now ? RWF_NOWAIT : 0);
    size_t done = n > 0 ? (size_t)n : 0;

    if (done == a_len + b_len)
        return 0;
    /* Errors show on the worker that reads it then; so does a file system that cannot promise. */
    if (is_now)
        return VIEW_LATER;
    if (done < a_len) {
        n = view_read_file(v->fd, a + done, a_len - done, offset + done, err);
        if (n < 0)
            return -1;
        done += (size_t)n;
    }
    if (done >= a_len && b_len > 0) {
        n = view_read_file(v->fd, b + (done - a_len), a_len + b_len - done, offset + done, err);
        if (n < 0)
            return -1;
        done += (size_t)n;
    }
    return done == a_len + b_len ? 0 : fail_cause(err, &E_INTERNAL, "a blob is cut short");
}

static size_t plain_len(const struct view *v, uint64_t index)
{
    uint64_t left = v->size - index * SEAL_CHUNK_BYTES;

    return left < SEAL_CHUNK_BYTES ? (size_t)left : SEAL_CHUNK_BYTES;
}

/* Opens one whole chunk into out, which needs room for its plain bytes. Their number, or as
 * read_pair(). */
static ssize_t open_chunk(const struct view *v, uint64_t index, uint8_t *out, bool is_now,
                          struct error *err)
{
    size_t len = plain_len(v, index);
    int is_last = index * SEAL_CHUNK_BYTES + len == v->size;
    uint8_t tag[SEAL_TAG_BYTES];
    ssize_t status = read_pair(v, SEAL_HEADER_BYTES + index * CHUNK_FILE_BYTES, out, len, tag,
                               sizeof(tag), is_now, err);

    if (status != 0)
        return status;
    if (opener_chunk_apart(v->opener, index, out, len, tag, is_last, out, err) != 0)
        return -1;
    return (ssize_t)len;
}

static ssize_t copy_own(struct view *v, uint64_t index, size_t skip, void *buf, size_t cap,
                        bool is_now, struct error *err)
{
    size_t n;

    if (!v->own && !(v->own = malloc(SEAL_CHUNK_BYTES)))
        abort();
    if (v->own_len == 0 || v->own_index != index) {
        v->own_len = 0;
        ssize_t len = open_chunk(v, index, v->own, is_now, err);
        if (len <= 0)
            return len;
        v->own_len = (size_t)len;
        v->own_index = index;
    }
    n = v->own_len - skip < cap ? v->own_len - skip : cap;
    memcpy(buf, v->own + skip, n);
    return (ssize_t)n;
}

/* A part of a chunk that readers share. */
static ssize_t copy_shared(struct view *v, uint64_t index, size_t skip, void *buf, size_t cap,
                           bool is_now, struct error *err)
{
    uint8_t *bytes;
    size_t n = chunk_cache_copy(v->chunks, v->salt, index, skip, buf, cap);

    if (n > 0)
        return (ssize_t)n;
    struct chunk *chunk = chunk_cache_take(v->chunks, &bytes);
    if (!chunk)
        return copy_own(v, index, skip, buf, cap, is_now, err);
    ssize_t len = open_chunk(v, index, bytes, is_now, err);
    if (len <= 0) {
        chunk_cache_drop(v->chunks, chunk);
        return len;
    }
    n = (size_t)len - skip < cap ? (size_t)len - skip : cap;
    memcpy(buf, bytes + skip, n);
    chunk_cache_keep(v->chunks, chunk, v->salt, index, (size_t)len);
    return (ssize_t)n;
}

static ssize_t read_sealed(struct view *v, uint64_t offset, void *buf, size_t cap, bool is_now,
                           struct error *err)
{
    uint64_t index = offset / SEAL_CHUNK_BYTES;
    size_t skip = (size_t)(offset % SEAL_CHUNK_BYTES), n = 0;

    if (skip == 0 && cap >= plain_len(v, index)) {
        if (v->chunks)
            n = chunk_cache_copy(v->chunks, v->salt, index, 0, buf, cap);
        return n > 0 ? (ssize_t)n : open_chunk(v, index, buf, is_now, err);
    }
    return v->chunks ? copy_shared(v, index, skip, buf, cap, is_now, err)
                     : copy_own(v, index, skip, buf, cap, is_now, err);
}

void view_init(struct view *v, int fd, uint64_t size, struct opener *opener, const uint8_t *salt,
               struct chunk_cache *chunks)
{
    *v = (struct view){ .fd = fd, .size = size, .opener = opener };
    if (!opener)
        return;
    memcpy(v->salt, salt, BLOB_SALT_BYTES);
    v->chunks = chunks;
    if (chunks)
        chunk_cache_enter(chunks);
}

void view_done(struct view *v)
{
    if (v->chunks)
        chunk_cache_leave(v->chunks);
    opener_free(v->opener);
    free(v->own);
}

ssize_t view_read(struct view *v, uint64_t offset, void *buf, size_t cap, bool is_now,
                  struct error *err)
{
    size_t done = 0;

    if (offset >= v->size)
        return 0;
    if (cap > v->size - offset)
        cap = (size_t)(v->size - offset);
    if (!v->opener) {
        ssize_t status = read_pair(v, offset, buf, cap, NULL, 0, is_now, err);
        return status == 0 ? (ssize_t)cap : status;
    }
    while (done < cap) {
        ssize_t n = read_sealed(v, offset + done, (uint8_t *)buf + done, cap - done, is_now, err);
        if (n < 0)
            return done > 0 && n == VIEW_LATER ? (ssize_t)done : n;
        done += (size_t)n;
        if (is_now)
            break;
    }
    return (ssize_t)done;
}

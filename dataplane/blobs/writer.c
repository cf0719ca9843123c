/* Hashing on the way into the blob store: the same for every driver, so that no driver can forget
 * it. */
#include "dataplane/blobs/blobs.h"

#include "common/base/error.h"
#include "dataplane/blobs/aside.h"

#define READ_BACK_BYTES ((size_t)256 * 1024)
/* Smaller pieces are hashed before another thread is awake. */
#define ASIDE_BYTES ((size_t)128 * 1024)

const struct blob_driver *const blob_drivers[] = { &blob_directory_driver, NULL };

struct blob_writer {
    const struct blob_driver *driver;
    struct aside *aside;
    struct blob_put *put;
    struct hasher *hashers[DIGEST_ALGORITHM_MAX]; /* sha512 may be NULL */
    uint64_t size;
    bool is_finished;
};

struct piece {
    struct blob_writer *w;
    const void *bytes;
    size_t len;
};

int blob_writer_new(struct blob_store *store, bool has_sha512, struct blob_writer **ret,
                    struct error *err)
{
    struct blob_put *put = NULL;
    if (store->driver->begin(store, &put, err) != 0)
        return -1;
    struct blob_writer *w = calloc(1, sizeof(*w));
    if (!w)
        abort();
    w->driver = store->driver;
    w->aside = store->aside;
    w->put = put;
    w->hashers[DIGEST_SHA256] = hasher_new(DIGEST_SHA256);
    w->hashers[DIGEST_SHA512] = has_sha512 ? hasher_new(DIGEST_SHA512) : NULL;
    *ret = w;
    return 0;
}

void blob_writer_free(struct blob_writer *w)
{
    if (!w)
        return;
    w->driver->discard(w->put);
    for (size_t i = 0; i < ARRAY_LEN(w->hashers); i++)
        hasher_free(w->hashers[i]);
    free(w);
}

static void hash_piece(void *arg)
{
    const struct piece *piece = arg;

    for (size_t i = 0; i < ARRAY_LEN(piece->w->hashers); i++) {
        if (piece->w->hashers[i])
            hasher_update(piece->w->hashers[i], piece->bytes, piece->len);
    }
}

int blob_writer_add(struct blob_writer *w, const void *bytes, size_t len, struct error *err)
{
    struct piece piece = { w, bytes, len };

    if (len == 0)
        return 0;
    bool is_aside = len >= ASIDE_BYTES && aside_begin(w->aside, hash_piece, &piece);
    int status = w->driver->write(w->put, bytes, len, err);
    if (is_aside)
        aside_end(w->aside);
    else if (status == 0)
        hash_piece(&piece);
    if (status == 0)
        w->size += len;
    return status;
}

uint64_t blob_writer_size(const struct blob_writer *w)
{
    return w->size;
}

int blob_writer_finish(struct blob_writer *w, struct error *err)
{
    if (!w->is_finished && w->driver->finish(w->put, err) != 0)
        return -1;
    w->is_finished = true;
    return 0;
}

/* The hash of a client that named its algorithm only at the end. */
static int hash_again(struct blob_writer *w, enum digest_algorithm algorithm, struct error *err)
{
    _cleanup_(hasher_freep) struct hasher *h = hasher_new(algorithm);
    _cleanup_(freep) uint8_t *buffer = malloc(READ_BACK_BYTES);
    if (!buffer)
        abort();
    for (uint64_t at = 0; at < w->size;) {
        ssize_t n = w->driver->read_back(w->put, at, buffer, READ_BACK_BYTES, err);
        if (n < 0)
            return -1;
        if (n == 0)
            return fail_cause(err, &E_INTERNAL, "a finished upload is shorter than it was written");
        hasher_update(h, buffer, (size_t)n);
        at += (uint64_t)n;
    }
    w->hashers[algorithm] = take(h);
    return 0;
}

int blob_writer_digest(struct blob_writer *w, enum digest_algorithm algorithm, struct digest *ret,
                       struct error *err)
{
    if (!w->hashers[algorithm] && hash_again(w, algorithm, err) != 0)
        return -1;
    hasher_peek(w->hashers[algorithm], ret);
    return 0;
}

void blob_writer_ref(const struct blob_writer *w, struct blob_ref *ret)
{
    w->driver->describe(w->put, ret);
    ret->size = w->size;
    hasher_peek(w->hashers[DIGEST_SHA256], &ret->digest);
}

int blob_writer_commit(struct blob_writer *w, struct error *err)
{
    struct digest digest;
    hasher_peek(w->hashers[DIGEST_SHA256], &digest);
    return w->driver->commit(w->put, &digest, err);
}

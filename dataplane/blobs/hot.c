/* A row per file that is or was just read. The bytes of a sealed one are made at the second visit
 * within the life of its row, so content that is pulled once costs no memory. Readers pin their
 * row, so what is held never exceeds max_bytes, however slow they are; rows without readers make
 * room for others, the one unread for longest first. */
#include "dataplane/blobs/hot.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/crypto/seal.h"
#include "dataplane/blobs/view.h"

#define FILES      128
#define LINGER_MS  2000
#define PAGE_BYTES ((uint64_t)4096)

struct hot_file {
    struct blob_ref ref;
    bool is_used; /* else a free row */
    bool is_made; /* somebody makes or made the bytes, or it failed */
    bool is_gone; /* forgotten: for its readers only */
    bool has_fd;
    int fd;
    unsigned readers, visits;
    int64_t left_ms; /* when the last reader left */
    uint64_t held;   /* bytes that count */
};

struct hot_cache {
    pthread_mutex_t lock;
    uint64_t max_bytes, bytes, stamp;
    struct hot_file files[FILES];
};

/* Descriptors to be closed once the lock is released: that gives back many pages. */
struct closing {
    int fds[FILES];
    size_t count;
};

static void close_all(const struct closing *closing)
{
    for (size_t i = 0; i < closing->count; i++)
        (void)close(closing->fds[i]);
}

/* The lock is held here and in what follows, up to the public functions. */
static void clear(struct hot_cache *c, struct hot_file *file, struct closing *closing)
{
    if (file->has_fd)
        closing->fds[closing->count++] = file->fd;
    c->bytes -= file->held;
    memset(file, 0, sizeof(*file));
}

static bool is_of(const struct hot_file *file, const struct blob_ref *ref)
{
    return file->is_used && !file->is_gone && file->ref.is_sealed == ref->is_sealed &&
           file->ref.size == ref->size && digest_equal(&file->ref.digest, &ref->digest) &&
           memcmp(file->ref.salt, ref->salt, BLOB_SALT_BYTES) == 0;
}

static struct hot_file *find(struct hot_cache *c, const struct blob_ref *ref)
{
    for (size_t i = 0; i < FILES; i++) {
        if (is_of(&c->files[i], ref))
            return &c->files[i];
    }
    return NULL;
}

/* The row that nobody has read for longest; with is_holding, of those that hold bytes. */
static struct hot_file *longest_unread(struct hot_cache *c, bool is_holding)
{
    struct hot_file *best = NULL;

    for (size_t i = 0; i < FILES; i++) {
        struct hot_file *file = &c->files[i];

        if (file->is_used && file->readers == 0 && (!is_holding || file->held > 0) &&
            (!best || file->left_ms < best->left_ms))
            best = file;
    }
    return best;
}

static struct hot_file *new_row(struct hot_cache *c, const struct blob_ref *ref,
                                struct closing *closing)
{
    struct hot_file *file = NULL;

    for (size_t i = 0; i < FILES && !file; i++) {
        if (!c->files[i].is_used)
            file = &c->files[i];
    }
    if (!file && (file = longest_unread(c, false)))
        clear(c, file, closing);
    if (file)
        *file = (struct hot_file){ .ref = *ref, .is_used = true };
    return file;
}

static bool make_room(struct hot_cache *c, uint64_t bytes, struct closing *closing)
{
    struct hot_file *unread = NULL;

    if (bytes > c->max_bytes)
        return false;
    while (c->bytes + bytes > c->max_bytes && (unread = longest_unread(c, true)))
        clear(c, unread, closing);
    return c->bytes + bytes <= c->max_bytes;
}

static uint64_t whole_pages(uint64_t bytes)
{
    return bytes + (PAGE_BYTES - bytes % PAGE_BYTES) % PAGE_BYTES;
}

/* --- making the bytes, without the lock --------------------------------------------------------
 */

static int write_all(int fd, const uint8_t *bytes, size_t len, struct error *err)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(err, "write opened content");
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

/* All of the view's bytes in a descriptor of their own, or -1. */
static int make(struct view *v, struct error *err)
{
    _cleanup_(closep) int fd = memfd_create("opened", MFD_CLOEXEC);
    _cleanup_(freep) uint8_t *piece = malloc(SEAL_CHUNK_BYTES);

    if (!piece)
        abort();
    if (fd < 0)
        return fail_errno(err, "memory for opened content");
    for (uint64_t at = 0; at < v->size;) {
        ssize_t n = view_read(v, at, piece, SEAL_CHUNK_BYTES, false, err);

        if (n < 0)
            return -1;
        if (n == 0)
            return fail_cause(err, &E_INTERNAL, "a sealed blob is cut short");
        if (write_all(fd, piece, (size_t)n, err) != 0)
            return -1;
        at += (uint64_t)n;
    }
    return take_fd(&fd);
}

/* --- public ------------------------------------------------------------------------------------
 */

struct hot_cache *hot_cache_new(uint64_t max_bytes)
{
    struct hot_cache *c = calloc(1, sizeof(*c));

    if (!c)
        abort();
    c->max_bytes = max_bytes;
    (void)pthread_mutex_init(&c->lock, NULL);
    return c;
}

void hot_cache_free(struct hot_cache *c)
{
    struct closing closing = { 0 };

    if (!c)
        return;
    for (size_t i = 0; i < FILES; i++)
        clear(c, &c->files[i], &closing);
    close_all(&closing);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

uint64_t hot_stamp(struct hot_cache *c)
{
    pthread_mutex_lock(&c->lock);
    uint64_t stamp = c->stamp;
    pthread_mutex_unlock(&c->lock);
    return stamp;
}

struct hot_file *hot_enter(struct hot_cache *c, const struct blob_ref *ref, uint64_t stamp)
{
    struct closing closing = { 0 };
    struct hot_file *file = NULL;

    pthread_mutex_lock(&c->lock);
    if (c->stamp == stamp && !(file = find(c, ref)))
        file = new_row(c, ref, &closing);
    if (file) {
        file->readers++;
        file->visits++;
    }
    pthread_mutex_unlock(&c->lock);
    close_all(&closing);
    return file;
}

struct hot_file *hot_find(struct hot_cache *c, const struct blob_ref *ref)
{
    pthread_mutex_lock(&c->lock);
    struct hot_file *file = find(c, ref);
    if (file && !file->has_fd)
        file = NULL;
    if (file)
        file->readers++;
    pthread_mutex_unlock(&c->lock);
    return file;
}

int hot_fd(struct hot_cache *c, struct hot_file *file, struct view *v)
{
    uint64_t held = file->ref.is_sealed ? whole_pages(file->ref.size) : 0;
    struct closing closing = { 0 };
    struct error err = { 0 };

    pthread_mutex_lock(&c->lock);
    int fd = file->has_fd ? file->fd : -1;
    bool is_ours = v && !file->is_made && !file->is_gone && file->visits > 1 &&
                   make_room(c, held, &closing);
    if (is_ours) {
        file->is_made = true;
        file->held = held;
        c->bytes += held;
    }
    pthread_mutex_unlock(&c->lock);
    close_all(&closing);
    if (!is_ours)
        return fd;
    fd = v->opener ? make(v, &err) : fcntl(v->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0 && v->opener)
        log_failure(LOG_DEBUG, "blob-not-opened", &err); /* the reader will meet it as well */
    pthread_mutex_lock(&c->lock);
    file->has_fd = fd >= 0;
    file->fd = fd;
    if (fd < 0) {
        c->bytes -= file->held;
        file->held = 0;
    }
    pthread_mutex_unlock(&c->lock);
    return fd;
}

void hot_leave(struct hot_cache *c, struct hot_file *file)
{
    struct closing closing = { 0 };

    if (!file)
        return;
    pthread_mutex_lock(&c->lock);
    file->readers--;
    if (file->readers == 0 && file->is_gone)
        clear(c, file, &closing);
    else if (file->readers == 0)
        file->left_ms = clock_mono_ms();
    pthread_mutex_unlock(&c->lock);
    close_all(&closing);
}

void hot_forget(struct hot_cache *c, const struct digest *digest)
{
    struct closing closing = { 0 };

    pthread_mutex_lock(&c->lock);
    c->stamp++;
    for (size_t i = 0; i < FILES; i++) {
        struct hot_file *file = &c->files[i];

        if (!file->is_used || !digest_equal(&file->ref.digest, digest))
            continue;
        if (file->readers > 0)
            file->is_gone = true;
        else
            clear(c, file, &closing);
    }
    pthread_mutex_unlock(&c->lock);
    close_all(&closing);
}

void hot_rest(struct hot_cache *c)
{
    int64_t before = clock_mono_ms() - LINGER_MS;
    struct closing closing = { 0 };

    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < FILES; i++) {
        if (c->files[i].is_used && c->files[i].readers == 0 && c->files[i].left_ms <= before)
            clear(c, &c->files[i], &closing);
    }
    pthread_mutex_unlock(&c->lock);
    close_all(&closing);
}

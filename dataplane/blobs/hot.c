/* A row per file that is being read, and a memfd in those that two readers met at. The memory of a
 * row lives as long as its readers, so what is held never exceeds BYTES_MAX, however slow they are.
 */
#include "dataplane/blobs/hot.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/crypto/seal.h"
#include "dataplane/blobs/view.h"

#define FILES      64
#define FILE_MAX   ((uint64_t)8 << 20)
#define BYTES_MAX  ((uint64_t)32 << 20)
#define SMALL_FILE ((uint64_t)SEAL_CHUNK_BYTES) /* up to here a reader needs little anyway */

struct hot_file {
    uint8_t salt[BLOB_SALT_BYTES];
    uint64_t size;
    unsigned readers; /* 0: a free row */
    bool is_made;     /* somebody makes or made the bytes, or it failed */
    int fd;           /* -1: none */
};

struct hot_cache {
    pthread_mutex_t lock;
    uint64_t bytes;
    struct hot_file files[FILES];
};

struct hot_cache *hot_cache_new(void)
{
    struct hot_cache *c = calloc(1, sizeof(*c));

    if (!c)
        abort();
    (void)pthread_mutex_init(&c->lock, NULL);
    return c;
}

void hot_cache_free(struct hot_cache *c)
{
    if (!c)
        return;
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

/* The row of the file, or a free one; NULL when there is neither. The lock is held. */
static struct hot_file *row_of(struct hot_cache *c, const uint8_t *salt)
{
    struct hot_file *spare = NULL;

    for (size_t i = 0; i < FILES; i++) {
        struct hot_file *file = &c->files[i];

        if (file->readers > 0 && memcmp(file->salt, salt, BLOB_SALT_BYTES) == 0)
            return file;
        if (file->readers == 0 && !spare)
            spare = file;
    }
    return spare;
}

struct hot_file *hot_enter(struct hot_cache *c, const uint8_t salt[BLOB_SALT_BYTES], uint64_t size)
{
    struct hot_file *file;

    if (size <= SMALL_FILE || size > FILE_MAX)
        return NULL;
    pthread_mutex_lock(&c->lock);
    file = row_of(c, salt);
    if (file && file->readers == 0) {
        *file = (struct hot_file){ .size = size, .fd = -1 };
        memcpy(file->salt, salt, BLOB_SALT_BYTES);
    }
    if (file)
        file->readers++;
    pthread_mutex_unlock(&c->lock);
    return file;
}

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

int hot_fd(struct hot_cache *c, struct hot_file *file, struct view *v)
{
    struct error err = { 0 };
    bool is_ours;
    int fd;

    pthread_mutex_lock(&c->lock);
    fd = file->fd;
    is_ours = file->readers > 1 && !file->is_made && c->bytes + file->size <= BYTES_MAX;
    if (is_ours) {
        file->is_made = true;
        c->bytes += file->size;
    }
    pthread_mutex_unlock(&c->lock);
    if (!is_ours)
        return fd;
    fd = make(v, &err);
    if (fd < 0)
        log_failure(LOG_DEBUG, "blob-not-opened", &err); /* the reader will meet it as well */
    pthread_mutex_lock(&c->lock);
    file->fd = fd;
    if (fd < 0)
        c->bytes -= file->size;
    pthread_mutex_unlock(&c->lock);
    return fd;
}

void hot_leave(struct hot_cache *c, struct hot_file *file)
{
    int fd = -1;

    if (!file)
        return;
    pthread_mutex_lock(&c->lock);
    file->readers--;
    if (file->readers == 0 && file->fd >= 0) {
        fd = file->fd;
        file->fd = -1;
        c->bytes -= file->size;
    }
    pthread_mutex_unlock(&c->lock);
    if (fd >= 0)
        (void)close(fd);
}

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
#define PIECE_BYTES ((size_t)1 << 20)

struct hot_file {
    struct blob_ref ref;
    bool is_used; /* else a free row */
    bool is_made; /* somebody makes or made the bytes, or it failed */
    bool is_gone; /* forgotten: for its readers only */
    void *bytes;  /* mapped; NULL while there are none */
    unsigned readers, visits;
    int64_t left_ms; /* when the last reader left */
    uint64_t held;   /* bytes that count */
};

struct hot_cache {
    pthread_mutex_t lock;
    uint64_t max_bytes, bytes, stamp;
    struct hot_file files[FILES];
};

/* Mappings to be ended once the lock is released: that gives back many pages. */
struct closing {
    struct {
        void *bytes;
        size_t len;
    } maps[FILES];
    size_t count;
};

static void close_all(const struct closing *closing)
{
    for (size_t i = 0; i < closing->count; i++)
        (void)munmap(closing->maps[i].bytes, closing->maps[i].len);
}

/* The lock is held here and in what follows, up to the public functions. */
static void clear(struct hot_cache *c, struct hot_file *file, struct closing *closing)
{
    if (file->bytes) {
        closing->maps[closing->count].bytes = file->bytes;
        closing->maps[closing->count++].len = (size_t)file->ref.size;
    }
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

/* Fills the memory with all of the view's bytes. */
static int fill(struct view *v, uint8_t *bytes, struct error *err)
{
    for (uint64_t at = 0; at < v->size;) {
        uint64_t left = v->size - at;
        ssize_t n = view_read(v, at, bytes + at, left < PIECE_BYTES ? (size_t)left : PIECE_BYTES,
                              false, err);

        if (n < 0)
            return -1;
        if (n == 0)
            return fail_cause(err, &E_INTERNAL, "a sealed blob is cut short");
        at += (uint64_t)n;
    }
    return 0;
}

/* All of the view's plain bytes, in memory that no core dump shows; NULL when there are none. */
static void *open_all(struct view *v, struct error *err)
{
    size_t len = (size_t)v->size;
    void *bytes = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (bytes == MAP_FAILED) {
        (void)fail_errno(err, "memory for opened content");
        return NULL;
    }
    (void)madvise(bytes, len, MADV_DONTDUMP);
    if (fill(v, bytes, err) != 0) {
        (void)munmap(bytes, len);
        return NULL;
    }
    (void)mprotect(bytes, len, PROT_READ);
    return bytes;
}

/* All of the file is read now, and counts as little as anything in the page cache. What cannot be read of
 * it any more fails the system call that sends it: nothing here looks at these bytes. */
static void *map_plain(const struct view *v)
{
    void *bytes = mmap(NULL, (size_t)v->size, PROT_READ, MAP_SHARED | MAP_POPULATE, v->fd, 0);

    return bytes == MAP_FAILED ? NULL : bytes;
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
    if (file && !file->bytes)
        file = NULL;
    if (file)
        file->readers++;
    pthread_mutex_unlock(&c->lock);
    return file;
}

const uint8_t *hot_bytes(struct hot_cache *c, struct hot_file *file, struct view *v)
{
    uint64_t held = file->ref.is_sealed ? whole_pages(file->ref.size) : 0;
    struct closing closing = { 0 };
    struct error err = { 0 };

    pthread_mutex_lock(&c->lock);
    void *bytes = file->bytes;
    bool is_ours = v && v->size > 0 && v->size <= c->max_bytes && !file->is_made &&
                   !file->is_gone && file->visits > 1 && make_room(c, held, &closing);
    if (is_ours) {
        file->is_made = true;
        file->held = held;
        c->bytes += held;
    }
    pthread_mutex_unlock(&c->lock);
    close_all(&closing);
    if (!is_ours)
        return bytes;
    bytes = v->opener ? open_all(v, &err) : map_plain(v);
    if (!bytes && v->opener)
        log_failure(LOG_DEBUG, "blob-not-opened", &err); /* the reader will meet it as well */
    pthread_mutex_lock(&c->lock);
    file->bytes = bytes;
    if (!bytes) {
        c->bytes -= file->held;
        file->held = 0;
    }
    pthread_mutex_unlock(&c->lock);
    return bytes;
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

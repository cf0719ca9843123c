/* The directory driver: one file per blob. Its commit order is what crash safety rests on: bytes
 * fsynced, file renamed into place, directory fsynced. The tree is locked by one process, whose
 * temporary files are the only ones alive. */
#include "dataplane/blobs/blobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "common/crypto/seal.h"
#include "dataplane/blobs/aside.h"
#include "dataplane/blobs/hot.h"
#include "dataplane/blobs/view.h"

#define CHUNK_FILE_BYTES (SEAL_CHUNK_BYTES + SEAL_TAG_BYTES)
#define SALT_OFFSET      (SEAL_HEADER_BYTES - BLOB_SALT_BYTES)
#define CONTEXT_MAX      64
/* Written-back in the background while more arrives, so that the final fsync has little to do. */
#define WRITEBACK_BYTES ((uint64_t)8 * 1024 * 1024)
#define LOCK_WAIT_MS    10000

struct directory_store {
    struct blob_store base;
    char root[PATH_MAX / 2];
    char context[CONTEXT_MAX];
    bool has_key, is_sealing;
    uint8_t key[SEAL_KEY_BYTES];
    uint32_t epoch;
    int lock_fd;
    struct chunk_cache *chunks;
    struct hot_cache *hot;
};

struct blob_put {
    struct directory_store *store;
    int fd;
    char path[PATH_MAX];
    bool is_renamed, is_durable;
    struct sealer *sealer; /* NULL: plain */
    uint8_t header[SEAL_HEADER_BYTES];
    uint8_t *pending; /* one chunk of plain text that may turn out to be the last */
    size_t pending_len;
    uint64_t size, written, written_back;
    struct view view; /* of read_back */
};

struct blob_reader {
    struct directory_store *store;
    struct view view;
    struct blob_ref ref;
    uint64_t stamp;       /* of the hot files when it was opened */
    struct hot_file *hot; /* NULL: plain was not asked for, or there was no row for it */
};

static struct directory_store *store_of(struct blob_store *base)
{
    return (struct directory_store *)base;
}

/* The layout, and the only function that makes paths:
 *
 *   <root>/owner.lock               held by the process that serves this tree
 *   <root>/tmp/<uuid>               uploads under way
 *   <root>/blobs/<alg>/<xx>/<hex>   content; xx are the first two of the hex digits
 *   <root>/aside/<hex>.<uuid>       content that was found damaged
 *
 * File names come from a parsed digest or from uuid_new(), never from a client's text. With hex ==
 * NULL it is the directory; with algorithm DIGEST_ALGORITHM_MAX, below tmp. */
static void path_of(const struct directory_store *store, enum digest_algorithm algorithm,
                    const char *shard, const char *name, char ret[PATH_MAX])
{
    static const char *const folders[] = { [DIGEST_SHA256] = "blobs/sha256",
                                           [DIGEST_SHA512] = "blobs/sha512",
                                           [DIGEST_ALGORITHM_MAX] = "tmp" };
    int n = snprintf(ret, PATH_MAX, "%s/%s%s%.2s%s%s", store->root, folders[algorithm],
                     shard ? "/" : "", shard ? shard : "", name ? "/" : "", name ? name : "");
    if (n < 0 || n >= PATH_MAX)
        abort(); /* the root's length was checked at open */
}

static void blob_path(const struct directory_store *store, const struct digest *digest,
                      char ret[PATH_MAX])
{
    char hex[2 * SHA512_LEN + 1];
    digest_hex(digest, hex);
    path_of(store, digest->algorithm, hex, hex, ret);
}

/* fd as the content of a file with that header; header == NULL: a plain file. */
static int view_open(struct view *v, const struct directory_store *store, int fd, uint64_t size,
                     const uint8_t *header, struct chunk_cache *chunks, struct error *err)
{
    struct opener *opener = NULL;
    uint32_t epoch = 0;

    if (header) {
        if (seal_header_epoch(header, &epoch, err) != 0)
            return -1;
        if (!store->has_key || epoch != store->epoch)
            return fail_cause(err, &E_INTERNAL, "no data key of epoch %u", epoch);
        if (opener_new(store->key, store->context, header, &opener, err) != 0)
            return -1;
    }
    view_init(v, fd, size, opener, header ? header + SALT_OFFSET : NULL, chunks);
    return 0;
}

/* --- opening a store ---------------------------------------------------------------------------
 */

static int make_folders(const struct directory_store *store, struct error *err)
{
    char path[PATH_MAX];

    for (int i = 0; i <= DIGEST_ALGORITHM_MAX; i++) {
        path_of(store, (enum digest_algorithm)i, NULL, NULL, path);
        if (file_mkdirs(path, 0700, err) != 0)
            return -1;
    }
    if (snprintf(path, sizeof(path), "%s/blobs", store->root) >= (int)sizeof(path))
        return fail_cause(err, &E_INVALID, "the blob directory's path is too long");
    if (file_fsync_dir(path, err) != 0)
        return -1;
    return file_fsync_dir(store->root, err);
}

/* Waits a while: the process before us may be ending. */
static int take_tree(struct directory_store *store, struct error *err)
{
    char path[PATH_MAX];
    int64_t until = clock_mono_ms() + LOCK_WAIT_MS;

    if (snprintf(path, sizeof(path), "%s/owner.lock", store->root) >= (int)sizeof(path))
        return fail_cause(err, &E_INVALID, "the blob directory's path is too long");
    store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock_fd < 0)
        return fail_errno(err, "open %s", path);
    while (flock(store->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fail_errno(err, "lock %s", path);
        if (clock_mono_ms() > until)
            return fail_cause(err, &E_CONFLICT, "%s is held by another process", path);
        clock_sleep_ms(20);
    }
    return 0;
}

static void directory_close(struct blob_store *base)
{
    struct directory_store *store = store_of(base);
    if (!store)
        return;
    if (store->lock_fd >= 0)
        (void)close(store->lock_fd);
    aside_free(store->base.aside);
    chunk_cache_free(store->chunks);
    hot_cache_free(store->hot);
    secret_cleanse(store->key, sizeof(store->key));
    free(store);
}

static int directory_open(const struct blob_config *config, struct blob_store **ret,
                          struct error *err)
{
    size_t len = strlen(config->root);
    struct directory_store *store = calloc(1, sizeof(*store));
    if (!store)
        abort();
    store->base.driver = &blob_directory_driver;
    store->base.aside = aside_new();
    store->lock_fd = -1;
    store->chunks = chunk_cache_new();
    store->hot = hot_cache_new(config->hot_bytes);
    store->has_key = config->key != NULL;
    store->is_sealing = config->is_sealing && store->has_key;
    store->epoch = config->epoch;
    if (config->key)
        memcpy(store->key, config->key, sizeof(store->key));
    if (len >= sizeof(store->root) ||
        snprintf(store->context, sizeof(store->context), "registry/%s/blob", config->registry_id) >=
            CONTEXT_MAX) {
        directory_close(&store->base);
        return fail_cause(err, &E_INVALID, "the blob directory's path is too long");
    }
    memcpy(store->root, config->root, len + 1);
    if (make_folders(store, err) != 0 || take_tree(store, err) != 0) {
        directory_close(&store->base);
        return -1;
    }
    *ret = &store->base;
    return 0;
}

/* --- writing -----------------------------------------------------------------------------------
 */

static void directory_discard(struct blob_put *put)
{
    if (!put)
        return;
    view_done(&put->view);
    sealer_free(put->sealer);
    free(put->pending);
    if (put->fd >= 0)
        (void)close(put->fd);
    if (!put->is_renamed)
        (void)unlink(put->path);
    free(put);
}

static int directory_begin(struct blob_store *base, struct blob_put **ret, struct error *err)
{
    struct directory_store *store = store_of(base);
    char name[UUID_TEXT_LEN + 1];
    struct blob_put *put = calloc(1, sizeof(*put));
    if (!put)
        abort();

    uuid_new(name);
    put->store = store;
    path_of(store, DIGEST_ALGORITHM_MAX, NULL, name, put->path);
    put->fd = open(put->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (put->fd < 0 || FAILPOINT("blob.after_create")) {
        int status = fail_errno(err, "create a temporary file");
        put->is_renamed = put->fd < 0; /* nothing to unlink */
        directory_discard(put);
        return status;
    }
    if (store->is_sealing) {
        put->sealer = sealer_new(store->key, store->epoch, store->context, put->header);
        if (file_write_all(put->fd, put->header, sizeof(put->header)) != 0) {
            int status = fail_errno(err, "write an upload");
            directory_discard(put);
            return status;
        }
    }
    *ret = put;
    return 0;
}

static int write_out(struct blob_put *put, const void *bytes, size_t len, struct error *err)
{
    if (FAILPOINT("blob.before_write") || file_write_all(put->fd, bytes, len) != 0)
        return fail_errno(err, "write an upload");
    put->written += len;
    if (put->written - put->written_back >= WRITEBACK_BYTES) {
        /* Only a hint: fsync in finish() is what counts. */
        (void)sync_file_range(put->fd, (off_t)put->written_back,
                              (off_t)(put->written - put->written_back), SYNC_FILE_RANGE_WRITE);
        put->written_back = put->written;
    }
    return 0;
}

static int write_sealed(struct blob_put *put, const void *plain, size_t len, int is_last,
                        struct error *err)
{
    sealer_chunk(put->sealer, plain, len, is_last, put->pending);
    return write_out(put, put->pending, len + SEAL_TAG_BYTES, err);
}

static int flush_pending(struct blob_put *put, int is_last, struct error *err)
{
    if (write_sealed(put, put->pending, put->pending_len, is_last, err) != 0)
        return -1;
    put->pending_len = 0;
    return 0;
}

static int directory_write(struct blob_put *put, const void *bytes, size_t len, struct error *err)
{
    const uint8_t *at = bytes;

    put->size += len;
    if (!put->sealer)
        return write_out(put, bytes, len, err);
    if (!put->pending && !(put->pending = malloc(CHUNK_FILE_BYTES)))
        abort();
    while (len > 0) {
        /* A full chunk is kept until more comes: the last one is sealed as the last. */
        if (put->pending_len == SEAL_CHUNK_BYTES && flush_pending(put, 0, err) != 0)
            return -1;
        if (put->pending_len == 0 && len > SEAL_CHUNK_BYTES) {
            if (write_sealed(put, at, SEAL_CHUNK_BYTES, 0, err) != 0)
                return -1;
            at += SEAL_CHUNK_BYTES;
            len -= SEAL_CHUNK_BYTES;
            continue;
        }
        size_t room = SEAL_CHUNK_BYTES - put->pending_len;
        size_t n = len < room ? len : room;
        memcpy(put->pending + put->pending_len, at, n);
        put->pending_len += n;
        at += n;
        len -= n;
    }
    return 0;
}

static int directory_finish(struct blob_put *put, struct error *err)
{
    if (put->sealer) {
        if (!put->pending && !(put->pending = malloc(CHUNK_FILE_BYTES)))
            abort();
        if (flush_pending(put, 1, err) != 0)
            return -1;
        free(put->pending);
        put->pending = NULL;
    }
    if (FAILPOINT("blob.before_fsync") || fsync(put->fd) != 0 || FAILPOINT("blob.after_fsync"))
        return fail_errno(err, "fsync an upload");
    return view_open(&put->view, put->store, put->fd, put->size, put->sealer ? put->header : NULL,
                     NULL, err);
}

static ssize_t directory_read_back(struct blob_put *put, uint64_t offset, void *buf, size_t cap,
                                   struct error *err)
{
    return view_read(&put->view, offset, buf, cap, false, err);
}

static void directory_describe(const struct blob_put *put, struct blob_ref *ret)
{
    *ret = (struct blob_ref){ .size = put->size, .is_sealed = put->sealer != NULL };
    if (put->sealer)
        memcpy(ret->salt, put->header + SALT_OFFSET, BLOB_SALT_BYTES);
}

static int directory_commit(struct blob_put *put, const struct digest *digest, struct error *err)
{
    char path[PATH_MAX], folder[PATH_MAX], parent[PATH_MAX], hex[2 * SHA512_LEN + 1];

    if (put->is_durable)
        return 0;
    digest_hex(digest, hex);
    path_of(put->store, digest->algorithm, hex, hex, path);
    path_of(put->store, digest->algorithm, hex, NULL, folder);
    if (mkdir(folder, 0700) == 0) {
        if (FAILPOINT("blob.after_shard"))
            return fail_errno(err, "make a blob folder");
        path_of(put->store, digest->algorithm, NULL, NULL, parent);
        if (file_fsync_dir(parent, err) != 0)
            return -1;
    } else if (errno != EEXIST) {
        return fail_errno(err, "make a blob folder");
    }
    if (FAILPOINT("blob.before_rename") || (!put->is_renamed && rename(put->path, path) != 0))
        return fail_errno(err, "rename an upload");
    put->is_renamed = true;
    hot_forget(put->store->hot, digest);
    if (FAILPOINT("blob.after_rename"))
        return fail_errno(err, "fsync a blob folder");
    if (file_fsync_dir(folder, err) != 0)
        return -1;
    put->is_durable = true;
    return FAILPOINT("blob.after_folder_fsync") ? fail_errno(err, "fsync a blob folder") : 0;
}

/* --- reading -----------------------------------------------------------------------------------
 */

static void close_view(struct blob_reader *reader)
{
    if (reader->view.fd >= 0)
        (void)close(reader->view.fd);
    view_done(&reader->view);
    reader->view = (struct view){ .fd = -1 };
}

static void directory_release(struct blob_reader *reader)
{
    if (!reader)
        return;
    close_view(reader);
    hot_leave(reader->store->hot, reader->hot);
    free(reader);
}

static int check_sealed(const struct blob_ref *ref, int fd, uint8_t header[SEAL_HEADER_BYTES],
                        struct error *err)
{
    ssize_t n = view_read_file(fd, header, SEAL_HEADER_BYTES, 0, err);
    if (n < 0)
        return -1;
    if ((size_t)n != SEAL_HEADER_BYTES)
        return fail_cause(err, &E_INTERNAL, "a sealed blob is cut short");
    if (memcmp(header + SALT_OFFSET, ref->salt, BLOB_SALT_BYTES) != 0)
        return fail_cause(err, &E_INTERNAL, "a sealed blob is not the one the database names");
    return 0;
}

static int directory_get(struct blob_store *base, const struct blob_ref *ref,
                         struct blob_reader **ret, struct error *err)
{
    struct directory_store *store = store_of(base);
    char path[PATH_MAX];
    uint8_t header[SEAL_HEADER_BYTES];
    uint64_t stamp = hot_stamp(store->hot);
    struct stat st;

    blob_path(store, &ref->digest, path);
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fstat(fd, &st) != 0)
        return fail_errno(err, "open a blob");
    uint64_t expected = ref->is_sealed ? seal_file_bytes(ref->size) : ref->size;
    if ((uint64_t)st.st_size != expected)
        return fail_cause(err, &E_INTERNAL, "a blob's file has %lld bytes, not %llu",
                          (long long)st.st_size, (unsigned long long)expected);
    if (ref->is_sealed && check_sealed(ref, fd, header, err) != 0)
        return -1;
    struct blob_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        abort();
    if (view_open(&reader->view, store, fd, ref->size, ref->is_sealed ? header : NULL,
                  store->chunks, err) != 0) {
        free(reader);
        return -1;
    }
    (void)take_fd(&fd);
    reader->store = store;
    reader->ref = *ref;
    reader->stamp = stamp;
    *ret = reader;
    return 1;
}

static int directory_get_now(struct blob_store *base, const struct blob_ref *ref,
                             struct blob_reader **ret)
{
    struct directory_store *store = store_of(base);
    struct hot_file *hot = hot_find(store->hot, ref);

    if (!hot)
        return 0;
    struct blob_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        abort();
    *reader =
        (struct blob_reader){ .store = store, .view = { .fd = -1 }, .ref = *ref, .hot = hot };
    *ret = reader;
    return 1;
}

/* Who asked for the bytes before there were any goes on with the opened content. 0: there is none.
 * Others, such as the scrubber, want what is in the file. */
static ssize_t read_opened(const struct blob_reader *reader, uint64_t offset, void *buf, size_t cap)
{
    if (!reader->ref.is_sealed || !reader->hot || offset >= reader->ref.size)
        return 0;
    const uint8_t *bytes = hot_bytes(reader->store->hot, reader->hot, NULL);
    uint64_t left = reader->ref.size - offset;
    size_t n = left < cap ? (size_t)left : cap;
    if (!bytes)
        return 0;
    memcpy(buf, bytes + offset, n);
    return (ssize_t)n;
}

static ssize_t directory_read(struct blob_reader *reader, uint64_t offset, void *buf, size_t cap,
                              struct error *err)
{
    ssize_t n = read_opened(reader, offset, buf, cap);

    return n > 0 ? n : view_read(&reader->view, offset, buf, cap, false, err);
}

static ssize_t directory_read_now(struct blob_reader *reader, uint64_t offset, void *buf,
                                  size_t cap, struct error *err)
{
    ssize_t n = read_opened(reader, offset, buf, cap);

    return n > 0 ? n : view_read(&reader->view, offset, buf, cap, true, err);
}

static bool directory_plain(struct blob_reader *reader, struct blob_plain *ret)
{
    struct view *v = reader->view.fd >= 0 ? &reader->view : NULL;

    if (!reader->hot)
        reader->hot = hot_enter(reader->store->hot, &reader->ref, reader->stamp);
    *ret = (struct blob_plain){ .fd = -1 };
    if (reader->hot)
        ret->bytes = hot_bytes(reader->store->hot, reader->hot, v);
    if (!ret->bytes && v && !v->opener)
        ret->fd = take_fd(&v->fd);
    if (!ret->bytes && ret->fd < 0)
        return false;
    close_view(reader);
    return true;
}

static int directory_exists(struct blob_store *base, const struct digest *digest, struct error *err)
{
    char path[PATH_MAX];

    blob_path(store_of(base), digest, path);
    if (access(path, R_OK) == 0)
        return 1;
    return errno == ENOENT ? 0 : fail_errno(err, "look for a blob");
}

static int directory_remove(struct blob_store *base, const struct digest *digest, struct error *err)
{
    char path[PATH_MAX];

    blob_path(store_of(base), digest, path);
    if (FAILPOINT("blob.before_remove") || (unlink(path) != 0 && errno != ENOENT) ||
        FAILPOINT("blob.after_remove"))
        return fail_errno(err, "remove a blob");
    hot_forget(store_of(base)->hot, digest);
    return 0;
}

static int directory_sweep(struct blob_store *base, struct error *err)
{
    char path[PATH_MAX];
    const struct dirent *entry;

    path_of(store_of(base), DIGEST_ALGORITHM_MAX, NULL, NULL, path);
    _cleanup_(closedirp) DIR *dir = opendir(path);
    if (!dir)
        return fail_errno(err, "open the folder of temporary files");
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        if ((unlinkat(dirfd(dir), entry->d_name, 0) != 0 && errno != ENOENT) ||
            FAILPOINT("sweep.after_one"))
            return fail_errno(err, "remove a temporary file");
    }
    return 0;
}

static int directory_list(struct blob_store *base, unsigned part, struct arena *a,
                          struct digest **ret, size_t *ret_count, struct error *err)
{
    char path[PATH_MAX], shard[3], text[DIGEST_TEXT_MAX];
    size_t room = 64, count = 0;
    const struct dirent *entry;
    struct digest *list = arena_array(a, room, sizeof(*list));

    (void)snprintf(shard, sizeof(shard), "%02x", part % BLOB_PARTS);
    path_of(store_of(base), DIGEST_SHA256, shard, NULL, path);
    *ret = list;
    *ret_count = 0;
    _cleanup_(closedirp) DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? 0 : fail_errno(err, "open a blob folder");
    while ((entry = readdir(dir))) {
        int n = snprintf(text, sizeof(text), "sha256:%s", entry->d_name);
        if (count == room) {
            struct digest *more = arena_array(a, 2 * room, sizeof(*more));
            memcpy(more, list, count * sizeof(*more));
            list = more;
            room *= 2;
        }
        if (n > 0 && (size_t)n < sizeof(text) && digest_parse(text, &list[count]))
            count++;
    }
    *ret = list;
    *ret_count = count;
    return 0;
}

static int directory_set_aside(struct blob_store *base, const struct digest *digest,
                               struct error *err)
{
    const struct directory_store *store = store_of(base);
    char path[PATH_MAX], aside[PATH_MAX], hex[2 * SHA512_LEN + 1], name[UUID_TEXT_LEN + 1];

    uuid_new(name);
    digest_hex(digest, hex);
    blob_path(store, digest, path);
    (void)snprintf(aside, sizeof(aside), "%s/aside", store->root);
    if (file_mkdirs(aside, 0700, err) != 0)
        return -1;
    (void)snprintf(aside, sizeof(aside), "%s/aside/%.64s.%s", store->root, hex, name);
    if (rename(path, aside) != 0 && errno != ENOENT)
        return fail_errno(err, "set a damaged blob aside");
    hot_forget(store->hot, digest);
    return 0;
}

/* Being renamed is the last that happened to such a file: its ctime says when. */
static int directory_sweep_aside(struct blob_store *base, int64_t keep_s, int64_t *ret_removed,
                                 struct error *err)
{
    char path[PATH_MAX];
    const struct dirent *entry;
    struct timespec now;
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s/aside", store_of(base)->root);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    _cleanup_(closedirp) DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? 0 : fail_errno(err, "open the folder of damaged blobs");
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.' ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            now.tv_sec - st.st_ctim.tv_sec < keep_s)
            continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) != 0 && errno != ENOENT)
            return fail_errno(err, "remove a damaged blob");
        (*ret_removed)++;
        if (FAILPOINT("walk.after_aside"))
            return fail_errno(err, "remove a damaged blob");
    }
    return 0;
}

static void directory_rest(struct blob_store *base)
{
    hot_rest(store_of(base)->hot);
}

const struct blob_driver blob_directory_driver = {
    .name = "directory",
    .open = directory_open,
    .close = directory_close,
    .begin = directory_begin,
    .write = directory_write,
    .finish = directory_finish,
    .read_back = directory_read_back,
    .describe = directory_describe,
    .commit = directory_commit,
    .discard = directory_discard,
    .get = directory_get,
    .get_now = directory_get_now,
    .read = directory_read,
    .read_now = directory_read_now,
    .plain = directory_plain,
    .release = directory_release,
    .exists = directory_exists,
    .remove = directory_remove,
    .sweep = directory_sweep,
    .list = directory_list,
    .set_aside = directory_set_aside,
    .sweep_aside = directory_sweep_aside,
    .rest = directory_rest,
};

/* The directory of sources. The layout, and folder_of() is the only function that makes paths of it:
 *
 *   <region's blobs>/sources/<registry's uid>/<source>/list          names of its blocks, one a line
 *                                                     /lock          held by who writes a list
 *                                                     /<64 hex>      a block, sealed
 *                                                     /tmp-<uuid>    a block under way
 *
 * Names come from uids, digests and uuid_new(), never from a client's text. What no list names goes when
 * a list is written; what a killed process left goes with its source. */
#include "controlplane/storage/sources.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/crypto/seal.h"

#include "controlplane/control.h"
#include "controlplane/provision/region.h"
#include "controlplane/storage/block_list.h"

#define SOURCE_DIR "source/"
#define SOURCE_END ".tar.gz"
#define DAY_CHARS  8
#define HEX_DIGITS "0123456789abcdef"
#define TMP_PREFIX "tmp-"
/* Of a source's folder: what is being replaced is there beside what replaces it. */
#define FOLDER_MAX_BYTES (2 * SOURCE_MAX_BYTES)
#define FOLDER_MAX_FILES (BLOCKS_MAX + 2) /* list and lock */
#define NAME_LEN         (2 * SHA256_LEN)

const struct error_code E_SOURCE_TOO_LARGE = { "RequestBodyTooLarge", 413 };
const struct error_code E_SOURCES_FULL = { "TooManySources", 409 };
const struct error_code E_SOURCE_EXISTS = { "BlobAlreadyExists", 409 };

struct source_write {
    struct arena *arena;
    const char *folder, *tmp, *path; /* tmp is NULL once it is renamed */
    bool is_whole;
    char name[NAME_LEN + 1];
    int fd;
    struct sealer *sealer;
    uint8_t chunk[SEAL_CHUNK_BYTES + SEAL_TAG_BYTES]; /* may turn out to be the last */
    size_t filled;
    int64_t taken, room; /* plain bytes */
};

/* --- names --------------------------------------------------------------------------------------- */

char *source_path_new(struct arena *a)
{
    uint8_t chance[SOURCE_NAME_CHARS / 2];
    const char *now = clock_rfc3339(a, clock_wall_us());

    random_bytes(chance, sizeof(chance));
    return arena_printf(a, SOURCE_DIR "%.4s%.2s%.2s/%s" SOURCE_END, now, now + 5, now + 8,
                        text_hex(a, chance, sizeof(chance)));
}

char *source_name_of(struct arena *a, const char *path)
{
    const char *day = path + strlen(SOURCE_DIR), *name = day + DAY_CHARS + 1;

    if (!text_starts(path, SOURCE_DIR) || strspn(day, HEX_DIGITS) != DAY_CHARS ||
        day[DAY_CHARS] != '/' || strspn(name, HEX_DIGITS) != SOURCE_NAME_CHARS ||
        !text_eq(name + SOURCE_NAME_CHARS, SOURCE_END))
        return NULL;
    return arena_strndup(a, name, SOURCE_NAME_CHARS);
}

char *sources_folder(struct arena *a, const struct region *region, const char *registry_uid)
{
    return arena_printf(a, "%s/sources/%s", region->blobs_url, registry_uid);
}

static char *folder_of(struct arena *a, const struct source *source)
{
    return arena_printf(a, "%s/%s", sources_folder(a, source->region, source->registry_uid),
                        source->name);
}

static void name_of(const char *text, char ret[NAME_LEN + 1])
{
    char hex[2 * SHA512_LEN + 1];
    struct digest d;

    digest_of(DIGEST_SHA256, text, strlen(text), &d);
    digest_hex(&d, hex);
    memcpy(ret, hex, NAME_LEN);
    ret[NAME_LEN] = '\0';
}

/* --- looking around ------------------------------------------------------------------------------ */

static bool is_dots(const char *name)
{
    return text_eq(name, ".") || text_eq(name, "..");
}

/* How much is in a folder; one that is not there has nothing. */
static int measure(const char *folder, int64_t *ret_count, int64_t *ret_bytes, struct error *err)
{
    _cleanup_(closedirp) DIR *dir = opendir(folder);
    const struct dirent *entry;
    struct stat st;

    *ret_count = *ret_bytes = 0;
    if (!dir)
        return errno == ENOENT ? 0 : fail_errno(err, "open %s", folder);
    while ((entry = readdir(dir))) {
        if (is_dots(entry->d_name) ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        *ret_count += 1;
        *ret_bytes += st.st_size;
    }
    return 0;
}

/* Makes the source's folder, unless the registry has too many. */
static int make_folder(struct arena *a, const struct source *source, const char *folder,
                       struct error *err)
{
    const char *above = sources_folder(a, source->region, source->registry_uid);
    int64_t count = 0, bytes = 0;

    if (file_exists(folder))
        return 0;
    if (measure(above, &count, &bytes, err))
        return -1;
    if (count >= SOURCES_MAX)
        return fail(err, &E_SOURCES_FULL,
                    "The registry has %d sources. Each is kept for %d hours; upload again when the "
                    "oldest is gone.",
                    SOURCES_MAX, SOURCE_KEPT_S / 3600);
    return file_mkdirs(folder, 0700, err) || file_fsync_dir(above, err) ? -1 : 0;
}

static int find_room(struct source_write *w, struct error *err)
{
    int64_t count = 0, bytes = 0, most = w->is_whole ? SOURCE_MAX_BYTES : BLOCK_MAX_BYTES;

    if (measure(w->folder, &count, &bytes, err))
        return -1;
    if (count >= FOLDER_MAX_FILES || bytes > FOLDER_MAX_BYTES)
        return fail(err, &E_SOURCE_TOO_LARGE,
                    "A source has at most %lld bytes and %d blocks.", (long long)SOURCE_MAX_BYTES,
                    BLOCKS_MAX);
    w->room = FOLDER_MAX_BYTES - bytes < most ? FOLDER_MAX_BYTES - bytes : most;
    return 0;
}

/* --- one block ----------------------------------------------------------------------------------- */

/* A key of the registry's own, which follows from the service key; the name binds the bytes to their
 * place. */
static int start_file(struct source_write *w, const struct source *source, struct error *err)
{
    const char *key_name = arena_printf(w->arena, "sources of %s", source->registry_uid);
    const struct service_key *service = &source->control->service_key;
    uint8_t key[SHA256_LEN], header[SEAL_HEADER_BYTES];

    w->fd = open(w->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (w->fd < 0)
        return fail_errno(err, "create %s", w->tmp);
    hmac_sha256(service->bytes, sizeof(service->bytes), key_name, strlen(key_name), key);
    w->sealer = sealer_new(key, 0, arena_printf(w->arena, "%s/%s", source->name, w->name), header);
    secret_cleanse(key, sizeof(key));
    return file_write_all(w->fd, header, sizeof(header)) ? fail_errno(err, "write a source") : 0;
}

int source_begin(const struct source *source, const char *block_id, struct source_write **ret,
                 struct error *err)
{
    struct arena *a = arena_new();
    struct source_write *w = ARENA_NEW(a, struct source_write);
    char uuid[UUID_TEXT_LEN + 1];

    uuid_new(uuid);
    w->arena = a;
    w->fd = -1;
    w->is_whole = !block_id;
    w->folder = folder_of(a, source);
    w->tmp = arena_printf(a, "%s/" TMP_PREFIX "%s", w->folder, uuid);
    /* A whole source is a block that no id names, so that it replaces another in one step. */
    name_of(block_id ? block_id : w->tmp, w->name);
    w->path = arena_printf(a, "%s/%s", w->folder, w->name);
    *ret = w;
    return make_folder(a, source, w->folder, err) || find_room(w, err) ||
                   start_file(w, source, err)
               ? -1
               : 0;
}

static int put_chunk(struct source_write *w, bool is_last, struct error *err)
{
    size_t len = w->filled;

    sealer_chunk(w->sealer, w->chunk, len, is_last, w->chunk);
    w->filled = 0;
    if (file_write_all(w->fd, w->chunk, len + SEAL_TAG_BYTES))
        return fail_errno(err, "write a source");
    return 0;
}

int source_add(struct source_write *w, const void *bytes, size_t len, struct error *err)
{
    const uint8_t *at = bytes;

    w->taken += (int64_t)len;
    if (w->taken > w->room)
        return fail(err, &E_SOURCE_TOO_LARGE,
                    "The request body is too large: a source has at most %lld bytes, and one block "
                    "of it %lld.",
                    (long long)SOURCE_MAX_BYTES, (long long)BLOCK_MAX_BYTES);
    while (len > 0) {
        size_t part = SEAL_CHUNK_BYTES - w->filled;

        if (part == 0) {
            if (put_chunk(w, false, err))
                return -1;
            continue;
        }
        part = part < len ? part : len;
        memcpy(w->chunk + w->filled, at, part);
        w->filled += part;
        at += part;
        len -= part;
    }
    return 0;
}

/* --- the list ------------------------------------------------------------------------------------ */

static char *list_path(struct arena *a, const char *folder)
{
    return arena_printf(a, "%s/list", folder);
}

/* What a list names no more goes; blocks under way are somebody's. At best: it is debris. */
static void drop_others(const char *folder, const char *list)
{
    _cleanup_(closedirp) DIR *dir = opendir(folder);
    const struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        if (strlen(entry->d_name) == NAME_LEN && !text_has_line(list, entry->d_name, NAME_LEN))
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    }
}

/* Between this and put_list() nobody else's list takes the blocks away. */
static int hold_list(struct arena *a, const char *folder, struct error *err)
{
    return file_lock(arena_printf(a, "%s/lock", folder), err);
}

static int put_list(struct arena *a, const char *folder, const char *list, struct error *err)
{
    if (file_replace(list_path(a, folder), list, strlen(list), 0600, err))
        return -1;
    drop_others(folder, list);
    return 0;
}

/* The block has its name, for good. */
static int place(struct source_write *w, struct error *err)
{
    if (rename(w->tmp, w->path) < 0)
        return fail_errno(err, "rename %s", w->tmp);
    w->tmp = NULL;
    return file_fsync_dir(w->folder, err);
}

static int place_whole(struct source_write *w, struct error *err)
{
    _cleanup_(closep) int lock = hold_list(w->arena, w->folder, err);

    return lock < 0 || place(w, err) ||
                   put_list(w->arena, w->folder, arena_printf(w->arena, "%s\n", w->name), err)
               ? -1
               : 0;
}

int source_end(struct source_write *w, struct error *err)
{
    if (put_chunk(w, true, err))
        return -1;
    if (fsync(w->fd) < 0)
        return fail_errno(err, "fsync %s", w->tmp);
    return w->is_whole ? place_whole(w, err) : place(w, err);
}

void source_free(struct source_write *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        (void)close(w->fd);
    if (w->tmp)
        (void)unlink(w->tmp);
    sealer_free(w->sealer);
    secret_cleanse(w->chunk, sizeof(w->chunk));
    arena_free(w->arena);
}

/* The bytes of what is sealed in a file of that size. */
static int64_t plain_bytes(int64_t file_bytes)
{
    int64_t sealed = file_bytes - SEAL_HEADER_BYTES, chunk = SEAL_CHUNK_BYTES + SEAL_TAG_BYTES;

    return sealed - (sealed + chunk - 1) / chunk * SEAL_TAG_BYTES;
}

/* What the list of these blocks says, and how much they are. */
static int list_blocks(struct arena *a, const char *folder, const char *const *block_ids,
                       size_t count, const char **ret, int64_t *ret_bytes, struct error *err)
{
    char *list = arena_alloc(a, count * (NAME_LEN + 1) + 1), *at = list;
    struct stat st;

    *ret_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        char name[NAME_LEN + 1];

        name_of(block_ids[i], name);
        if (lstat(arena_printf(a, "%s/%s", folder, name), &st) < 0)
            return errno == ENOENT || errno == ENOTDIR
                       ? fail(err, &E_BLOCK_LIST, "The specified block list is invalid: there is no "
                                                  "block '%s'.", block_ids[i])
                       : fail_errno(err, "block of %s", folder);
        *ret_bytes += plain_bytes(st.st_size);
        memcpy(at, name, NAME_LEN);
        at[NAME_LEN] = '\n';
        at += NAME_LEN + 1;
    }
    *at = '\0';
    *ret = list;
    return 0;
}

int source_commit(struct arena *a, const struct source *source, const char *const *block_ids,
                  size_t count, struct error *err)
{
    const char *folder = folder_of(a, source), *list = NULL;
    int64_t bytes = 0;

    if (count == 0)
        return fail(err, &E_BLOCK_LIST, "The specified block list is invalid: it names no block.");
    if (!file_exists(folder))
        return fail(err, &E_BLOCK_LIST, "The specified block list is invalid: there is no block '%s'.",
                    block_ids[0]);
    _cleanup_(closep) int lock = hold_list(a, folder, err);
    if (lock < 0 || list_blocks(a, folder, block_ids, count, &list, &bytes, err))
        return -1;
    if (bytes > SOURCE_MAX_BYTES)
        return fail(err, &E_SOURCE_TOO_LARGE, "A source has at most %lld bytes.",
                    (long long)SOURCE_MAX_BYTES);
    return put_list(a, folder, list, err);
}

bool source_exists(struct arena *a, const struct source *source)
{
    return file_exists(list_path(a, folder_of(a, source)));
}

/* --- sweeping ------------------------------------------------------------------------------------ */

/* A folder's time is when something in it last came, went or was renamed. */
static bool is_old(int at, const char *name, int64_t now_s)
{
    struct stat st;

    return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
           st.st_mtim.tv_sec < now_s - SOURCE_KEPT_S;
}

static int sweep_registry(struct arena *a, const char *folder, int64_t now_s, struct error *err)
{
    _cleanup_(closedirp) DIR *dir = opendir(folder);
    const struct dirent *entry;

    if (!dir)
        return errno == ENOENT || errno == ENOTDIR ? 0 : fail_errno(err, "open %s", folder);
    while ((entry = readdir(dir))) {
        if (!is_dots(entry->d_name) && is_old(dirfd(dir), entry->d_name, now_s) &&
            file_remove_tree(arena_printf(a, "%s/%s", folder, entry->d_name), err))
            return -1;
    }
    return 0;
}

int sources_sweep(struct arena *a, const struct region *region, int64_t now_s, struct error *err)
{
    const char *root = arena_printf(a, "%s/sources", region->blobs_url);
    _cleanup_(closedirp) DIR *dir = opendir(root);
    const struct dirent *entry;

    if (!dir)
        return errno == ENOENT ? 0 : fail_errno(err, "open %s", root);
    while ((entry = readdir(dir))) {
        if (is_dots(entry->d_name))
            continue;
        if (sweep_registry(a, arena_printf(a, "%s/%s", root, entry->d_name), now_s, err))
            return -1;
        /* Only an empty one goes. */
        if (is_old(dirfd(dir), entry->d_name, now_s))
            (void)unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
    }
    return 0;
}

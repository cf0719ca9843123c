/* Whole-file work. Replacement is durable before it returns: bytes, then name. The temporary file
 * is hidden (leading dot), so that whoever scans the directory passes over one that a killed
 * process left behind. */
#include "common/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"

/* Open directories at once while a tree is removed. */
#define TREE_DEPTH_MAX 128

int file_write_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Splits "dir/name" ("name" is in "."); returns the name, NULL when the path is too long. */
static const char *split_path(const char *path, char dir[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : 0;

    if (len >= PATH_MAX - NAME_MAX)
        return NULL;
    if (!slash) {
        memcpy(dir, ".", 2);
    } else if (len == 0) {
        memcpy(dir, "/", 2);
    } else {
        memcpy(dir, path, len);
        dir[len] = '\0';
    }
    return slash ? slash + 1 : path;
}

int file_read(struct arena *a, const char *path, size_t max_bytes, char **ret, size_t *ret_len,
              struct error *err)
{
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_(str_done) struct str content;
    char buffer[16384];
    ssize_t n;

    str_init(&content, max_bytes);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return fail_cause(err, &E_NOT_FOUND, "open %s: no such file", path);
    if (fd < 0)
        return fail_errno(err, "open %s", path);
    do {
        n = read(fd, buffer, sizeof(buffer));
        if (n < 0 && errno != EINTR)
            return fail_errno(err, "read %s", path);
        if (n > 0)
            str_append(&content, buffer, (size_t)n);
        if (content.is_overflown)
            return fail_cause(err, &E_TOO_LARGE, "%s is larger than %zu bytes", path, max_bytes);
    } while (n != 0);
    *ret = str_copy(&content, a);
    if (ret_len)
        *ret_len = content.len;
    return 0;
}

int file_replace(const char *path, const void *bytes, size_t len, mode_t mode, struct error *err)
{
    char dir[PATH_MAX];
    char temporary[PATH_MAX + 16];
    const char *name = split_path(path, dir);

    int n = name ? snprintf(temporary, sizeof(temporary), "%s/.%s.XXXXXX", dir, name) : -1;
    if (n < 0 || (size_t)n >= sizeof(temporary)) {
        errno = ENAMETOOLONG;
        return fail_errno(err, "%s", path);
    }
    _cleanup_(closep) int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return fail_errno(err, "create %s", temporary);
    if (fchmod(fd, mode) < 0 || file_write_all(fd, bytes, len) < 0 || fsync(fd) < 0 ||
        rename(temporary, path) < 0) {
        (void)fail_errno(err, "replace %s", path);
        (void)unlink(temporary);
        return -1;
    }
    return file_fsync_dir(dir, err);
}

int file_mkdirs(const char *path, mode_t mode, struct error *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    struct stat st;

    if (len == 0 || len >= sizeof(part)) {
        errno = len ? ENAMETOOLONG : ENOENT;
        return fail_errno(err, "make directory %s", path);
    }
    memcpy(part, path, len + 1);
    for (size_t i = 1; i <= len; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        char kept = part[i];
        part[i] = '\0';
        if (mkdir(part, mode) < 0 && errno != EEXIST)
            return fail_errno(err, "make directory %s", part);
        part[i] = kept;
    }
    if (stat(path, &st) < 0)
        return fail_errno(err, "make directory %s", path);
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return fail_errno(err, "make directory %s", path);
    }
    return 0;
}

/* Removes `name` in the directory behind `at`; someone else removing it meanwhile is fine. */
static int remove_at(int at, const char *name, int depth)
{
    if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -1;
    if (depth == TREE_DEPTH_MAX) {
        errno = ELOOP;
        return -1;
    }
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    _cleanup_(closedirp) DIR *dir = fdopendir(fd);
    if (!dir) {
        int reason = errno;
        (void)close(fd);
        errno = reason;
        return -1;
    }
    struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (remove_at(dirfd(dir), entry->d_name, depth + 1) < 0)
            return -1;
    }
    if (errno != 0)
        return -1;
    return unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

int file_remove_tree(const char *path, struct error *err)
{
    struct stat st;

    if (lstat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    return remove_at(AT_FDCWD, path, 0) < 0 ? fail_errno(err, "remove %s", path) : 0;
}

int file_fsync_dir(const char *path, struct error *err)
{
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || fsync(fd) < 0)
        return fail_errno(err, "fsync %s", path);
    return 0;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

int file_lock(const char *path, struct error *err)
{
    _cleanup_(closep) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return fail_errno(err, "open %s", path);
    while (flock(fd, LOCK_EX) < 0) {
        if (errno != EINTR)
            return fail_errno(err, "lock %s", path);
    }
    return take_fd(&fd);
}

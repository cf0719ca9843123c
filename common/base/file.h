/* Whole-file work on local paths: reading with a cap, atomic durable replacement, trees. */
#ifndef PORTOLAN_BASE_FILE_H
#define PORTOLAN_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/cleanup.h"

struct arena;
struct error;

/* The file's bytes, NUL-terminated, in the arena. E_NOT_FOUND when absent, E_TOO_LARGE past max. */
MUST_CHECK int file_read(struct arena *a, const char *path, size_t max_bytes, char **ret,
                         size_t *ret_len, struct error *err);
/* All of the bytes, from where the descriptor stands; goes on after signals and short writes. -1 with
 * errno set. */
MUST_CHECK int file_write_all(int fd, const void *bytes, size_t len);
/* Writes a temporary file beside path, fsyncs it, renames it over path, fsyncs the directory. */
MUST_CHECK int file_replace(const char *path, const void *bytes, size_t len, mode_t mode,
                            struct error *err);
MUST_CHECK int file_mkdirs(const char *path, mode_t mode, struct error *err);
/* Removes path and all below it, without following symbolic links; absent is success. */
MUST_CHECK int file_remove_tree(const char *path, struct error *err);
MUST_CHECK int file_fsync_dir(const char *path, struct error *err);
bool file_exists(const char *path);
/* Waits for its turn at the file, which is made when it is absent. A descriptor: closing it, or the end
 * of the process, gives the turn to the next, in whatever process. */
MUST_CHECK int file_lock(const char *path, struct error *err);

#endif

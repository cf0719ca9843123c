/* An open file of the directory driver, sealed or plain, seen as its content. Private to
 * dataplane/blobs. */
#ifndef PORTOLAN_BLOBS_VIEW_H
#define PORTOLAN_BLOBS_VIEW_H

#include <stdint.h>
#include <sys/types.h>

#include "common/base/cleanup.h"
#include "dataplane/blobs/chunks.h"

struct error;
struct opener;

struct view {
    int fd;
    uint64_t size;              /* of the plain content */
    struct opener *opener;      /* NULL: plain */
    struct chunk_cache *chunks; /* NULL: none */
    uint8_t salt[BLOB_SALT_BYTES];
    uint8_t *own; /* without a cache: the chunk last opened for a read that did not cover it */
    uint64_t own_index;
    size_t own_len; /* 0: none */
};

/* What view_read says instead of waiting for the disk. */
#define VIEW_LATER BLOB_LATER

/* How many bytes of the file itself were read: fewer than len only at its end. */
MUST_CHECK ssize_t view_read_file(int fd, void *buf, size_t len, uint64_t offset,
                                  struct error *err);
/* Takes opener. fd stays the caller's. chunks may be NULL. */
void view_init(struct view *v, int fd, uint64_t size, struct opener *opener, const uint8_t *salt,
               struct chunk_cache *chunks);
void view_done(struct view *v);
/* Up to cap bytes of the content; 0 only at its end. With is_now fewer may come, and VIEW_LATER
 * when the disk would have to be waited for. */
MUST_CHECK ssize_t view_read(struct view *v, uint64_t offset, void *buf, size_t cap, bool is_now,
                             struct error *err);

#endif

/* Upload sessions: bytes on their way into one repository, in a temporary file of this process.
 * They end with the process, so after a restart a session answers BLOB_UPLOAD_UNKNOWN and the
 * client begins again. A session belongs to its repository and identity, serves one request at a
 * time, and expires when idle. */
#ifndef PORTOLAN_OCI_UPLOAD_H
#define PORTOLAN_OCI_UPLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct blob_store;
struct blob_writer;
struct error;
struct identity;

#define UPLOADS_PER_IDENTITY 256
#define UPLOADS_MAX          1024
#define UPLOAD_IDLE_MS       ((int64_t)24 * 3600 * 1000)

struct upload {
    char id[37];
    struct blob_writer *writer;
    int64_t started_s, used_s; /* wall clock */
};

struct uploads;
struct uploads *uploads_new(struct blob_store *blobs);
void uploads_free(struct uploads *t); /* with every session and its temporary file */

/* A new session, held by the caller. E_TOO_MANY past the limits. */
MUST_CHECK int upload_start(struct uploads *t, const char *repository, const struct identity *id,
                            bool has_sha512, struct upload **ret, struct error *err);
/* Holds a session. E_BLOB_UPLOAD_UNKNOWN when there is none such for this caller,
 * E_BLOB_UPLOAD_BUSY while another request holds it. */
MUST_CHECK int upload_hold(struct uploads *t, const char *session, const char *repository,
                           const struct identity *id, struct upload **ret, struct error *err);
void upload_release(struct uploads *t, struct upload *u); /* for the next request */
void upload_end(struct uploads *t, struct upload *u);     /* of a held one: gone with its bytes */
/* When a session of the repository began and was last used; false when there is none such. */
bool upload_times(struct uploads *t, const char *session, const char *repository,
                  int64_t *ret_started_s, int64_t *ret_used_s);
/* Ends sessions idle for longer than UPLOAD_IDLE_MS; returns how many remain. */
unsigned uploads_sweep(struct uploads *t);

#endif

/* The blob store: content addressed by digest, one tree per registry, behind one table of
 * operations. What a driver must do is what tests/unit/test_blobs.c runs over every driver.
 *
 * A put is written under a temporary name, made durable by finish(), and appears under its digest
 * by commit(), which is durable when it returns. Readers never see half a blob. Several threads may
 * use one store; a put or a reader belongs to one thread at a time. */
#ifndef PORTOLAN_BLOBS_BLOBS_H
#define PORTOLAN_BLOBS_BLOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/cleanup.h"
#include "common/crypto/digest.h"

struct arena;
struct aside;
struct error;

#define BLOB_SALT_BYTES 24
#define BLOB_LATER      (-2) /* what read_now says instead of waiting */
#define BLOB_PARTS      256

struct blob_config {
    const char *root;        /* of this registry's tree */
    const char *registry_id; /* part of what encryption binds a file to */
    const uint8_t *key;      /* SEAL_KEY_BYTES; NULL: neither sealed files are written nor read */
    uint32_t epoch;          /* of key */
    bool is_sealing;         /* new blobs are encrypted */
    uint64_t hot_bytes;      /* most memory for opened content that is read again and again */
};

/* How a stored blob is to be read: what the database says of it. */
struct blob_ref {
    struct digest digest; /* the name it is stored under */
    uint64_t size;
    bool is_sealed;
    uint8_t salt[BLOB_SALT_BYTES]; /* of the sealed file; another one there means a swapped file */
};

struct blob_store;
struct blob_put;
struct blob_reader;

/* A whole blob to send from. */
struct blob_plain {
    const uint8_t *bytes; /* the reader's; NULL: by the descriptor */
    int fd;               /* the caller's; -1: none */
};

struct blob_driver {
    const char *name;
    int (*open)(const struct blob_config *config, struct blob_store **ret, struct error *err);
    void (*close)(struct blob_store *store);

    int (*begin)(struct blob_store *store, struct blob_put **ret, struct error *err);
    int (*write)(struct blob_put *put, const void *bytes, size_t len, struct error *err);
    int (*finish)(struct blob_put *put, struct error *err);
    /* Of a finished put: like read(), and what its blob_ref will say. */
    ssize_t (*read_back)(struct blob_put *put, uint64_t offset, void *buf, size_t cap,
                         struct error *err);
    void (*describe)(const struct blob_put *put, struct blob_ref *ret);
    /* May be called again after success. Replaces what stands under that digest. */
    int (*commit)(struct blob_put *put, const struct digest *digest, struct error *err);
    void (*discard)(struct blob_put *put); /* frees; the temporary file goes unless committed */

    int (*get)(struct blob_store *store, const struct blob_ref *ref, struct blob_reader **ret,
               struct error *err); /* 1 found, 0 absent, -1 */
    /* Like get, for a thread that may not block: 0 also when it would have to be waited for. The
     * reader is good for plain, and of a sealed blob for reading, too. */
    int (*get_now)(struct blob_store *store, const struct blob_ref *ref,
                   struct blob_reader **ret);
    /* Fills up to cap bytes at offset; 0 only at the end. E_INTERNAL for content that is not
     * authentic: wrong bytes are never returned. */
    ssize_t (*read)(struct blob_reader *reader, uint64_t offset, void *buf, size_t cap,
                    struct error *err);
    /* Like read, for a thread that may not block: fewer bytes may come, and BLOB_LATER when the
     * store would have to be waited for. Other errors may show as BLOB_LATER too: read tells. */
    ssize_t (*read_now)(struct blob_reader *reader, uint64_t offset, void *buf, size_t cap,
                        struct error *err);
    /* What can be sent without reading; false when there is none such. The reader is then kept until
     * it is sent, and not read from any more; one of a sealed blob may be. */
    bool (*plain)(struct blob_reader *reader, struct blob_plain *ret);
    void (*release)(struct blob_reader *reader);

    int (*exists)(struct blob_store *store, const struct digest *digest, struct error *err);
    int (*remove)(struct blob_store *store, const struct digest *digest,
                  struct error *err);                          /* absent is success */
    int (*sweep)(struct blob_store *store, struct error *err); /* temporary files of the dead */
    /* The digests in one of BLOB_PARTS parts of the store, in the arena. */
    int (*list)(struct blob_store *store, unsigned part, struct arena *a, struct digest **ret,
                size_t *ret_count, struct error *err);
    /* Takes damaged content away from readers and keeps it for inspection; absent is success. */
    int (*set_aside)(struct blob_store *store, const struct digest *digest, struct error *err);
    /* Ends what was set aside more than keep_s ago; adds their number. */
    int (*sweep_aside)(struct blob_store *store, int64_t keep_s, int64_t *ret_removed,
                       struct error *err);
    /* Called now and then: gives back memory that readers have no more use for. */
    void (*rest)(struct blob_store *store);
};

/* Every store begins with this. */
struct blob_store {
    const struct blob_driver *driver;
    struct aside *aside; /* for hashing beside writing */
};

extern const struct blob_driver blob_directory_driver;
/* NULL-terminated, for tests and for choosing by URL. */
extern const struct blob_driver *const blob_drivers[];

/* A put that hashes what it stores. sha256 runs always; sha512 from the start when hinted, else by
 * reading the stored bytes again. */
struct blob_writer;
MUST_CHECK int blob_writer_new(struct blob_store *store, bool has_sha512, struct blob_writer **ret,
                               struct error *err);
void blob_writer_free(struct blob_writer *w); /* discards what was not committed; NULL accepted */
MUST_CHECK int blob_writer_add(struct blob_writer *w, const void *bytes, size_t len,
                               struct error *err);
uint64_t blob_writer_size(const struct blob_writer *w);
/* Makes the bytes durable; nothing can be added afterwards. May be called again. */
MUST_CHECK int blob_writer_finish(struct blob_writer *w, struct error *err);
MUST_CHECK int blob_writer_digest(struct blob_writer *w, enum digest_algorithm algorithm,
                                  struct digest *ret, struct error *err);
/* Of a finished writer: its sha256, size and encryption. */
void blob_writer_ref(const struct blob_writer *w, struct blob_ref *ret);
/* Puts the bytes under their sha256. May be called again. */
MUST_CHECK int blob_writer_commit(struct blob_writer *w, struct error *err);

#endif

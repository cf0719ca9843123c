/* GET, HEAD and DELETE of blobs, and the root of the API (OCI dist-spec end-1, end-2, end-10). */
#include "dataplane/oci/routes.h"

#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/http/range.h"
#include "dataplane/auth/link.h"
#include "dataplane/auth/transfer.h"
#include "dataplane/call.h"
#include "dataplane/oci/content.h"
#include "dataplane/oci/reply.h"
#include "dataplane/plane.h"
#include "dataplane/rules/suspects.h"

#define BLOB_TYPE "application/octet-stream"

struct open_blob {
    const struct blob_driver *driver;
    struct blob_reader *reader;
    struct suspects *suspects;
    struct digest digest; /* what the store knows it by */
    uint64_t offset;      /* of the range */
    struct transfer transfer;
};

enum http_verdict oci_root(struct http_request *req)
{
    http_reply_bytes(req, 200, "application/json; charset=utf-8", "{}", 2);
    return HTTP_ANSWERED;
}

void oci_root_run(struct http_request *req)
{
    (void)oci_root(req);
}

static bool read_digest(struct http_request *req, struct digest *ret)
{
    if (digest_parse(req->params[1], ret))
        return true;
    reply_error_detail(req, &E_DIGEST_INVALID, "provided digest did not match the grammar", NULL);
    return false;
}

static void blob_headers(struct http_request *req)
{
    http_reply_header(req, "Docker-Content-Digest", req->params[1]);
    http_reply_headerf(req, "ETag", "\"%s\"", req->params[1]);
    http_reply_header(req, "Accept-Ranges", "bytes");
    http_reply_header(req, "Cache-Control", "private, max-age=31536000, immutable");
}

static void reply_head(struct http_request *req, uint64_t size)
{
    blob_headers(req);
    http_reply_header(req, "Content-Type", BLOB_TYPE);
    http_reply_headerf(req, "Content-Length", "%" PRIu64, size);
    http_reply_empty(req, 200);
}

enum http_verdict oci_blob_head_fast(struct http_request *req)
{
    struct content_cache *cache = call_of(req)->plane->cache;
    struct blob_ref ref;

    /* Only valid names and digests are ever in the cache. */
    struct http_stock *stock = content_cache_blob_stock(cache, req->params[0], req->params[1]);
    bool is_answered = stock && http_reply_stocked(req, stock);
    if (!is_answered && content_cache_blob(cache, req->params[0], req->params[1], &ref)) {
        reply_head(req, ref.size);
        if (stock)
            http_reply_keep(req, stock);
        is_answered = true;
    }
    http_stock_unref(stock);
    return is_answered ? HTTP_ANSWERED : HTTP_NEEDS_WORKER;
}

static ssize_t source_read(void *ctx, uint64_t offset, void *buf, size_t cap, struct error *err)
{
    struct open_blob *open = ctx;
    ssize_t n = open->driver->read(open->reader, open->offset + offset, buf, cap, err);

    if (n < 0)
        suspects_note(open->suspects, &open->digest);
    return n;
}

static ssize_t source_read_now(void *ctx, uint64_t offset, void *buf, size_t cap, struct error *err)
{
    struct open_blob *open = ctx;
    ssize_t n = open->driver->read_now(open->reader, open->offset + offset, buf, cap, err);

    if (n == BLOB_LATER)
        return HTTP_SOURCE_LATER;
    if (n < 0)
        suspects_note(open->suspects, &open->digest);
    return n;
}

static void source_over(void *ctx)
{
    struct open_blob *open = ctx;

    transfer_end(&open->transfer);
}

static void source_close(void *ctx)
{
    struct open_blob *open = ctx;

    transfer_end(&open->transfer);
    open->driver->release(open->reader);
    free(open);
}

static const struct http_source blob_source = { .read = source_read,
                                                .read_now = source_read_now,
                                                .over = source_over,
                                                .close = source_close };

/* What of a blob is asked for. */
struct part {
    enum range_verdict verdict;
    uint64_t offset, len;
};

static struct part part_of(const struct http_request *req, const struct blob_ref *ref)
{
    struct part part = { .offset = 0, .len = ref->size };

    part.verdict = range_parse(http_header(req, "Range"), ref->size, &part.offset, &part.len);
    if (part.verdict != RANGE_PART) {
        part.offset = 0;
        part.len = ref->size;
    }
    return part;
}

/* Takes the reader over, and what it gave to send from; NULL: the bytes are read. */
static void reply_content(struct http_request *req, const struct blob_driver *driver,
                          struct blob_reader *reader, const struct blob_plain *plain,
                          const struct blob_ref *ref, const struct part *part)
{
    int status = part->verdict == RANGE_PART ? 206 : 200;

    if (part->verdict == RANGE_PART)
        http_reply_headerf(req, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                           part->offset, part->offset + part->len - 1, ref->size);
    blob_headers(req);
    struct open_blob *open = calloc(1, sizeof(*open));
    if (!open)
        abort();
    *open = (struct open_blob){ .driver = driver,
                                .reader = reader,
                                .suspects = call_of(req)->plane->suspects,
                                .digest = ref->digest,
                                .offset = part->offset };
    transfer_begin(&open->transfer, req);
    if (!plain)
        http_reply_source(req, status, BLOB_TYPE, part->len, &blob_source, open);
    else if (plain->bytes)
        http_reply_shared(req, status, BLOB_TYPE, plain->bytes + part->offset, (size_t)part->len,
                          source_close, open);
    else
        http_reply_fd_held(req, status, BLOB_TYPE, plain->fd, part->offset, part->len,
                           source_close, open);
}

/* The bytes are not where the reference says. The collector may have taken the blob since it was
 * looked up; then it is unknown, like any other. */
static void fail_missing(struct http_request *req, struct error *err)
{
    struct digest digest;
    struct blob_ref again;

    content_cache_forget_one(call_of(req)->plane->cache, req->params[0], req->params[1]);
    int status = digest_parse(req->params[1], &digest)
                     ? content_blob(call_of(req), req->arena, req->params[0], &digest, &again, err)
                     : 0;
    if (status == 1)
        (void)fail_cause(err, &E_INTERNAL, "a blob the database names is not in the store");
    else if (status == 0)
        (void)fail_at(err, &E_BLOB_UNKNOWN, req->params[1], "blob unknown to registry");
}

static void send_blob(struct http_request *req, const struct blob_ref *ref)
{
    struct blob_store *store = call_of(req)->plane->blobs;
    struct blob_reader *reader = NULL;
    struct error err = { 0 };
    struct part part = part_of(req, ref);

    if (part.verdict == RANGE_UNSATISFIABLE) {
        http_reply_headerf(req, "Content-Range", "bytes */%" PRIu64, ref->size);
        reply_error_detail(req, &E_RANGE_INVALID, "the range is not within the blob", NULL);
        return;
    }
    int status = store->driver->get(store, ref, &reader, &err);
    if (status == 0)
        fail_missing(req, &err);
    else if (status < 0) /* a push elsewhere may have healed it since it was looked up */
        content_cache_forget_one(call_of(req)->plane->cache, req->params[0], req->params[1]);
    if (status != 1) {
        if (err.code != &E_BLOB_UNKNOWN)
            suspects_note(call_of(req)->plane->suspects, &ref->digest);
        reply_error(req, &err);
        return;
    }
    struct blob_plain plain;
    bool is_plain = store->driver->plain(reader, &plain);
    reply_content(req, store->driver, reader, is_plain ? &plain : NULL, ref, &part);
}

/* What is known and ready to be sent needs no worker. */
enum http_verdict oci_blob_get_fast(struct http_request *req)
{
    const struct data_plane *plane = call_of(req)->plane;
    const struct blob_driver *driver = plane->blobs->driver;
    struct blob_reader *reader = NULL;
    struct blob_plain plain;
    struct blob_ref ref;

    if (!content_cache_blob(plane->cache, req->params[0], req->params[1], &ref))
        return HTTP_NEEDS_WORKER;
    struct part part = part_of(req, &ref);
    if (part.verdict == RANGE_UNSATISFIABLE || driver->get_now(plane->blobs, &ref, &reader) != 1)
        return HTTP_NEEDS_WORKER;
    if (!driver->plain(reader, &plain)) {
        driver->release(reader);
        return HTTP_NEEDS_WORKER;
    }
    reply_content(req, driver, reader, &plain, &ref, &part);
    return HTTP_ANSWERED;
}

void oci_blob_get(struct http_request *req)
{
    const char *repository = reply_repository(req);
    struct digest digest;
    struct blob_ref ref;
    struct error err = { 0 };

    if (!repository || !read_digest(req, &digest))
        return;
    int status = content_blob(call_of(req), req->arena, repository, &digest, &ref, &err);
    if (status == 0)
        (void)fail_at(&err, &E_BLOB_UNKNOWN, req->params[1], "blob unknown to registry");
    if (status < 0 && err.code == &E_DISALLOWED && link_is_data_host(req))
        link_refuse(req, "lock", LINK_OVER); /* whoever follows a link cannot mend it */
    else if (status != 1)
        reply_error(req, &err);
    else if (text_eq(req->method, "HEAD"))
        reply_head(req, ref.size);
    else
        send_blob(req, &ref);
}

void oci_blob_delete(struct http_request *req)
{
    struct data_plane *plane = call_of(req)->plane;
    const char *repository = reply_repository(req);
    struct digest digest;
    struct error err = { 0 };

    if (!repository || !read_digest(req, &digest))
        return;
    int status = blob_unlink(&plane->store, req->arena, repository, &digest, &err);
    /* All of it: another name of the same digest may be known too. */
    content_cache_forget(plane->cache, repository);
    if (status != 0) {
        reply_error(req, &err);
        return;
    }
    housekeeper_note_garbage(plane->housekeeper);
    http_reply_header(req, "Docker-Content-Digest", req->params[1]);
    http_reply_empty(req, 202);
}

/* Uploads (OCI dist-spec end-4 … end-6, end-11, end-13, end-14). A body streams into the session's
 * writer as it comes. The session is held while a request runs, so two requests at one session
 * cannot mix their bytes: the second is refused. */
#include "dataplane/oci/routes.h"

#include <inttypes.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "dataplane/call.h"
#include "dataplane/oci/reference.h"
#include "dataplane/oci/reply.h"
#include "dataplane/oci/upload.h"
#include "dataplane/plane.h"
#include "dataplane/store/cache.h"
#include "dataplane/store/snapshot.h"

/* One request's part of an upload. */
struct push {
    struct upload *upload; /* held; NULL when let go */
    struct digest digest;  /* what the client says the whole is */
    bool has_digest;
    bool has_range;
    uint64_t expected; /* bytes of the chunk, with has_range */
    uint64_t received;
};

static struct uploads *uploads_of(const struct http_request *req)
{
    return call_of(req)->plane->uploads;
}

static struct push *push_of(const struct http_request *req)
{
    return call_of(req)->push;
}

/* Lets the session go: for the next request, or for good. */
static void let_go(struct http_request *req, bool is_over)
{
    struct push *push = push_of(req);
    struct upload *upload = push ? take(push->upload) : NULL;

    if (!upload)
        return;
    if (is_over)
        upload_end(uploads_of(req), upload);
    else
        upload_release(uploads_of(req), upload);
}

void oci_push_release(struct http_request *req)
{
    if (call_of(req) && push_of(req))
        let_go(req, false);
}

static void location_of_upload(struct http_request *req, const struct upload *u)
{
    http_reply_headerf(req, "Location", "/v2/%s/blobs/uploads/%s", req->params[0], u->id);
    http_reply_header(req, "Docker-Upload-UUID", u->id);
}

static void range_of_upload(struct http_request *req, const struct upload *u)
{
    uint64_t size = blob_writer_size(u->writer);

    location_of_upload(req, u);
    http_reply_headerf(req, "Range", "0-%" PRIu64, size ? size - 1 : 0);
}

/* Fails the request. The session lives on unless its bytes can no longer be trusted. */
static void fail_push(struct http_request *req, const struct error *err, bool is_over)
{
    const struct push *push = push_of(req);

    if (push && push->upload && !is_over)
        range_of_upload(req, push->upload);
    let_go(req, is_over);
    reply_error(req, err);
}

static bool read_digest(struct http_request *req, struct push *push)
{
    const char *text = http_query(req, "digest");

    push->has_digest = text != NULL;
    if (!text || digest_parse(text, &push->digest))
        return true;
    reply_error_detail(req, &E_DIGEST_INVALID, "provided digest did not match the grammar", NULL);
    return false;
}

/* --- finishing ---------------------------------------------------------------------------------
 */

static int compare(struct push *push, struct error *err)
{
    struct digest actual;
    char text[DIGEST_TEXT_MAX];

    if (blob_writer_finish(push->upload->writer, err) != 0 ||
        blob_writer_digest(push->upload->writer, push->digest.algorithm, &actual, err) != 0)
        return -1;
    if (digest_equal(&actual, &push->digest))
        return 0;
    digest_text(&push->digest, text);
    return fail_at(err, &E_DIGEST_INVALID, text, "provided digest did not match uploaded content");
}

static void reply_created(struct http_request *req, const struct digest *digest)
{
    char text[DIGEST_TEXT_MAX];

    digest_text(digest, text);
    http_reply_headerf(req, "Location", "/v2/%s/blobs/%s", req->params[0], text);
    http_reply_header(req, "Docker-Content-Digest", text);
    http_reply_empty(req, 201);
}

/* All bytes are there: durable, under their digest, in the database; then 201. */
static void publish(struct http_request *req)
{
    struct data_plane *plane = call_of(req)->plane;
    struct push *push = push_of(req);
    struct error err = { 0 };
    char text[DIGEST_TEXT_MAX];

    if (compare(push, &err) != 0) {
        fail_push(req, &err, true);
        return;
    }
    int status = blob_publish(&plane->store, req->arena, req->params[0], push->upload->writer,
                              &push->digest, call_of(req)->snapshot->storage_limit, &err);
    digest_text(&push->digest, text);
    content_cache_forget_one(plane->cache, req->params[0], text);
    if (status != 0) {
        fail_push(req, &err, true);
        return;
    }
    housekeeper_note_garbage(plane->housekeeper);
    let_go(req, true);
    reply_created(req, &push->digest);
}

/* --- POST --------------------------------------------------------------------------------------
 */

struct mount_right {
    const struct call *call;
};

static bool may_mount(void *ctx, const char *name)
{
    const struct mount_right *right = ctx;

    return call_may(right->call, name, ACT_PULL);
}

/* True when it has replied. What cannot be mounted, for whatever reason, is uploaded instead: a
 * 403 or 404 here aborts the pushes of some clients. */
static bool mount(struct http_request *req)
{
    struct data_plane *plane = call_of(req)->plane;
    const char *text = http_query(req, "mount"), *from = http_query(req, "from");
    struct mount_right right = { call_of(req) };
    struct digest digest;
    struct error err = { 0 };

    if (!text || !digest_parse(text, &digest) || (from && !repository_name_is_valid(from)))
        return false;
    int status = blob_mount(&plane->store, req->arena, req->params[0], from, &digest, may_mount,
                            &right, &err);
    content_cache_forget_one(plane->cache, req->params[0], text);
    if (status == 1) {
        reply_created(req, &digest);
        return true;
    }
    if (status < 0) {
        reply_error(req, &err);
        return true;
    }
    return false;
}

static bool is_hinted_sha512(struct http_request *req, const struct push *push)
{
    return text_eq(http_query(req, "digest-algorithm"), "sha512") ||
           (push->has_digest && push->digest.algorithm == DIGEST_SHA512);
}

static bool start(struct http_request *req, struct push *push)
{
    struct error err = { 0 };

    call_of(req)->push = push;
    if (upload_start(uploads_of(req), req->params[0], &call_of(req)->identity,
                     is_hinted_sha512(req, push), &push->upload, &err) == 0)
        return true;
    reply_error(req, &err);
    return false;
}

static void post_begin(struct http_request *req)
{
    struct push *push = ARENA_NEW(req->arena, struct push);
    const char *algorithm = http_query(req, "digest-algorithm");

    if (!reply_repository(req) || !read_digest(req, push))
        return;
    if (algorithm && !text_eq(algorithm, "sha256") && !text_eq(algorithm, "sha512")) {
        reply_error_detail(req, &E_DIGEST_INVALID, "the digest algorithm is not supported", NULL);
        return;
    }
    if (!push->has_digest && mount(req))
        return;
    (void)start(req, push);
}

/* Appends what came; the request fails when it cannot be kept. */
static void push_data(struct http_request *req, const void *bytes, size_t len)
{
    struct push *push = push_of(req);
    struct error err = { 0 };

    push->received += len;
    if (push->has_range && push->received > push->expected) {
        (void)fail(&err, &E_SIZE_INVALID, "the body is longer than its Content-Range");
        fail_push(req, &err, true);
        return;
    }
    if (blob_writer_add(push->upload->writer, bytes, len, &err) != 0)
        fail_push(req, &err, true);
}

static void post_data(struct http_request *req, const void *bytes, size_t len)
{
    /* Without a digest a body here is not content; some clients send "{}". */
    if (push_of(req)->has_digest)
        push_data(req, bytes, len);
}

static void post_end(struct http_request *req)
{
    struct push *push = push_of(req);

    if (push->has_digest) {
        publish(req);
        return;
    }
    range_of_upload(req, push->upload);
    let_go(req, false);
    http_reply_empty(req, 202);
}

static void post_abort(struct http_request *req)
{
    let_go(req, true);
}

const struct http_sink oci_push_post = {
    .begin = post_begin, .data = post_data, .end = post_end, .abort = post_abort
};

/* --- PATCH and PUT -----------------------------------------------------------------------------
 */

static bool hold(struct http_request *req, struct push *push)
{
    struct error err = { 0 };

    call_of(req)->push = push;
    if (!reply_repository(req))
        return false;
    if (upload_hold(uploads_of(req), req->params[1], req->params[0], &call_of(req)->identity,
                    &push->upload, &err) == 0)
        return true;
    reply_error(req, &err);
    return false;
}

/* A chunk must begin where the last one ended; a wrong one leaves the session as it is. */
static bool check_range(struct http_request *req, struct push *push)
{
    const char *text = http_header(req, "Content-Range"), *length = NULL;
    uint64_t first = 0, last = 0, len = 0;
    struct error err = { 0 };

    if (!text)
        return true;
    push->has_range = true;
    length = http_header(req, "Content-Length");
    if (!chunk_range_parse(text, &first, &last)) {
        (void)fail(&err, &E_RANGE_INVALID, "the Content-Range is malformed");
    } else if (first != blob_writer_size(push->upload->writer)) {
        (void)fail(&err, &E_RANGE_INVALID, "the chunk does not begin where the upload ended");
    } else if (length && (!text_parse_u64(length, &len) || len != last - first + 1)) {
        (void)fail(&err, &E_SIZE_INVALID, "the Content-Range does not fit the Content-Length");
    } else {
        push->expected = last - first + 1;
        return true;
    }
    fail_push(req, &err, false);
    return false;
}

static bool is_short(const struct push *push)
{
    return push->has_range && push->received != push->expected;
}

static void fail_short(struct http_request *req)
{
    struct error err = { 0 };

    (void)fail(&err, &E_SIZE_INVALID, "the body is shorter than its Content-Range");
    fail_push(req, &err, false);
}

static void patch_begin(struct http_request *req)
{
    struct push *push = ARENA_NEW(req->arena, struct push);

    if (hold(req, push))
        (void)check_range(req, push);
}

static void patch_end(struct http_request *req)
{
    struct push *push = push_of(req);

    if (is_short(push)) {
        fail_short(req);
        return;
    }
    range_of_upload(req, push->upload);
    let_go(req, false);
    http_reply_empty(req, 202);
}

/* What arrived stays: the client asks for the state and goes on from there. */
static void keep_abort(struct http_request *req)
{
    let_go(req, false);
}

const struct http_sink oci_push_patch = {
    .begin = patch_begin, .data = push_data, .end = patch_end, .abort = keep_abort
};

static void put_begin(struct http_request *req)
{
    struct push *push = ARENA_NEW(req->arena, struct push);

    if (!read_digest(req, push))
        return;
    if (!push->has_digest) {
        reply_error_detail(req, &E_DIGEST_INVALID, "the digest of the upload is missing", NULL);
        return;
    }
    if (hold(req, push))
        (void)check_range(req, push);
}

static void put_end(struct http_request *req)
{
    if (is_short(push_of(req)))
        fail_short(req);
    else
        publish(req);
}

const struct http_sink oci_push_put = {
    .begin = put_begin, .data = push_data, .end = put_end, .abort = keep_abort
};

/* --- GET and DELETE of a session ---------------------------------------------------------------
 */

void oci_push_status(struct http_request *req)
{
    struct push *push = ARENA_NEW(req->arena, struct push);

    if (!hold(req, push))
        return;
    range_of_upload(req, push->upload);
    let_go(req, false);
    http_reply_empty(req, 204);
}

void oci_push_cancel(struct http_request *req)
{
    struct push *push = ARENA_NEW(req->arena, struct push);

    if (!hold(req, push))
        return;
    let_go(req, true);
    http_reply_empty(req, 204);
}

/* GET, HEAD, PUT and DELETE of manifests (OCI dist-spec end-3, end-7, end-9). */
#include "dataplane/oci/routes.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/str.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "dataplane/call.h"
#include "dataplane/oci/content.h"
#include "dataplane/oci/manifest.h"
#include "dataplane/oci/manifest_write.h"
#include "dataplane/oci/reference.h"
#include "dataplane/oci/reply.h"
#include "dataplane/plane.h"
#include "dataplane/store/snapshot.h"

#define TAGS_MAX 100 /* of one PUT */

/* --- reading -----------------------------------------------------------------------------------
 */

static bool is_not_modified(const struct http_request *req, const char *digest)
{
    const char *held = http_header(req, "If-None-Match");
    const char *at = held ? strstr(held, digest) : NULL;
    size_t len = strlen(digest);

    return (held && text_eq(held, "*")) || (at && at > held && at[-1] == '"' && at[len] == '"');
}

/* Takes the manifest over. */
static void reply_manifest(struct http_request *req, struct cached_manifest *m)
{
    char own[DIGEST_TEXT_MAX];
    const char *digest = own;

    /* Asked for by digest, the answer names the digest asked for, whatever its algorithm. */
    if (strchr(req->params[1], ':'))
        digest = req->params[1];
    else
        digest_text(&m->digest, own);
    http_reply_header(req, "Docker-Content-Digest", digest);
    http_reply_headerf(req, "ETag", "\"%s\"", digest);
    http_reply_header(req, "Vary", "Accept");
    if (is_not_modified(req, digest)) {
        cached_manifest_release(m);
        http_reply_empty(req, 304);
        return;
    }
    http_reply_shared(req, 200, m->media_type, m->payload, m->payload_len, cached_manifest_release,
                      m);
}

/* Requests without a condition are all answered alike. */
static bool reply_stocked(struct http_request *req, struct http_stock *stock)
{
    return stock && !http_header(req, "If-None-Match") && http_reply_stocked(req, stock);
}

enum http_verdict oci_manifest_fast(struct http_request *req)
{
    struct content_cache *cache = call_of(req)->plane->cache;
    struct http_stock *stock =
        content_cache_manifest_stock(cache, req->params[0], req->params[1]);
    bool is_answered = reply_stocked(req, stock);
    struct cached_manifest *m =
        is_answered ? NULL : content_cache_manifest(cache, req->params[0], req->params[1]);

    if (m) {
        reply_manifest(req, m);
        if (stock)
            http_reply_keep(req, stock);
    }
    http_stock_unref(stock);
    return m || is_answered ? HTTP_ANSWERED : HTTP_NEEDS_WORKER;
}

static enum reference_kind read_reference(struct http_request *req, struct digest *ret)
{
    enum reference_kind kind = reference_parse(req->params[1], ret);

    if (kind != REFERENCE_INVALID)
        return kind;
    if (strchr(req->params[1], ':'))
        reply_error_detail(req, &E_DIGEST_INVALID, "provided digest did not match the grammar",
                           NULL);
    else
        reply_error_detail(req, &E_TAG_INVALID, "manifest tag did not match the grammar", NULL);
    return kind;
}

static void reply_unknown(struct http_request *req, const char *repository)
{
    const char *reference = req->params[1], *message;
    struct json_object *detail = json_new_object();

    if (strchr(reference, ':')) {
        message = arena_printf(req->arena, "manifest %s is not found", reference);
        json_set_text(detail, "Name", repository);
        json_set_text(detail, "Revision", reference);
    } else {
        message = arena_printf(req->arena, "manifest tagged by \"%s\" is not found", reference);
        json_set_text(detail, "Tag", reference);
    }
    reply_error_detail(req, &E_MANIFEST_UNKNOWN, message, detail);
}

void oci_manifest_get(struct http_request *req)
{
    const char *repository = reply_repository(req);
    struct cached_manifest *m = NULL;
    struct digest digest;
    struct error err = { 0 };

    if (!repository || read_reference(req, &digest) == REFERENCE_INVALID)
        return;
    int status = content_manifest(call_of(req), req->arena, repository, req->params[1], &m, &err);
    if (status == 0)
        reply_unknown(req, repository);
    else if (status != 1)
        reply_error(req, &err);
    else
        reply_manifest(req, m);
}

/* --- writing -----------------------------------------------------------------------------------
 */

/* The request's digests: the one it is known by, and sha256. False when it has replied. */
static bool compare_digest(struct http_request *req, enum reference_kind kind,
                           struct manifest_write *w)
{
    struct digest named = w->digest;
    struct error err = { 0 };

    digest_of(DIGEST_SHA256, req->body, req->body_len, &w->sha256);
    w->digest = w->sha256;
    if (kind == REFERENCE_DIGEST)
        digest_of(named.algorithm, req->body, req->body_len, &w->digest);
    if (kind != REFERENCE_DIGEST || digest_equal(&named, &w->digest))
        return true;
    (void)fail_at(&err, &E_DIGEST_INVALID, req->params[1],
                  "provided digest did not match uploaded content");
    reply_error(req, &err);
    return false;
}

static void add_tag(struct manifest_write *w, const char **tags, const char *tag)
{
    for (size_t i = 0; i < w->tag_count; i++) {
        if (text_eq(tags[i], tag))
            return;
    }
    tags[w->tag_count++] = tag;
}

/* The tag of the path, or the ?tag= parameters of a push by digest (OCI dist-spec, development). */
static bool read_tags(struct http_request *req, enum reference_kind kind, struct manifest_write *w)
{
    const char **asked = NULL, **tags = NULL;
    size_t count = http_query_all(req, "tag", &asked);
    static const struct error_code too_many = { "TAG_INVALID", 414 };

    if (count > TAGS_MAX) {
        reply_error_detail(req, &too_many, "too many tags", NULL);
        return false;
    }
    tags = arena_array(req->arena, count + 1, sizeof(*tags));
    if (kind == REFERENCE_TAG)
        add_tag(w, tags, req->params[1]);
    for (size_t i = 0; i < count && kind == REFERENCE_DIGEST; i++) {
        if (!tag_is_valid(asked[i])) {
            reply_error_detail(req, &E_TAG_INVALID, "manifest tag did not match the grammar", NULL);
            return false;
        }
        add_tag(w, tags, asked[i]);
    }
    w->tags = tags;
    return true;
}

static void read_platform(struct http_request *req, const struct manifest *m,
                          struct manifest_write *w)
{
    struct blob_ref config;
    struct error ignored = { 0 };

    if (m->has_config && content_blob(call_of(req), req->arena, w->repository, &m->config, &config,
                                      &ignored) == 1)
        manifest_write_platform(req->arena, call_of(req)->plane->blobs, &config, m, w);
}

static void reply_stored(struct http_request *req, const struct manifest *m,
                         const struct manifest_write *w)
{
    char text[DIGEST_TEXT_MAX];
    _cleanup_(str_done) struct str tags = { 0 };

    digest_text(&w->digest, text);
    http_reply_headerf(req, "Location", "/v2/%s/manifests/%s", w->repository, text);
    http_reply_header(req, "Docker-Content-Digest", text);
    if (m->has_subject) {
        digest_text(&m->subject, text);
        http_reply_header(req, "OCI-Subject", text);
    }
    str_init(&tags, TAGS_MAX * (TAG_MAX + 2));
    for (size_t i = 0; i < w->tag_count; i++)
        str_printf(&tags, "%s%s", i ? ", " : "", w->tags[i]);
    if (strchr(req->params[1], ':') && w->tag_count > 0)
        http_reply_header(req, "OCI-Tag", tags.data);
    http_reply_empty(req, 201);
}

/* Also when the outcome is unknown: then nothing may be remembered. */
static void forget_written(struct content_cache *cache, const struct manifest_write *w)
{
    char text[DIGEST_TEXT_MAX];

    for (size_t i = 0; i < w->tag_count; i++)
        content_cache_forget_one(cache, w->repository, w->tags[i]);
    digest_text(&w->digest, text);
    content_cache_forget_one(cache, w->repository, text);
}

void oci_manifest_put(struct http_request *req)
{
    struct data_plane *plane = call_of(req)->plane;
    struct manifest_write w = { .repository = reply_repository(req) };
    struct manifest m;
    struct error err = { 0 };

    if (!w.repository)
        return;
    enum reference_kind kind = read_reference(req, &w.digest);
    if (kind == REFERENCE_INVALID || !compare_digest(req, kind, &w) || !read_tags(req, kind, &w))
        return;
    if (manifest_decode(req->arena, http_header(req, "Content-Type"), req->body, req->body_len, &m,
                        &err) != 0) {
        reply_error(req, &err);
        return;
    }
    manifest_write_fill(&m, req->body, req->body_len, &w);
    w.storage_limit = call_of(req)->snapshot->storage_limit;
    w.is_quarantined = call_of(req)->snapshot->policies.is_quarantine_on;
    w.is_bin_respected = call_of(req)->snapshot->policies.is_soft_delete_on;
    read_platform(req, &m, &w);
    int status = manifest_store(&plane->store, req->arena, &w, &err);
    forget_written(plane->cache, &w);
    if (call_of(req)->snapshot->policies.has_retention) /* a tag may have moved */
        housekeeper_note_expiry(plane->housekeeper);
    if (status != 0)
        reply_error(req, &err);
    else
        reply_stored(req, &m, &w);
}

/* --- deleting ----------------------------------------------------------------------------------
 */

void oci_manifest_delete(struct http_request *req)
{
    struct data_plane *plane = call_of(req)->plane;
    const char *repository = reply_repository(req);
    struct digest digest;
    struct error err = { 0 };
    int status = 0;

    if (!repository)
        return;
    enum reference_kind kind = read_reference(req, &digest);
    if (kind == REFERENCE_INVALID)
        return;
    if (kind == REFERENCE_DIGEST) {
        status = manifest_remove(&plane->store, req->arena, repository, &digest,
                                 call_of(req)->snapshot->policies.is_soft_delete_on, &err);
        content_cache_forget(plane->cache, repository);
        housekeeper_note_garbage(plane->housekeeper);
    } else {
        status = tag_remove(&plane->store, req->arena, repository, req->params[1], &err);
        content_cache_forget_one(plane->cache, repository, req->params[1]);
    }
    housekeeper_note_expiry(plane->housekeeper);
    if (status == 0)
        reply_unknown(req, repository);
    else if (status != 1)
        reply_error(req, &err);
    else
        http_reply_empty(req, 202);
}

/* From a request to content: read the manifest, then what it names, depth first, then store it. */
#include "dataplane/imports/import.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/failpoint.h"
#include "common/base/text.h"
#include "common/client/client.h"
#include "common/json/json.h"
#include "dataplane/imports/upstream.h"
#include "dataplane/oci/errors.h"
#include "dataplane/oci/manifest.h"
#include "dataplane/oci/manifest_write.h"
#include "dataplane/oci/reference.h"
#include "dataplane/plane.h"
#include "dataplane/store/cache.h"
#include "dataplane/store/imports.h"
#include "dataplane/store/snapshot.h"

#define MANIFESTS_MAX     50 /* of one image, as the service has it */
#define DEPTH_MAX         4
#define REQUEST_MAX_BYTES ((size_t)1024 * 1024)
#define BLOB_MAX_BYTES    (INT64_C(200) << 30) /* of a layer */
#define EXTEND_MS         (IMPORT_LEASE_S * 1000 / 3)

static const struct error_code too_many = { "TooManyManifests", 400 };

struct target {
    const char *repository;
    const char **tags;
    size_t tag_count;
};

struct import {
    struct import_run *run;
    struct data_plane *plane;
    struct arena *a;
    struct snapshot *snapshot;
    struct upstream source;
    const char *reference;
    const char *sibling; /* the source's repository, when it is one of this registry */
    struct target *targets;
    size_t target_count;
    bool is_forced;
    size_t manifests;
    int64_t extended_ms;
};

/* --- the lease ---------------------------------------------------------------------------------
 */

/* True while this import is this process's to do. */
static bool keep(struct import *im)
{
    struct import_run *run = im->run;
    _cleanup_(arena_freep) struct arena *a = NULL;
    struct error ignored = { 0 };
    int64_t now = clock_mono_ms();

    if (!run->goes_on(run->ctx))
        run->is_lost = true;
    if (run->is_lost || now - im->extended_ms < EXTEND_MS)
        return !run->is_lost;
    a = arena_new();
    int status = imports_extend(&im->plane->store, a, run->row->id, run->owner, &ignored);
    if (status == 1)
        im->extended_ms = now;
    /* A database that is away for a moment takes nothing away; the lease runs out by itself. */
    run->is_lost = status == 0 || now - im->extended_ms > IMPORT_LEASE_S * 1000;
    return !run->is_lost;
}

/* --- blobs -------------------------------------------------------------------------------------
 */

struct download {
    struct import *im;
    struct blob_writer *writer;
    struct error err;
    bool has_failed;
};

static int take_bytes(void *ctx, const void *bytes, size_t len)
{
    struct download *d = ctx;

    if (!keep(d->im))
        return -1;
    d->has_failed = blob_writer_add(d->writer, bytes, len, &d->err) != 0;
    return d->has_failed ? -1 : 0;
}

static bool download_goes_on(void *ctx)
{
    return keep(((struct download *)ctx)->im);
}

static void free_writer(struct blob_writer **w)
{
    blob_writer_free(*w);
}

static bool is_open_to_all(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return true;
}

/* From a repository whose content the import has shown that it may read, or has brought itself. */
static int link_from(struct import *im, struct arena *a, const char *repository, const char *from,
                     const struct digest *digest, struct error *err)
{
    char text[DIGEST_TEXT_MAX];
    int status =
        blob_mount(&im->plane->store, a, repository, from, digest, is_open_to_all, NULL, err);

    digest_text(digest, text);
    content_cache_forget_one(im->plane->cache, repository, text);
    return status;
}

/* The bytes that came are the ones that were named. */
static int compare(struct blob_writer *w, const struct digest *digest, int64_t size,
                   struct error *err)
{
    struct digest actual;

    if (blob_writer_finish(w, err) != 0 ||
        blob_writer_digest(w, digest->algorithm, &actual, err) != 0)
        return -1;
    if (digest_equal(&actual, digest) && (size < 0 || blob_writer_size(w) == (uint64_t)size))
        return 0;
    return fail(err, &E_SOURCE_INVALID,
                "The source registry's content is not what its digest and size say.");
}

static int download(struct import *im, struct arena *a, const char *repository,
                    const struct digest *digest, int64_t size, struct error *err)
{
    _cleanup_(free_writer) struct blob_writer *writer = NULL;
    struct download d = { .im = im };
    const struct client_sink sink = { take_bytes, download_goes_on, &d };
    uint64_t most = size >= 0 ? (uint64_t)size : (uint64_t)BLOB_MAX_BYTES;
    char text[DIGEST_TEXT_MAX];

    digest_text(digest, text);
    if (blob_writer_new(im->plane->blobs, digest->algorithm == DIGEST_SHA512, &writer, err) != 0)
        return -1;
    d.writer = writer;
    if (upstream_blob(&im->source, a, text, most, &sink, err) != 0) {
        if (d.has_failed)
            *err = d.err;
        return -1;
    }
    if (compare(writer, digest, size, err) != 0)
        return -1;
    if (FAILPOINT("import.before_publish"))
        return fail_errno(err, "publish an imported blob");
    int status = blob_publish(&im->plane->store, a, repository, writer, digest,
                              im->snapshot->storage_limit, err);
    content_cache_forget_one(im->plane->cache, repository, text);
    return status;
}

/* What a repository has stays; then what the source shares with it, or another target has got, is
 * linked; the rest is fetched, once. */
static int copy_blob(struct import *im, const struct digest *digest, int64_t size,
                     struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    const char *holder = im->sibling;

    for (size_t i = 0; i < im->target_count; i++) {
        const char *repository = im->targets[i].repository;
        struct blob_found found;
        int status = blob_find(&im->plane->store, a, repository, digest, &found, err);

        if (status == 0 && holder)
            status = link_from(im, a, repository, holder, digest, err);
        if (status == 0)
            status = download(im, a, repository, digest, size, err) == 0 ? 1 : -1;
        if (status < 0)
            return -1;
        if (FAILPOINT("import.after_blob"))
            return fail_errno(err, "import a blob");
        holder = repository;
    }
    return 0;
}

/* --- manifests ---------------------------------------------------------------------------------
 */

static void read_platform(struct import *im, struct arena *a, const struct manifest *m,
                          struct manifest_write *w)
{
    struct blob_found found;
    struct error ignored = { 0 };

    if (m->has_config &&
        blob_find(&im->plane->store, a, w->repository, &m->config, &found, &ignored) == 1)
        manifest_write_platform(a, im->plane->blobs, &found.ref, m, w);
}

static void forget(struct import *im, const struct manifest_write *w)
{
    char text[DIGEST_TEXT_MAX];

    for (size_t i = 0; i < w->tag_count; i++)
        content_cache_forget_one(im->plane->cache, w->repository, w->tags[i]);
    digest_text(&w->digest, text);
    content_cache_forget_one(im->plane->cache, w->repository, text);
}

static int store_manifest(struct import *im, struct arena *a, const struct manifest *m,
                          const struct upstream_manifest *bytes, const struct digest *digest,
                          bool is_top, struct error *err)
{
    const struct policies *policies = &im->snapshot->policies;

    for (size_t i = 0; i < im->target_count; i++) {
        struct target *t = &im->targets[i];
        struct manifest_write w = { .repository = t->repository,
                                    .storage_limit = im->snapshot->storage_limit,
                                    .is_quarantined = policies->is_quarantine_on,
                                    .is_bin_respected = policies->is_soft_delete_on,
                                    .are_tags_new = !im->is_forced };
        digest_of(DIGEST_SHA256, bytes->bytes, bytes->len, &w.sha256);
        w.digest = digest ? *digest : w.sha256;
        if (is_top) {
            w.tags = t->tags;
            w.tag_count = t->tag_count;
        }
        manifest_write_fill(m, bytes->bytes, bytes->len, &w);
        read_platform(im, a, m, &w);
        if (FAILPOINT("import.before_manifest"))
            return fail_errno(err, "import a manifest");
        int status = manifest_store(&im->plane->store, a, &w, err);
        forget(im, &w);
        if (status != 0)
            return -1;
        if (FAILPOINT("import.after_manifest"))
            return fail_errno(err, "import a manifest");
    }
    return 0;
}

static int copy_manifest(struct import *im, const char *reference, int depth, struct error *err);

/* An entry of an index is a manifest or, as build caches have it, a blob. */
static int copy_child(struct import *im, const struct digest_list *children, size_t index,
                      int depth, struct error *err)
{
    char text[DIGEST_TEXT_MAX];

    digest_text(&children->items[index], text);
    if (copy_manifest(im, text, depth, err) == 0)
        return 0;
    if (err->code != &E_SOURCE_UNKNOWN)
        return -1;
    return copy_blob(im, &children->items[index], children->sizes[index], err);
}

static int copy_parts(struct import *im, const struct manifest *m, int depth, struct error *err)
{
    for (size_t i = 0; i < m->children.count; i++) {
        if (copy_child(im, &m->children, i, depth + 1, err) != 0)
            return -1;
    }
    for (size_t i = 0; i < m->blobs.count; i++) {
        if (copy_blob(im, &m->blobs.items[i], m->blobs.sizes[i], err) != 0)
            return -1;
    }
    return 0;
}

static int copy_manifest(struct import *im, const char *reference, int depth, struct error *err)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    struct digest named, actual;
    struct upstream_manifest got;
    struct manifest m;
    bool is_named = reference_parse(reference, &named) == REFERENCE_DIGEST;

    if (!keep(im))
        return fail(err, &E_UNAVAILABLE, "The import goes on elsewhere.");
    if (++im->manifests > MANIFESTS_MAX || depth > DEPTH_MAX)
        return fail(err, &too_many, "An image of more than %d manifests cannot be imported.",
                    MANIFESTS_MAX);
    if (upstream_manifest(&im->source, a, reference, &got, err) != 0)
        return -1;
    if (FAILPOINT("import.after_fetch"))
        return fail_errno(err, "import a manifest");
    digest_of(is_named ? named.algorithm : DIGEST_SHA256, got.bytes, got.len, &actual);
    if (is_named && !digest_equal(&named, &actual))
        return fail(err, &E_SOURCE_INVALID,
                    "The source registry's manifest is not what its digest says.");
    if (manifest_decode(a, got.media_type, got.bytes, got.len, &m, err) != 0 ||
        copy_parts(im, &m, depth, err) != 0)
        return -1;
    return store_manifest(im, a, &m, &got, is_named ? &named : NULL, depth == 0, err);
}

/* --- the request -------------------------------------------------------------------------------
 */

static struct target *target_of(struct import *im, const char *repository, size_t most)
{
    for (size_t i = 0; i < im->target_count; i++) {
        if (text_eq(im->targets[i].repository, repository))
            return &im->targets[i];
    }
    struct target *t = &im->targets[im->target_count++];
    t->repository = repository;
    t->tags = arena_array(im->a, most, sizeof(*t->tags));
    return t;
}

static int fail_request(struct error *err)
{
    return fail(err, &E_INVALID, "The import's request is malformed.");
}

static int read_targets(struct import *im, const struct json_object *list, struct error *err)
{
    size_t count = json_count(list);

    im->targets = arena_array(im->a, count + 1, sizeof(*im->targets));
    for (size_t i = 0; i < count; i++) {
        const char *repository = json_text(json_item(list, i), "repository");
        const char *tag = json_text(json_item(list, i), "tag");

        if (!repository_name_is_valid(repository) || (tag && !tag_is_valid(tag)))
            return fail_request(err);
        struct target *t = target_of(im, repository, count);
        if (tag)
            t->tags[t->tag_count++] = tag;
    }
    return im->target_count > 0 ? 0 : fail_request(err);
}

static int read_secret(struct import *im, struct error *err)
{
    const char *text = im->run->secret;
    struct json_object *secret = NULL;

    if (!text)
        return 0;
    if (json_parse_object(text, strlen(text), REQUEST_MAX_BYTES, &secret, err) != 0)
        return fail_request(err);
    (void)json_own(im->a, secret);
    im->source.directory_token = json_text(secret, "directoryToken");
    im->source.user = json_text(secret, "username");
    im->source.password = json_text(secret, "password");
    if (im->source.user && !im->source.password)
        im->source.password = "";
    return 0;
}

static int read_request(struct import *im, struct error *err)
{
    const char *text = im->run->row->request, *registry;
    struct json_object *request = NULL;
    struct digest ignored;

    if (json_parse_object(text, strlen(text), REQUEST_MAX_BYTES, &request, err) != 0)
        return fail_request(err);
    (void)json_own(im->a, request);
    registry = json_text(request, "source.registryId");
    im->source = (struct upstream){ .client = registry ? im->run->own : im->run->abroad,
                                    .arena = im->a,
                                    .url = json_text(request, "source.url"),
                                    .repository = json_text(request, "source.repository") };
    im->reference = json_text(request, "source.reference");
    im->is_forced = json_bool(request, "force", false);
    if (!im->source.url || !repository_name_is_valid(im->source.repository) || !im->reference ||
        reference_parse(im->reference, &ignored) == REFERENCE_INVALID)
        return fail_request(err);
    if (text_eq(registry, im->plane->settings->registry_id))
        im->sibling = im->source.repository;
    return read_targets(im, json_at(request, "targets"), err) != 0 || read_secret(im, err) != 0 ? -1
                                                                                                : 0;
}

/* Before anything is copied: unless it is forced, an import moves no tag. */
static int check_tags(struct import *im, struct error *err)
{
    for (size_t i = 0; !im->is_forced && i < im->target_count; i++) {
        const struct target *t = &im->targets[i];

        for (size_t k = 0; k < t->tag_count; k++) {
            struct manifest_found found;
            int status =
                manifest_find_tag(&im->plane->store, im->a, t->repository, t->tags[k], &found, err);
            if (status != 0)
                return status < 0 ? -1 : fail_tag_taken(err);
        }
    }
    return 0;
}

int import_carry_out(struct import_run *run, struct arena *a, struct error *err)
{
    struct import im = { .run = run, .plane = run->plane, .a = a, .extended_ms = clock_mono_ms() };
    bool is_fresh = false;

    /* What was published before the import was asked for holds for it. */
    if (snapshots_refresh(run->plane->snapshots, err) != 0)
        return -1;
    im.snapshot = snapshots_get(run->plane->snapshots, &is_fresh);
    if (!im.snapshot)
        return fail(err, &E_UNAVAILABLE, "The registry is not published.");
    int status = read_request(&im, err);
    if (status == 0)
        status = check_tags(&im, err);
    if (status == 0)
        status = copy_manifest(&im, im.reference, 0, err);
    if (im.snapshot->policies.has_retention) /* a tag may have moved */
        housekeeper_note_expiry(run->plane->housekeeper);
    housekeeper_note_garbage(run->plane->housekeeper);
    snapshot_unref(im.snapshot);
    return status;
}

/* Everything the data plane serves, as two tables: what each path needs, and the paths. */
#include "common/base/error.h"
#include "common/http/server.h"
#include "dataplane/acr/routes.h"
#include "dataplane/auth/oauth.h"
#include "dataplane/call.h"
#include "dataplane/oci/manifest.h"
#include "dataplane/oci/reply.h"
#include "dataplane/oci/routes.h"
#include "dataplane/plane.h"

#define FORM_MAX_BYTES   ((size_t)128 * 1024)
#define CHANGE_MAX_BYTES ((size_t)64 * 1024)

/* One row per handler: its access, and the actions on the repository. */
#define ROW(name, ...) static const struct data_route name = { __VA_ARGS__ }

ROW(exchange, .access = ACCESS_OPEN, .run = oauth_exchange);
ROW(token_get, .access = ACCESS_OPEN, .run = oauth_token_get);
ROW(token_post, .access = ACCESS_OPEN, .run = oauth_token_post);

ROW(root, .access = ACCESS_ANY, .fast = oci_root, .run = oci_root_run);
ROW(catalog, .access = ACCESS_CATALOG, .actions = ACT_ALL, .run = oci_catalog);

#define REPOSITORY .access = ACCESS_REPOSITORY, .actions
#define SESSION    .access = ACCESS_SESSION, .actions = ACT_PULL | ACT_PUSH
ROW(push_post, REPOSITORY = ACT_PULL | ACT_PUSH, .sink = &oci_push_post);
ROW(push_patch, SESSION, .sink = &oci_push_patch);
ROW(push_put, SESSION, .sink = &oci_push_put);
ROW(push_status, SESSION, .run = oci_push_status);
ROW(push_cancel, SESSION, .run = oci_push_cancel);
ROW(blob_head, REPOSITORY = ACT_PULL, .fast = oci_blob_head_fast, .run = oci_blob_get);
ROW(blob_get, REPOSITORY = ACT_PULL, .fast = oci_login_blob_get_fast, .run = oci_login_blob_get);
ROW(data_get, .access = ACCESS_LINK, .actions = ACT_PULL, .fast = oci_blob_get_fast,
    .run = oci_blob_get);
ROW(blob_delete, REPOSITORY = ACT_DELETE, .run = oci_blob_delete);
ROW(manifest_get, REPOSITORY = ACT_PULL, .fast = oci_manifest_fast, .run = oci_manifest_get);
ROW(manifest_put, REPOSITORY = ACT_PULL | ACT_PUSH, .run = oci_manifest_put);
ROW(manifest_delete, REPOSITORY = ACT_DELETE, .run = oci_manifest_delete);
ROW(tags, REPOSITORY = ACT_PULL, .run = oci_tags);
ROW(referrers, REPOSITORY = ACT_PULL, .run = oci_referrers, .rate = RATE_REFERRERS);

ROW(acr_tags_row, REPOSITORY = ACT_METADATA_READ, .run = acr_tags);
ROW(acr_tag_get_row, REPOSITORY = ACT_METADATA_READ, .run = acr_tag_get);
ROW(acr_tag_patch_row, REPOSITORY = ACT_METADATA_WRITE, .run = acr_tag_patch);
ROW(acr_tag_delete_row, REPOSITORY = ACT_DELETE, .run = acr_tag_delete);
ROW(acr_manifests_row, REPOSITORY = ACT_METADATA_READ, .run = acr_manifests);
ROW(acr_manifest_get_row, REPOSITORY = ACT_METADATA_READ, .run = acr_manifest_get);
ROW(acr_manifest_patch_row, REPOSITORY = ACT_METADATA_WRITE, .run = acr_manifest_patch);
ROW(acr_get_row, REPOSITORY = ACT_METADATA_READ, .run = acr_repository_get);
ROW(acr_patch_row, REPOSITORY = ACT_METADATA_WRITE, .run = acr_repository_patch);
ROW(acr_delete_row, REPOSITORY = ACT_DELETE, .run = acr_repository_delete);

ROW(registry_usage_row, .access = ACCESS_CATALOG, .actions = ACT_ALL, .run = acr_registry_usage);
ROW(repository_usage_row, REPOSITORY = ACT_METADATA_READ, .run = acr_repository_usage);

ROW(deleted_catalog_row, .access = ACCESS_DELETED_CATALOG, .actions = ACT_ALL,
    .run = acr_deleted_catalog);
ROW(deleted_manifests_row, REPOSITORY = ACT_DELETED_READ, .run = acr_deleted_manifests);
ROW(deleted_tags_row, REPOSITORY = ACT_DELETED_READ, .run = acr_deleted_tags);
ROW(deleted_restore_row, REPOSITORY = ACT_DELETED_READ | ACT_DELETED_RESTORE,
    .run = acr_deleted_restore);

ROW(metadata_list, REPOSITORY = ACT_METADATA_READ, .run = acr_metadata_list);
ROW(metadata_get, REPOSITORY = ACT_METADATA_READ, .run = acr_metadata_get);
ROW(metadata_put, REPOSITORY = ACT_METADATA_WRITE, .run = acr_metadata_put);
ROW(metadata_delete, REPOSITORY = ACT_METADATA_WRITE, .run = acr_metadata_delete);
ROW(tag_metadata_list, REPOSITORY = ACT_METADATA_READ, .run = acr_tag_metadata_list);
ROW(tag_metadata_get, REPOSITORY = ACT_METADATA_READ, .run = acr_tag_metadata_get);
ROW(tag_metadata_put, REPOSITORY = ACT_METADATA_WRITE, .run = acr_tag_metadata_put);
ROW(tag_metadata_delete, REPOSITORY = ACT_METADATA_WRITE, .run = acr_tag_metadata_delete);
ROW(manifest_metadata_list, REPOSITORY = ACT_METADATA_READ, .run = acr_manifest_metadata_list);
ROW(manifest_metadata_get, REPOSITORY = ACT_METADATA_READ, .run = acr_manifest_metadata_get);
ROW(manifest_metadata_put, REPOSITORY = ACT_METADATA_WRITE, .run = acr_manifest_metadata_put);
ROW(manifest_metadata_delete, REPOSITORY = ACT_METADATA_WRITE, .run = acr_manifest_metadata_delete);

/* Every request goes through the gate. */
#define PLAIN(m, p, row)                                                                           \
    {                                                                                              \
        .method = m, .pattern = p, .fast = gate_fast, .run = gate_run, .plane = &row               \
    }
#define BODY(m, p, row, max)                                                                       \
    {                                                                                              \
        .method = m, .pattern = p, .body = HTTP_BODY_BUFFER, .max_body = max, .run = gate_run,     \
        .plane = &row                                                                              \
    }
#define STREAM(m, p, row)                                                                          \
    {                                                                                              \
        .method = m, .pattern = p, .body = HTTP_BODY_STREAM, .sink = &gate_sink,                   \
        .deadline_ms = -1, .plane = &row                                                           \
    }

/* A signature, and at most a few short statements. */
#define TOKEN(m, p, row)                                                                           \
    {                                                                                              \
        .method = m, .pattern = p, .run = gate_run, .plane = &row, .is_brief = true                \
    }
#define TOKEN_FORM(m, p, row)                                                                      \
    {                                                                                              \
        .method = m, .pattern = p, .body = HTTP_BODY_BUFFER, .max_body = FORM_MAX_BYTES,           \
        .run = gate_run, .plane = &row, .is_brief = true                                           \
    }

/* The four of one kind of owner; the longer path first. */
#define METADATA(p, kind)                                                                          \
    PLAIN("GET", p "/_metadata/{key}", kind##metadata_get),                                        \
        BODY("PUT", p "/_metadata/{key}", kind##metadata_put, CHANGE_MAX_BYTES),                   \
        PLAIN("DELETE", p "/_metadata/{key}", kind##metadata_delete),                              \
        PLAIN("GET", p "/_metadata", kind##metadata_list)

static const struct http_route routes[] = {
    PLAIN("GET", "/v2", root),
    PLAIN("GET", "/v2/", root),
    PLAIN("HEAD", "/v2/", root),
    PLAIN("GET", "/v2/_catalog", catalog),
    TOKEN("GET", "/oauth2/token", token_get),
    TOKEN_FORM("POST", "/oauth2/token", token_post),
    TOKEN_FORM("POST", "/oauth2/exchange", exchange),

    STREAM("POST", "/v2/{name*}/blobs/uploads/", push_post),
    STREAM("POST", "/v2/{name*}/blobs/uploads", push_post),
    STREAM("PATCH", "/v2/{name*}/blobs/uploads/{session}", push_patch),
    STREAM("PUT", "/v2/{name*}/blobs/uploads/{session}", push_put),
    PLAIN("GET", "/v2/{name*}/blobs/uploads/{session}", push_status),
    PLAIN("DELETE", "/v2/{name*}/blobs/uploads/{session}", push_cancel),
    PLAIN("HEAD", "/v2/{name*}/blobs/{digest}", blob_head),
    PLAIN("GET", "/v2/{name*}/blobs/{digest}", blob_get),
    PLAIN("DELETE", "/v2/{name*}/blobs/{digest}", blob_delete),
    PLAIN("GET", "/v2/{name*}/manifests/{reference}", manifest_get),
    PLAIN("HEAD", "/v2/{name*}/manifests/{reference}", manifest_get),
    BODY("PUT", "/v2/{name*}/manifests/{reference}", manifest_put, MANIFEST_MAX_BYTES),
    PLAIN("DELETE", "/v2/{name*}/manifests/{reference}", manifest_delete),
    PLAIN("GET", "/v2/{name*}/tags/list", tags),
    PLAIN("GET", "/v2/{name*}/referrers/{digest}", referrers),

    PLAIN("HEAD", "/data/{name*}/blobs/{digest}", data_get),
    PLAIN("GET", "/data/{name*}/blobs/{digest}", data_get),

    PLAIN("GET", "/acr/v1/_catalog", catalog),
    PLAIN("GET", "/acr/v1/_deleted/_catalog", deleted_catalog_row),
    PLAIN("GET", "/acr/v1/_deleted/{name*}/_manifests", deleted_manifests_row),
    PLAIN("GET", "/acr/v1/_deleted/{name*}/_tags", deleted_tags_row),
    BODY("POST", "/acr/v1/_deleted/{name*}/_manifests/{digest}", deleted_restore_row,
         CHANGE_MAX_BYTES),
    METADATA("/acr/v1/{name*}/_tags/{tag}", tag_),
    METADATA("/acr/v1/{name*}/_manifests/{digest}", manifest_),
    METADATA("/acr/v1/{name*}", ),
    PLAIN("GET", "/acr/v1/{name*}/_tags", acr_tags_row),
    PLAIN("GET", "/acr/v1/{name*}/_tags/{tag}", acr_tag_get_row),
    BODY("PATCH", "/acr/v1/{name*}/_tags/{tag}", acr_tag_patch_row, CHANGE_MAX_BYTES),
    PLAIN("DELETE", "/acr/v1/{name*}/_tags/{tag}", acr_tag_delete_row),
    PLAIN("GET", "/acr/v1/{name*}/_manifests", acr_manifests_row),
    PLAIN("GET", "/acr/v1/{name*}/_manifests/{digest}", acr_manifest_get_row),
    BODY("PATCH", "/acr/v1/{name*}/_manifests/{digest}", acr_manifest_patch_row, CHANGE_MAX_BYTES),
    PLAIN("GET", "/acr/v1/_usage", registry_usage_row),
    PLAIN("GET", "/acr/v1/{name*}/_usage", repository_usage_row),
    PLAIN("GET", "/acr/v1/{name*}", acr_get_row),
    BODY("PATCH", "/acr/v1/{name*}", acr_patch_row, CHANGE_MAX_BYTES),
    PLAIN("DELETE", "/acr/v1/{name*}", acr_delete_row),
    { 0 },
};

static void missing(struct http_request *req, bool is_method_wrong)
{
    if (is_method_wrong)
        reply_error_detail(req, &E_UNSUPPORTED, "the operation is unsupported", NULL);
    else
        reply_error_detail(req, &E_NOT_FOUND, "page not found", NULL);
}

static void fault(struct http_request *req, const struct error *err)
{
    reply_error(req, err);
}

static void done(struct http_request *req)
{
    oci_push_release(req);
    gate_done(req);
}

void plane_app(struct data_plane *plane, struct http_app *ret)
{
    *ret = (struct http_app){ .routes = routes,
                              .headers = reply_fields,
                              .id_header = REPLY_ID_HEADER,
                              .admit = gate_admit,
                              .missing = missing,
                              .fault = fault,
                              .done = done,
                              /* The published SDKs encode a repository's slashes. */
                              .takes_encoded_slashes = true,
                              .ctx = plane };
}

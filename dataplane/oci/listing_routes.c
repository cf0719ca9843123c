/* Tags, referrers and the catalog (OCI dist-spec end-8, end-12; Docker's _catalog). */
#include "dataplane/oci/routes.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "dataplane/call.h"
#include "dataplane/oci/manifest.h"
#include "dataplane/oci/reply.h"
#include "dataplane/plane.h"
#include "dataplane/store/listings.h"

#define TAGS_DEFAULT      1000
#define CATALOG_DEFAULT   1000
#define REFERRERS_DEFAULT 100
#define INDEX_TYPE        "application/vnd.oci.image.index.v1+json"

static struct json_object *json_names(const struct name_list *list)
{
    struct json_object *names = json_new_array();

    for (size_t i = 0; i < list->count; i++)
        json_add_text(names, list->names[i]);
    return names;
}

static void reply_unknown_name(struct http_request *req, const char *repository)
{
    struct json_object *detail = json_new_object();

    json_set_text(detail, "name", repository);
    reply_error_detail(req, &E_NAME_UNKNOWN, "repository name not known to registry", detail);
}

void oci_tags(struct http_request *req)
{
    const struct store *store = &call_of(req)->plane->store;
    const char *repository = reply_repository(req);
    struct name_list list;
    struct page page;
    struct error err = { 0 };

    if (!repository || !page_read(req, TAGS_DEFAULT, &page))
        return;
    int status = list_tags(store, req->arena, repository, page.last, page.count, &list, &err);
    if (status == 0) {
        reply_unknown_name(req, repository);
        return;
    }
    if (status < 0) {
        reply_error(req, &err);
        return;
    }
    if (list.has_more && list.count > 0)
        page_link(req, &page, list.names[list.count - 1], NULL, NULL);
    struct json_object *body = json_new_object();
    json_set_text(body, "name", repository);
    json_set(body, "tags", json_names(&list));
    reply_json(req, 200, body);
}

void oci_catalog(struct http_request *req)
{
    const struct store *store = &call_of(req)->plane->store;
    struct name_list list;
    struct page page;
    struct error err = { 0 };

    if (!page_read(req, CATALOG_DEFAULT, &page))
        return;
    if (list_repositories(store, req->arena, page.last, page.count, &list, &err) != 0) {
        reply_error(req, &err);
        return;
    }
    if (list.has_more && list.count > 0)
        page_link(req, &page, list.names[list.count - 1], NULL, NULL);
    struct json_object *body = json_new_object();
    json_set(body, "repositories", json_names(&list));
    reply_json(req, 200, body);
}

static struct json_object *json_descriptor(const struct referrer *r)
{
    struct json_object *d = json_new_object(), *annotations = NULL;
    char text[DIGEST_TEXT_MAX];
    struct error ignored = { 0 };

    digest_text(&r->digest, text);
    json_set_text(d, "mediaType", r->media_type);
    json_set_text(d, "digest", text);
    json_set_int(d, "size", r->size);
    if (r->artifact_type)
        json_set_text(d, "artifactType", r->artifact_type);
    if (r->annotations && json_parse_object(r->annotations, strlen(r->annotations),
                                            2 * MANIFEST_MAX_BYTES, &annotations, &ignored) == 0)
        json_set(d, "annotations", annotations);
    return d;
}

static void reply_referrers(struct http_request *req, const struct referrer_list *list)
{
    struct json_object *body = json_new_object(), *manifests = json_new_array();
    size_t len = 0;

    for (size_t i = 0; i < list->count; i++)
        json_add(manifests, json_descriptor(&list->items[i]));
    json_set_int(body, "schemaVersion", 2);
    json_set_text(body, "mediaType", INDEX_TYPE);
    json_set(body, "manifests", manifests);
    const char *text = json_print_len(req->arena, body, &len);
    json_put(body);
    http_reply_bytes(req, 200, INDEX_TYPE, text, len);
}

/* Never 404: a subject that is not there has no referrers. */
void oci_referrers(struct http_request *req)
{
    const struct store *store = &call_of(req)->plane->store;
    const char *repository = reply_repository(req), *type = http_query(req, "artifactType");
    struct referrer_list list;
    struct digest subject, last;
    struct page page;
    struct error err = { 0 };

    if (!repository)
        return;
    if (!digest_parse(req->params[1], &subject)) {
        reply_error_detail(req, &E_DIGEST_INVALID, "provided digest did not match the grammar",
                           NULL);
        return;
    }
    if (!page_read(req, REFERRERS_DEFAULT, &page))
        return;
    if (page.count == 0)
        page.count = 1;
    bool has_last = digest_parse(page.last, &last);
    if (list_referrers(store, req->arena, repository, &subject, type && *type ? type : NULL,
                       has_last ? &last : NULL, page.count, &list, &err) != 0) {
        reply_error(req, &err);
        return;
    }
    if (list.has_more) {
        char text[DIGEST_TEXT_MAX];
        digest_text(&list.items[list.count - 1].digest, text);
        page_link(req, &page, text, "artifactType", type && *type ? type : NULL);
    }
    if (type && *type)
        http_reply_header(req, "OCI-Filters-Applied", "artifactType");
    reply_referrers(req, &list);
}

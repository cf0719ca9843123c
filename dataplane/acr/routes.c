/* Showing, changing and removing through ACR's REST API. */
#include "dataplane/acr/routes.h"

#include "common/base/arena.h"
#include "common/base/error.h"
#include "common/json/json.h"
#include "dataplane/acr/render.h"
#include "dataplane/call.h"
#include "dataplane/oci/reference.h"
#include "dataplane/oci/reply.h"
#include "dataplane/plane.h"
#include "dataplane/store/cache.h"
#include "dataplane/store/snapshot.h"

#define PAGE_DEFAULT 100

static const struct store *store_of(const struct http_request *req)
{
    return &call_of(req)->plane->store;
}

static void reply_unknown_name(struct http_request *req, const char *repository)
{
    struct error err = { 0 };

    (void)fail(&err, &E_NAME_UNKNOWN, "repository \"%s\" is not found", repository);
    reply_error(req, &err);
}

static void reply_unknown_tag(struct http_request *req)
{
    struct error err = { 0 };

    (void)fail(&err, &E_TAG_UNKNOWN, "the specified tag does not exist");
    reply_error(req, &err);
}

static void reply_unknown_manifest(struct http_request *req)
{
    struct error err = { 0 };

    (void)fail(&err, &E_MANIFEST_UNKNOWN, "manifest unknown");
    reply_error(req, &err);
}

/* --- repositories ------------------------------------------------------------------------------
 */

void acr_repository_get(struct http_request *req)
{
    const char *repository = reply_repository(req);
    struct repository_detail detail;
    struct error err = { 0 };

    if (!repository)
        return;
    int status = repository_show(store_of(req), req->arena, repository, &detail, &err);
    if (status < 0)
        reply_error(req, &err);
    else if (status == 0)
        reply_unknown_name(req, repository);
    else
        reply_json(req, 200, acr_repository(req, repository, &detail));
}

void acr_repository_patch(struct http_request *req)
{
    const char *repository = reply_repository(req);
    struct attribute_change change;
    struct error err = { 0 };

    if (!repository || !acr_read_change(req, &change))
        return;
    int status = repository_change(store_of(req), req->arena, repository, &change, &err);
    content_cache_forget(call_of(req)->plane->cache, repository);
    if (status < 0)
        reply_error(req, &err);
    else if (status == 0)
        reply_unknown_name(req, repository);
    else
        acr_repository_get(req);
}

static struct json_object *names_json(const char *const *names, size_t count)
{
    struct json_object *list = json_new_array();

    for (size_t i = 0; i < count; i++)
        json_add_text(list, names[i]);
    return list;
}

void acr_repository_delete(struct http_request *req)
{
    struct data_plane *plane = call_of(req)->plane;
    const char *repository = reply_repository(req);
    struct repository_removal removal;
    struct error err = { 0 };

    if (!repository)
        return;
    int status =
        repository_remove(&plane->store, req->arena, repository,
                          call_of(req)->snapshot->policies.is_soft_delete_on, &removal, &err);
    content_cache_forget(plane->cache, repository);
    housekeeper_note_garbage(plane->housekeeper);
    housekeeper_note_expiry(plane->housekeeper);
    if (status < 0) {
        reply_error(req, &err);
    } else if (status == 0) {
        reply_unknown_name(req, repository);
    } else {
        struct json_object *body = json_new_object();
        json_set(body, "manifestsDeleted", names_json(removal.manifests, removal.manifest_count));
        json_set(body, "tagsDeleted", names_json(removal.tags, removal.tag_count));
        reply_json(req, 202, body);
    }
}

/* --- tags --------------------------------------------------------------------------------------
 */

static bool read_digest_filter(struct http_request *req, struct digest *ret, bool *ret_has)
{
    const char *text = http_query(req, "digest");

    *ret_has = text && *text;
    if (!*ret_has || digest_parse(text, ret))
        return true;
    reply_error_detail(req, &E_DIGEST_INVALID, "provided digest did not match the grammar", NULL);
    return false;
}

/* Past the end of a list there is none: acr-cli asks until then. */
static void set_page(struct http_request *req, struct json_object *body, const char *name,
                     struct json_object *page)
{
    const char *last = http_query(req, "last");

    if (last && last[0] && json_count(page) == 0)
        json_put(page);
    else
        json_set(body, name, page);
}

void acr_tags(struct http_request *req)
{
    const char *repository = reply_repository(req);
    struct repository_detail detail;
    struct tag_list list;
    struct digest digest;
    struct page page;
    struct error err = { 0 };
    bool has_digest = false;

    if (!repository || !page_read(req, PAGE_DEFAULT, &page) ||
        !read_digest_filter(req, &digest, &has_digest))
        return;
    if (list_tag_details(store_of(req), req->arena, repository, NULL, has_digest ? &digest : NULL,
                         acr_order(req), page.last, page.count, &list, &err) != 0) {
        reply_error(req, &err);
        return;
    }
    int status =
        list.count > 0 ? 1 : repository_show(store_of(req), req->arena, repository, &detail, &err);
    if (status < 0) {
        reply_error(req, &err);
        return;
    }
    if (status == 0) {
        reply_unknown_name(req, repository);
        return;
    }
    struct json_object *body = acr_envelope(req, repository), *tags = json_new_array();
    for (size_t i = 0; i < list.count; i++)
        json_add(tags, acr_tag(req, &list.items[i]));
    set_page(req, body, "tags", tags);
    if (list.has_more && list.count > 0)
        page_link(req, &page, list.items[list.count - 1].name, "orderby",
                  http_query(req, "orderby"));
    reply_json(req, 200, body);
}

void acr_tag_get(struct http_request *req)
{
    const char *repository = reply_repository(req);
    struct tag_list list;
    struct error err = { 0 };

    if (!repository)
        return;
    if (list_tag_details(store_of(req), req->arena, repository, req->params[1], NULL, ORDER_NAME,
                         "", 1, &list, &err) != 0) {
        reply_error(req, &err);
        return;
    }
    if (list.count == 0) {
        reply_unknown_tag(req);
        return;
    }
    struct json_object *body = acr_envelope(req, repository);
    json_set(body, "tag", acr_tag(req, &list.items[0]));
    reply_json(req, 200, body);
}

void acr_tag_patch(struct http_request *req)
{
    const char *repository = reply_repository(req);
    struct attribute_change change;
    struct error err = { 0 };

    if (!repository || !acr_read_change(req, &change))
        return;
    int status = tag_change(store_of(req), req->arena, repository, req->params[1], &change, &err);
    content_cache_forget_one(call_of(req)->plane->cache, repository, req->params[1]);
    if (status < 0)
        reply_error(req, &err);
    else if (status == 0)
        reply_unknown_tag(req);
    else
        acr_tag_get(req);
}

void acr_tag_delete(struct http_request *req)
{
    struct data_plane *plane = call_of(req)->plane;
    const char *repository = reply_repository(req);
    struct error err = { 0 };

    if (!repository)
        return;
    int status = tag_remove(&plane->store, req->arena, repository, req->params[1], &err);
    content_cache_forget_one(plane->cache, repository, req->params[1]);
    housekeeper_note_expiry(plane->housekeeper);
    if (status < 0)
        reply_error(req, &err);
    else if (status == 0)
        reply_unknown_tag(req);
    else
        http_reply_empty(req, 202);
}

/* --- manifests ---------------------------------------------------------------------------------
 */

void acr_manifests(struct http_request *req)
{
    const char *repository = reply_repository(req);
    struct manifest_list list;
    struct digest last;
    struct page page;
    struct error err = { 0 };

    if (!repository || !page_read(req, PAGE_DEFAULT, &page))
        return;
    bool has_last = digest_parse(page.last, &last);
    if (list_manifest_details(store_of(req), req->arena, repository, NULL, acr_order(req),
                              has_last ? &last : NULL, page.count, &list, &err) != 0) {
        reply_error(req, &err);
        return;
    }
    if (list.count == 0 && !has_last && page.count > 0) {
        reply_unknown_name(req, repository);
        return;
    }
    struct json_object *body = acr_envelope(req, repository), *manifests = json_new_array();
    for (size_t i = 0; i < list.count; i++)
        json_add(manifests, acr_manifest(req, &list.items[i]));
    set_page(req, body, "manifests", manifests);
    if (list.has_more && list.count > 0) {
        char text[DIGEST_TEXT_MAX];
        digest_text(&list.items[list.count - 1].digest, text);
        page_link(req, &page, text, "orderby", http_query(req, "orderby"));
    }
    reply_json(req, 200, body);
}

/* The digest of the path, or of the tag it names. False when it has replied. */
static bool read_manifest(struct http_request *req, const char *repository, struct digest *ret)
{
    struct tag_list list;
    struct error err = { 0 };

    switch (reference_parse(req->params[1], ret)) {
    case REFERENCE_DIGEST:
        return true;
    case REFERENCE_INVALID:
        reply_error_detail(req, &E_DIGEST_INVALID, "provided digest did not match the grammar",
                           NULL);
        return false;
    case REFERENCE_TAG:
        break;
    }
    if (list_tag_details(store_of(req), req->arena, repository, req->params[1], NULL, ORDER_NAME,
                         "", 1, &list, &err) != 0) {
        reply_error(req, &err);
        return false;
    }
    if (list.count == 0) {
        reply_unknown_manifest(req);
        return false;
    }
    *ret = list.items[0].digest;
    return true;
}

static void show_manifest(struct http_request *req, const char *repository,
                          const struct digest *digest)
{
    struct manifest_list list;
    struct error err = { 0 };

    if (list_manifest_details(store_of(req), req->arena, repository, digest, ORDER_NAME, NULL, 1,
                              &list, &err) != 0) {
        reply_error(req, &err);
        return;
    }
    if (list.count == 0) {
        reply_unknown_manifest(req);
        return;
    }
    struct json_object *body = acr_envelope(req, repository);
    json_set(body, "manifest", acr_manifest(req, &list.items[0]));
    reply_json(req, 200, body);
}

void acr_manifest_get(struct http_request *req)
{
    const char *repository = reply_repository(req);
    struct digest digest;

    if (repository && read_manifest(req, repository, &digest))
        show_manifest(req, repository, &digest);
}

/* Who judges images is not who describes them. */
static bool may_change_quarantine(struct http_request *req, const char *repository,
                                  const struct attribute_change *change)
{
    if ((!change->quarantine_state && !change->quarantine_details) ||
        call_may(call_of(req), repository, ACT_QUARANTINE_WRITE))
        return true;
    call_of(req)->rule = "permission";
    reply_error_detail(req, &E_DENIED, "requested access to the resource is denied", NULL);
    return false;
}

void acr_manifest_patch(struct http_request *req)
{
    const char *repository = reply_repository(req);
    struct attribute_change change;
    struct digest digest;
    struct error err = { 0 };

    if (!repository || !acr_read_change(req, &change) ||
        !may_change_quarantine(req, repository, &change) ||
        !read_manifest(req, repository, &digest))
        return;
    int status = manifest_change(store_of(req), req->arena, repository, &digest, &change, &err);
    /* Its tags are known by other names. */
    content_cache_forget(call_of(req)->plane->cache, repository);
    if (status < 0)
        reply_error(req, &err);
    else if (status == 0)
        reply_unknown_manifest(req);
    else
        show_manifest(req, repository, &digest);
}

/* What was soft-deleted: listing it, and bringing it back (ACR's "_deleted" paths). */
#include "dataplane/acr/routes.h"

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"
#include "common/json/json.h"
#include "dataplane/acr/render.h"
#include "dataplane/call.h"
#include "dataplane/oci/reference.h"
#include "dataplane/oci/reply.h"
#include "dataplane/plane.h"
#include "dataplane/store/bin.h"
#include "dataplane/store/cache.h"

#define PAGE_DEFAULT 100

static const struct store *store_of(const struct http_request *req)
{
    return &call_of(req)->plane->store;
}

/* A listing's status: false when it has replied. */
static bool check_listed(struct http_request *req, const char *repository, int status,
                         struct error *err)
{
    if (status == 0)
        (void)fail(err, &E_NAME_UNKNOWN, "repository \"%s\" has no deleted content", repository);
    if (status != 1)
        reply_error(req, err);
    return status == 1;
}

void acr_deleted_catalog(struct http_request *req)
{
    struct name_list list;
    struct page page;
    struct error err = { 0 };

    if (!page_read(req, PAGE_DEFAULT, &page))
        return;
    if (bin_repositories(store_of(req), req->arena, page.last, page.count, &list, &err) != 0) {
        reply_error(req, &err);
        return;
    }
    if (list.has_more && list.count > 0)
        page_link(req, &page, list.names[list.count - 1], NULL, NULL);
    struct json_object *body = json_new_object(), *names = json_new_array();
    for (size_t i = 0; i < list.count; i++)
        json_add_text(names, list.names[i]);
    json_set(body, "repositories", names);
    reply_json(req, 200, body);
}

void acr_deleted_manifests(struct http_request *req)
{
    const char *repository = reply_repository(req);
    struct binned_manifest_list list;
    struct digest last;
    struct page page;
    struct error err = { 0 };

    if (!repository || !page_read(req, PAGE_DEFAULT, &page))
        return;
    bool has_last = digest_parse(page.last, &last);
    if (!check_listed(req, repository,
                      bin_manifests(store_of(req), req->arena, repository, has_last ? &last : NULL,
                                    page.count, &list, &err),
                      &err))
        return;
    struct json_object *body = acr_envelope(req, repository), *manifests = json_new_array();
    for (size_t i = 0; i < list.count; i++) {
        struct json_object *one = acr_manifest(req, &list.items[i].detail);
        json_set_text(one, "deletedAt", clock_arm(req->arena, list.items[i].deleted_us));
        json_add(manifests, one);
    }
    json_set(body, "manifests", manifests);
    if (list.has_more && list.count > 0) {
        char text[DIGEST_TEXT_MAX];
        digest_text(&list.items[list.count - 1].detail.digest, text);
        page_link(req, &page, text, NULL, NULL);
    }
    reply_json(req, 200, body);
}

void acr_deleted_tags(struct http_request *req)
{
    const char *repository = reply_repository(req);
    struct binned_tag_list list;
    struct page page;
    struct error err = { 0 };
    char text[DIGEST_TEXT_MAX];

    if (!repository || !page_read(req, PAGE_DEFAULT, &page) ||
        !check_listed(
            req, repository,
            bin_tags(store_of(req), req->arena, repository, page.last, page.count, &list, &err),
            &err))
        return;
    struct json_object *body = acr_envelope(req, repository), *tags = json_new_array();
    for (size_t i = 0; i < list.count; i++) {
        struct json_object *one = json_new_object();
        digest_text(&list.items[i].digest, text);
        json_set_text(one, "tag", list.items[i].name);
        json_set_text(one, "digest", text);
        json_set_text(one, "deletedAt", clock_arm(req->arena, list.items[i].deleted_us));
        json_add(tags, one);
    }
    json_set(body, "tags", tags);
    if (list.has_more && list.count > 0)
        page_link(req, &page,
                  arena_printf(req->arena, "%s@%s", list.items[list.count - 1].name, text), NULL,
                  NULL);
    reply_json(req, 200, body);
}

/* {"tag": T}; without a body, or with null, the manifest comes back without a tag. */
static bool read_tag(struct http_request *req, const char **ret)
{
    struct json_object *body = NULL;
    struct error err = { 0 };

    *ret = NULL;
    if (req->body_len == 0)
        return true;
    if (json_parse_object(req->body, req->body_len, req->body_len, &body, &err) != 0) {
        reply_error(req, &err);
        return false;
    }
    (void)json_own(req->arena, body);
    *ret = json_text(body, "tag");
    if (!*ret || tag_is_valid(*ret))
        return true;
    reply_error_detail(req, &E_TAG_INVALID, "manifest tag did not match the grammar", NULL);
    return false;
}

void acr_deleted_restore(struct http_request *req)
{
    const char *repository = reply_repository(req), *tag = NULL;
    const char *force = http_query(req, "force");
    struct digest digest;
    struct error err = { 0 };

    if (!repository || !read_tag(req, &tag))
        return;
    if (!digest_parse(req->params[1], &digest)) {
        reply_error_detail(req, &E_DIGEST_INVALID, "provided digest did not match the grammar",
                           NULL);
        return;
    }
    int status = bin_restore(store_of(req), req->arena, repository, &digest, tag,
                             text_eq_nocase(force, "true"), &err);
    content_cache_forget(call_of(req)->plane->cache, repository);
    housekeeper_note_garbage(call_of(req)->plane->housekeeper);
    if (status == 0)
        (void)fail(&err, &E_MANIFEST_UNKNOWN, "manifest %s is not deleted", req->params[1]);
    if (status == 1)
        acr_manifest_get(req);
    else
        reply_error(req, &err);
}

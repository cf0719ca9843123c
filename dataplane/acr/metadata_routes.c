/* Key-values on repositories, tags and manifests (ACR's "_metadata" paths, a preview there). A list
 * shows them as JSON; one key is served as the bytes and the type it was put with. */
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
#include "dataplane/store/metadata.h"

enum owner_kind { OF_REPOSITORY, OF_TAG, OF_MANIFEST };

struct subject {
    struct metadata_owner owner;
    struct digest digest;
    const char *key;
};

/* Replies and returns false when the path names nothing. */
static bool read_subject(struct http_request *req, enum owner_kind kind, bool has_key,
                         struct subject *ret)
{
    *ret = (struct subject){ .owner.repository = reply_repository(req) };
    if (!ret->owner.repository)
        return false;
    if (kind == OF_TAG)
        ret->owner.tag = req->params[1];
    if (kind == OF_MANIFEST) {
        if (!digest_parse(req->params[1], &ret->digest)) {
            reply_error_detail(req, &E_DIGEST_INVALID, "provided digest did not match the grammar",
                               NULL);
            return false;
        }
        ret->owner.digest = &ret->digest;
    }
    if (!has_key)
        return true;
    ret->key = req->params[kind == OF_REPOSITORY ? 1 : 2];
    if (tag_is_valid(ret->key))
        return true;
    reply_error_detail(req, &E_NAME_INVALID, "metadata key did not match the grammar of tags",
                       NULL);
    return false;
}

static void reply_unknown_owner(struct http_request *req, const struct subject *s)
{
    struct error err = { 0 };

    if (s->owner.tag)
        (void)fail(&err, &E_TAG_UNKNOWN, "the specified tag does not exist");
    else if (s->owner.digest)
        (void)fail(&err, &E_MANIFEST_UNKNOWN, "manifest unknown");
    else
        (void)fail(&err, &E_NAME_UNKNOWN, "repository \"%s\" is not found",
                   s->owner.repository);
    reply_error(req, &err);
}

static void reply_unknown_key(struct http_request *req, const char *key)
{
    struct error err = { 0 };

    (void)fail_at(&err, &E_METADATA_UNKNOWN, key, "metadata key \"%s\" is not found", key);
    reply_error(req, &err);
}

/* --- reading -----------------------------------------------------------------------------------
 */

static struct json_object *render(struct http_request *req, const struct metadata_value *v)
{
    struct json_object *o = json_new_object(), *value = NULL;
    char *text = arena_strndup(req->arena, v->bytes ? v->bytes : "", v->len);
    struct error ignored = { 0 };

    json_set_text(o, "name", v->key);
    json_set_text(o, "mediaType", v->media_type);
    if (text_eq(v->media_type, "application/json") &&
        json_parse(text, v->len, v->len, JSON_STRICT, &value, &ignored) == 0)
        json_set(o, "value", value);
    else
        json_set_text(o, "value", text);
    json_set_text(o, "createdTime", clock_arm(req->arena, v->created_us));
    json_set_text(o, "lastUpdateTime", clock_arm(req->arena, v->updated_us));
    return o;
}

static void get(struct http_request *req, enum owner_kind kind, bool has_key)
{
    struct metadata_list list;
    struct subject s;
    struct error err = { 0 };

    if (!read_subject(req, kind, has_key, &s))
        return;
    int status =
        metadata_get(&call_of(req)->plane->store, req->arena, &s.owner, s.key, &list, &err);
    if (status < 0) {
        reply_error(req, &err);
        return;
    }
    if (status == 0) {
        reply_unknown_owner(req, &s);
        return;
    }
    if (has_key && list.count == 0) {
        reply_unknown_key(req, s.key);
        return;
    }
    if (has_key) {
        http_reply_bytes(req, 200, list.items[0].media_type, list.items[0].bytes,
                         list.items[0].len);
        return;
    }
    struct json_object *body = acr_envelope(req, s.owner.repository), *values = json_new_array();
    for (size_t i = 0; i < list.count; i++)
        json_add(values, render(req, &list.items[i]));
    if (kind != OF_REPOSITORY)
        json_set_text(body, kind == OF_TAG ? "tag" : "digest", req->params[1]);
    json_set(body, "metadata", values);
    reply_json(req, 200, body);
}

/* --- writing -----------------------------------------------------------------------------------
 */

/* The type without its parameters; NULL when it is none of the two. */
static const char *value_type(struct http_request *req)
{
    static const char *const types[] = { "text/plain", "application/json" };
    const char *header = http_header(req, "Content-Type");
    const char *type =
        header ? arena_strndup(req->arena, header, strcspn(header, "; \t")) : types[0];

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (text_eq_nocase(type, types[i]))
            return types[i];
    }
    return NULL;
}

static bool read_value(struct http_request *req, struct metadata_value *ret)
{
    struct json_object *value = NULL;
    struct error err = { 0 };
    bool is_ok = true;

    ret->media_type = value_type(req);
    ret->bytes = req->body;
    ret->len = req->body_len;
    if (!ret->media_type) {
        reply_error_detail(req, &E_CONTENT_ENCODING, "metadata is text/plain or application/json",
                           NULL);
        return false;
    }
    if (text_eq(ret->media_type, "application/json"))
        is_ok = json_parse(req->body, req->body_len, req->body_len, JSON_STRICT, &value, &err) == 0;
    else if (!text_is_utf8(req->body, req->body_len) || strlen(req->body) != req->body_len)
        is_ok = fail(&err, &E_INVALID, "The value is not text in UTF-8.") == 0;
    json_put(value);
    if (!is_ok)
        reply_error(req, &err);
    return is_ok;
}

static void put(struct http_request *req, enum owner_kind kind)
{
    struct metadata_value value;
    struct subject s;
    struct error err = { 0 };

    if (!read_subject(req, kind, true, &s) || !read_value(req, &value))
        return;
    value.key = s.key;
    int status = metadata_set(&call_of(req)->plane->store, req->arena, &s.owner, &value, &err);
    if (status < 0)
        reply_error(req, &err);
    else if (status == 0)
        reply_unknown_owner(req, &s);
    else
        http_reply_empty(req, 201);
}

static void drop(struct http_request *req, enum owner_kind kind)
{
    struct subject s;
    struct error err = { 0 };

    if (!read_subject(req, kind, true, &s))
        return;
    int status = metadata_remove(&call_of(req)->plane->store, req->arena, &s.owner, s.key, &err);
    if (status < 0)
        reply_error(req, &err);
    else if (status == 0)
        reply_unknown_key(req, s.key);
    else
        http_reply_empty(req, 202);
}

/* --- one row of routes for each kind -----------------------------------------------------------
 */

void acr_metadata_list(struct http_request *req)
{
    get(req, OF_REPOSITORY, false);
}

void acr_metadata_get(struct http_request *req)
{
    get(req, OF_REPOSITORY, true);
}

void acr_metadata_put(struct http_request *req)
{
    put(req, OF_REPOSITORY);
}

void acr_metadata_delete(struct http_request *req)
{
    drop(req, OF_REPOSITORY);
}

void acr_tag_metadata_list(struct http_request *req)
{
    get(req, OF_TAG, false);
}

void acr_tag_metadata_get(struct http_request *req)
{
    get(req, OF_TAG, true);
}

void acr_tag_metadata_put(struct http_request *req)
{
    put(req, OF_TAG);
}

void acr_tag_metadata_delete(struct http_request *req)
{
    drop(req, OF_TAG);
}

void acr_manifest_metadata_list(struct http_request *req)
{
    get(req, OF_MANIFEST, false);
}

void acr_manifest_metadata_get(struct http_request *req)
{
    get(req, OF_MANIFEST, true);
}

void acr_manifest_metadata_put(struct http_request *req)
{
    put(req, OF_MANIFEST);
}

void acr_manifest_metadata_delete(struct http_request *req)
{
    drop(req, OF_MANIFEST);
}

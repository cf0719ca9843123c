/* PUT on the storage host: a source in one piece (Put Blob), a block of one (Put Block), or the order of
 * its blocks (Put Block List). */
#include "controlplane/storage/call.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/text.h"

#include "controlplane/provision/region.h"
#include "controlplane/storage/block_list.h"

/* Conditions and checksums that are not looked at are not taken either. */
static const char *const unsupported[] = {
    "Content-MD5", "x-ms-content-crc64", "If-Match", "If-Modified-Since", "If-Unmodified-Since",
    "x-ms-lease-id", "x-ms-if-tags", "x-ms-copy-source", "x-ms-structured-body",
    "x-ms-encryption-key", "x-ms-encryption-scope",
};

static int check_headers(struct http_request *req, bool is_blob, struct error *err)
{
    const char *unless = http_header(req, "If-None-Match"), *type = http_header(req, "x-ms-blob-type");

    for (size_t i = 0; i < ARRAY_LEN(unsupported); i++) {
        if (http_header(req, unsupported[i]))
            return fail(err, &E_BLOB_UNSUPPORTED,
                        "The header %s is not supported for the upload of a source.", unsupported[i]);
    }
    if (unless && !text_eq(unless, "*"))
        return fail(err, &E_BLOB_HEADER, "Of If-None-Match only '*' is supported.");
    if (is_blob && !text_eq_nocase(type, "BlockBlob"))
        return fail(err, &E_BLOB_HEADER, "The header x-ms-blob-type must be BlockBlob.");
    return 0;
}

static int find_source(struct http_request *req, struct error *err)
{
    struct storage_call *call = storage_call_of(req);
    const struct region *region;
    const char *name = source_name_of(req->arena, call->link.blob);

    if (storage_find_registry(req, err))
        return -1;
    region = region_find(call->control->regions, call->registry->location);
    if (!name || !region)
        return fail(err, &E_BLOB_NOT_FOUND, "The specified blob does not exist.");
    call->source = (struct source){ .control = call->control, .region = region,
                                    .registry_uid = call->link.container, .name = name };
    if (http_header(req, "If-None-Match") && source_exists(req->arena, &call->source))
        return fail(err, &E_SOURCE_EXISTS, "The specified blob already exists.");
    return 0;
}

static void free_upload(struct storage_call *call)
{
    source_free(call->write);
    call->write = NULL;
    str_done(&call->list);
    call->list = (struct str){ 0 };
}

static void refuse(struct http_request *req, const struct error *err)
{
    free_upload(storage_call_of(req));
    storage_reply_error(req, err);
}

static int begin(struct http_request *req, struct error *err)
{
    struct storage_call *call = storage_call_of(req);
    const char *what = http_query(req, "comp");

    call->block_id = http_query(req, "blockid");
    if (what && !text_eq_nocase(what, "block") && !text_eq_nocase(what, "blocklist"))
        return fail(err, &E_BLOB_QUERY, "The value '%.64s' of comp is not supported.", what);
    if (text_eq_nocase(what, "block") && !(call->block_id && block_id_is_valid(call->block_id)))
        return fail(err, &E_BLOB_QUERY, "The blockid must be base64 of 1 to %d bytes.", BLOCK_ID_MAX);
    if (check_headers(req, !what, err) || find_source(req, err))
        return -1;
    if (text_eq_nocase(what, "blocklist")) {
        str_init(&call->list, BLOCK_LIST_BYTES);
        return 0;
    }
    return source_begin(&call->source, what ? call->block_id : NULL, &call->write, err);
}

static void upload_begin(struct http_request *req)
{
    struct error err;

    if (begin(req, &err))
        refuse(req, &err);
}

static void upload_data(struct http_request *req, const void *bytes, size_t len)
{
    struct storage_call *call = storage_call_of(req);
    struct error err;

    if (!call->write)
        str_append(&call->list, bytes, len);
    if (call->write ? source_add(call->write, bytes, len, &err) : str_check(&call->list, &err))
        refuse(req, &err);
}

static int commit(struct http_request *req, struct error *err)
{
    struct storage_call *call = storage_call_of(req);
    const char **ids = NULL;
    size_t count = 0;

    return block_list_parse(req->arena, call->list.data, call->list.len, &ids, &count, err) ||
                   source_commit(req->arena, &call->source, ids, count, err)
               ? -1
               : 0;
}

static void upload_end(struct http_request *req)
{
    struct storage_call *call = storage_call_of(req);
    bool is_block = call->write && text_eq_nocase(http_query(req, "comp"), "block");
    int64_t now_us = clock_wall_us();
    struct error err;

    if (call->write ? source_end(call->write, &err) : commit(req, &err)) {
        refuse(req, &err);
        return;
    }
    free_upload(call);
    storage_headers(req);
    http_reply_header(req, "x-ms-request-server-encrypted", "true");
    if (!is_block) {
        http_reply_headerf(req, "ETag", "\"0x%llX\"", (long long)now_us);
        http_reply_header(req, "Last-Modified", clock_http(req->arena, now_us));
    }
    http_reply_empty(req, 201);
}

static void upload_abort(struct http_request *req)
{
    free_upload(storage_call_of(req));
}

const struct http_sink storage_upload = { .begin = upload_begin,
                                          .data = upload_data,
                                          .end = upload_end,
                                          .abort = upload_abort };

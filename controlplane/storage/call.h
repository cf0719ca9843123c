/* One request to the storage host: what it is about, and answers in the form of a blob service. */
#ifndef PORTOLAN_STORAGE_CALL_H
#define PORTOLAN_STORAGE_CALL_H

#include "common/base/cleanup.h"
#include "common/base/str.h"
#include "common/http/server.h"

#include "controlplane/control.h"
#include "controlplane/storage/link.h"
#include "controlplane/storage/sources.h"
#include "controlplane/store/resources.h"

struct storage_call {
    struct control *control;
    struct link link;
    struct resource *registry;
    struct source source;
    struct source_write *write;
    struct str list;    /* of a block list, as it comes */
    const char *block_id;
    const char *refusal; /* for the log */
};

extern const struct error_code E_BLOB_NOT_FOUND;   /* 404 BlobNotFound */
extern const struct error_code E_BLOB_HEADER;      /* 400 InvalidHeaderValue */
extern const struct error_code E_BLOB_UNSUPPORTED; /* 400 UnsupportedHeader */
extern const struct error_code E_BLOB_QUERY;       /* 400 InvalidQueryParameterValue */

struct storage_call *storage_call_of(const struct http_request *req);
/* Headers of every answer; then the answer is the caller's. */
void storage_headers(struct http_request *req);
void storage_reply_error(struct http_request *req, const struct error *err);
/* Fills call->registry: one that is there and stays. */
MUST_CHECK int storage_find_registry(struct http_request *req, struct error *err);

/* upload.c: PUT of a source, whole, by blocks, or a list of them. */
extern const struct http_sink storage_upload;
/* run_log.c: GET and HEAD of a run's log. */
void storage_serve_log(struct http_request *req);

#endif

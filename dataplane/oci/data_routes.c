/* Dedicated data endpoints: with them, a GET of a blob on the login server answers 307 with a
 * signed link, and the data endpoint serves such links and nothing else. Uploads and everything
 * besides stay on the login server. */
#include "common/base/error.h"
#include "dataplane/auth/link.h"
#include "dataplane/call.h"
#include "dataplane/oci/content.h"
#include "dataplane/oci/reply.h"
#include "dataplane/oci/routes.h"
#include "dataplane/store/snapshot.h"

static void redirect(struct http_request *req)
{
    const char *repository = reply_repository(req);
    struct digest digest;
    struct blob_ref ref;
    struct error err = { 0 };

    if (!repository)
        return;
    if (!digest_parse(req->params[1], &digest)) {
        reply_error_detail(req, &E_DIGEST_INVALID, "provided digest did not match the grammar",
                           NULL);
        return;
    }
    int status = content_blob(call_of(req), req->arena, repository, &digest, &ref, &err);
    if (status == 0)
        (void)fail_at(&err, &E_BLOB_UNKNOWN, req->params[1], "blob unknown to registry");
    if (status != 1) {
        reply_error(req, &err);
        return;
    }
    http_reply_header(req, "Location", link_make(req, repository, req->params[1]));
    http_reply_header(req, "Docker-Content-Digest", req->params[1]);
    http_reply_header(req, "Cache-Control", "no-store");
    http_reply_empty(req, 307);
}

enum http_verdict oci_login_blob_get_fast(struct http_request *req)
{
    return call_of(req)->snapshot->data_host ? HTTP_NEEDS_WORKER : oci_blob_get_fast(req);
}

void oci_login_blob_get(struct http_request *req)
{
    if (call_of(req)->snapshot->data_host)
        redirect(req);
    else
        oci_blob_get(req);
}

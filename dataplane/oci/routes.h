/* The handlers of /v2, and the table rows that name them stand in dataplane/routes.c. */
#ifndef PORTOLAN_OCI_ROUTES_H
#define PORTOLAN_OCI_ROUTES_H

#include "common/http/server.h"

enum http_verdict oci_root(struct http_request *req); /* GET /v2/ */
void oci_root_run(struct http_request *req);

/* blob_routes.c */
enum http_verdict oci_blob_head_fast(struct http_request *req);
enum http_verdict oci_blob_get_fast(struct http_request *req);
void oci_blob_get(struct http_request *req); /* GET and HEAD */
void oci_blob_delete(struct http_request *req);

/* data_routes.c: GET on the login server, which may lead to the data endpoint. */
enum http_verdict oci_login_blob_get_fast(struct http_request *req);
void oci_login_blob_get(struct http_request *req);

/* push_routes.c */
extern const struct http_sink oci_push_post; /* begins an upload, or is one */
extern const struct http_sink oci_push_patch;
extern const struct http_sink oci_push_put;
void oci_push_status(struct http_request *req);
void oci_push_cancel(struct http_request *req);
/* Lets go of what a request still holds when it is over. */
void oci_push_release(struct http_request *req);

/* manifest_routes.c */
enum http_verdict oci_manifest_fast(struct http_request *req);
void oci_manifest_get(struct http_request *req); /* GET and HEAD */
void oci_manifest_put(struct http_request *req);
void oci_manifest_delete(struct http_request *req);

/* listing_routes.c */
void oci_tags(struct http_request *req);
void oci_referrers(struct http_request *req);
void oci_catalog(struct http_request *req);

#endif

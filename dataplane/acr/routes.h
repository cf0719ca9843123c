/* The handlers of /acr/v1 (ACR's data-plane REST API). */
#ifndef PORTOLAN_ACR_ROUTES_H
#define PORTOLAN_ACR_ROUTES_H

#include "common/http/server.h"

void acr_repository_get(struct http_request *req);
void acr_repository_patch(struct http_request *req);
void acr_repository_delete(struct http_request *req);
void acr_tags(struct http_request *req);
void acr_tag_get(struct http_request *req);
void acr_tag_patch(struct http_request *req);
void acr_tag_delete(struct http_request *req);
void acr_manifests(struct http_request *req);
void acr_manifest_get(struct http_request *req);
void acr_manifest_patch(struct http_request *req);

/* usage_routes.c */
void acr_registry_usage(struct http_request *req);
void acr_repository_usage(struct http_request *req);

/* deleted_routes.c */
void acr_deleted_catalog(struct http_request *req);
void acr_deleted_manifests(struct http_request *req);
void acr_deleted_tags(struct http_request *req);
void acr_deleted_restore(struct http_request *req);

/* metadata_routes.c */
void acr_metadata_list(struct http_request *req);
void acr_metadata_get(struct http_request *req);
void acr_metadata_put(struct http_request *req);
void acr_metadata_delete(struct http_request *req);
void acr_tag_metadata_list(struct http_request *req);
void acr_tag_metadata_get(struct http_request *req);
void acr_tag_metadata_put(struct http_request *req);
void acr_tag_metadata_delete(struct http_request *req);
void acr_manifest_metadata_list(struct http_request *req);
void acr_manifest_metadata_get(struct http_request *req);
void acr_manifest_metadata_put(struct http_request *req);
void acr_manifest_metadata_delete(struct http_request *req);

#endif

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

#endif

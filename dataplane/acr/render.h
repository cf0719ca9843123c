/* The JSON of ACR's objects, and the decoding of its attribute changes. */
#ifndef PORTOLAN_ACR_RENDER_H
#define PORTOLAN_ACR_RENDER_H

#include "common/base/cleanup.h"
#include "common/json/fields.h"
#include "dataplane/store/listings.h"

struct http_request;
struct json_object;

/* {registry, imageName}, to which the rest is added. */
struct json_object *acr_envelope(const struct http_request *req, const char *repository);
struct json_object *acr_repository(struct http_request *req, const char *repository,
                                   const struct repository_detail *d);
struct json_object *acr_tag(struct http_request *req, const struct tag_detail *d);
struct json_object *acr_manifest(struct http_request *req, const struct manifest_detail *d);
/* The request's body; replies and returns false when it is not acceptable. */
MUST_CHECK bool acr_read_change(struct http_request *req, struct attribute_change *ret);
/* ?orderby; unknown values read as the default order. */
enum list_order acr_order(struct http_request *req);

/* For the test that proves it well formed. */
extern const struct field acr_change_fields[];
size_t acr_change_size(void);

#endif

/* From a request's body and what is stored to the new desired state, by the type's table alone. Pure:
 * no database, no request. */
#ifndef PORTOLAN_API_BODY_H
#define PORTOLAN_API_BODY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"

#include "controlplane/types/type.h"

struct arena;
struct error;
struct json_object;

struct body_request {
    struct json_object *members; /* what the table knows and this version shows; owned by the arena */
    struct json_object *tags;    /* NULL unless given; never JSON null */
    bool has_tags;
    const char *location;        /* NULL unless given */
    char **unknown;              /* paths that were ignored */
    size_t unknown_count;
};

/* Parses and sorts a PUT or PATCH body; the caps and refusals of the JSON door, as
 * E_INVALID_CONTENT. */
MUST_CHECK int body_read(struct arena *a, const struct resource_type *type, const char *api_version,
                         const char *text, size_t len, struct body_request *ret,
                         struct error *err);

/* E_INVALID_TAGS unless it is an object of tags as resources have them. */
MUST_CHECK int body_check_tags(const struct json_object *tags, struct error *err);

struct body_change {
    const struct resource_type *type;
    const char *api_version;
    const struct json_object *was; /* stored body, NULL on create */
    struct json_object *request;   /* body_request.members */
    bool is_patch;
    enum sku parent_sku;           /* for children */
    const char *time;              /* for stamps */
};

/* The new body (owned by a), decoded into *ret_decoded: defaults, merge, checks of the table,
 * immutability, validate(), gates, stamps. */
MUST_CHECK int body_desired(struct arena *a, const struct body_change *change,
                            struct json_object **ret, void **ret_decoded, struct error *err);
/* Decodes a stored body, with defaults laid under it (older rows lack newer members). */
MUST_CHECK int body_decode(struct arena *a, const struct resource_type *type,
                           const struct json_object *body, void **ret, struct error *err);
/* Removes the member at path, if it is there. */
void body_unset(struct arena *a, struct json_object *object, const char *path);

#endif

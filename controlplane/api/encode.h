/* A stored resource as a version shows it. */
#ifndef PORTOLAN_API_ENCODE_H
#define PORTOLAN_API_ENCODE_H

struct arena;
struct control;
struct json_object;
struct resource;
struct resource_type;

/* Defaults under the stored body, status over it, the type's last touch; then only the members this
 * version shows, no secrets, in the table's order. Changes r->body in place: call it last. The
 * caller owns the result. */
struct json_object *resource_encode(struct arena *a, struct control *control,
                                    const struct resource_type *type, const char *api_version,
                                    struct resource *r);

#endif

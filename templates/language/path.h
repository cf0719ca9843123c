/* Where in a template something stands, as a path of members: "resources[2].type". */
#ifndef PORTOLAN_TEMPLATES_PATH_H
#define PORTOLAN_TEMPLATES_PATH_H

#include <stdint.h>

struct arena;
struct value;

/* The innermost value below root that begins at or before the place (offset + 1, as values carry
 * it); "" for root itself and for a place that is not known. */
char *path_at(struct arena *a, const struct value *root, uint32_t at);

#endif

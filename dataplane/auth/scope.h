/* Scopes: what a token may do (docker token auth "resource scope", with ACR's actions), and
 * permissions, which are scopes whose name may be a pattern: "*", or a prefix, "/" and "*". */
#ifndef PORTOLAN_AUTH_SCOPE_H
#define PORTOLAN_AUTH_SCOPE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/cleanup.h"

struct arena;
struct json_object;

enum scope_kind { SCOPE_REPOSITORY, SCOPE_CATALOG, SCOPE_DELETED_CATALOG, SCOPE_KIND_MAX };

#define ACT_PULL             (1u << 0)
#define ACT_PUSH             (1u << 1)
#define ACT_DELETE           (1u << 2)
#define ACT_METADATA_READ    (1u << 3)
#define ACT_METADATA_WRITE   (1u << 4)
#define ACT_DELETED_READ     (1u << 5)
#define ACT_DELETED_RESTORE  (1u << 6)
#define ACT_QUARANTINE_READ  (1u << 7) /* pull what has not passed */
#define ACT_QUARANTINE_WRITE (1u << 8)
#define ACT_ALL              ((1u << 9) - 1)

#define SCOPES_MAX 512 /* of one request; the rest is not looked at, so not granted */

struct scope {
    enum scope_kind kind;
    const char *name; /* of a repository, or a pattern; "" for the other kinds */
    unsigned actions;
};

struct scopes {
    struct scope *items;
    size_t count;
};

/* Each text holds scopes separated by spaces: "repository:a/b:pull,push". Malformed and unknown
 * ones are left out: they grant nothing, which is no error. */
void scopes_parse(struct arena *a, const char *const *texts, size_t count, struct scopes *ret);
/* From and to the list form [{"type","name","actions":[]}] of permissions and of token claims. */
void scopes_read(struct arena *a, const struct json_object *list, struct scopes *ret);
struct json_object *scopes_json(const struct scopes *scopes);
/* asked ∩ allowed; entries with nothing left are dropped. ret may be asked. */
void scopes_intersect(struct arena *a, const struct scopes *asked, const struct scopes *allowed,
                      struct scopes *ret);
/* All of actions on name. */
bool scopes_allow(const struct scopes *scopes, enum scope_kind kind, const char *name,
                  unsigned actions);
/* "repository:a/b:pull,push" for challenges. */
char *scope_text(struct arena *a, enum scope_kind kind, const char *name, unsigned actions);
/* The last named action, as ACR's error detail shows one. */
const char *scope_action_name(unsigned actions);

#endif

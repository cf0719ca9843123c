/* The template engine, pure: text and a context in, a plan out; it reads no clock, file, network
 * or random source. Everything made lives in the caller's arena. A plan at plan time keeps what
 * needs run time (reference(), references(), list*()) as expressions with all else put in, so a
 * plan's JSON stands alone: template_resolve() finishes a body later from that JSON and a runtime,
 * in another process if need be.
 *
 * Errors are 400 InvalidTemplate with the recorded texts; template_fault says where. A hostile
 * template runs into budgets of steps, bytes and depth, never into memory or time. */
#ifndef PORTOLAN_TEMPLATES_TEMPLATE_H
#define PORTOLAN_TEMPLATES_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

struct arena;
struct error;
struct json_object;
struct value;

#define TEMPLATE_BYTES_MAX      ((size_t)4 * 1024 * 1024)
#define TEMPLATE_PARAMETERS_MAX 256
#define TEMPLATE_VARIABLES_MAX  256
#define TEMPLATE_OUTPUTS_MAX    64
#define TEMPLATE_RESOURCES_MAX  800
#define TEMPLATE_NESTED_MAX     8 /* levels of nested deployments expanded in one plan */

enum template_scope {
    SCOPE_RESOURCE_GROUP,
    SCOPE_SUBSCRIPTION,
    SCOPE_MANAGEMENT_GROUP,
    SCOPE_TENANT,
    SCOPE_MAX
};

/* What reference() and list*() ask at run time. Each returns 0 with a new reference in *ret (NULL
 * is JSON null), or -1 with *err. id is a full resource id; api_version is NULL when the call gave
 * none (then the resource is of this template). */
struct template_runtime {
    void *ctx;
    /* is_full: the whole resource as reference(…, 'Full') shows it; else its properties. */
    int (*reference)(void *ctx, const char *id, const char *api_version, bool is_full,
                     struct json_object **ret, struct error *err);
    /* function is as written, e.g. "listCredentials"; body may be NULL. */
    int (*list)(void *ctx, const char *function, const char *id, const char *api_version,
                const struct json_object *body, struct json_object **ret, struct error *err);
};

/* Where and by whom a template is deployed. Texts may be NULL where they do not apply. */
struct template_context {
    enum template_scope scope;
    const char *tenant_id, *tenant_name, *country_code;
    const char *subscription_id, *subscription_name;
    const char *resource_group, *resource_group_location, *resource_group_managed_by;
    const struct json_object *resource_group_tags;
    const char *management_group;
    const char *deployment_name, *deployment_location, *deployment_mode;
    const char *template_link; /* uri of a linked template */
    const char *deployer_object_id, *deployer_name;
    const struct json_object *environment; /* what environment() gives; NULL: the public cloud */
    const struct json_object *providers;   /* [{namespace, resourceTypes}], for providers() */
    const struct json_object *external_inputs; /* {name: {value}}, for externalInputs() */
    /* The version of a type that resources without one have under an apiProfile; NULL: none. */
    const char *(*profile_version)(const char *type);
    int64_t now_us;   /* utcNow(): wall clock microseconds when the deployment was accepted */
    const char *seed; /* newGuid(): anything secret and random that stays with the deployment */
    const struct template_runtime *runtime; /* NULL: plan time */
};

struct template_fault {
    int line, column; /* 0: not tied to a place */
    const char *path; /* "resources[2].type"; NULL or "" when there is none */
};

struct plan_edge {
    size_t node;
    bool is_implied; /* from reference() or list*() by id, not written by name */
};

/* One resource of the expanded template. */
struct plan_node {
    const char *symbol;      /* language version 2.0, e.g. "registry" or "creds[0]"; NULL in 1.0 */
    const char *id;          /* full resource id */
    const char *type, *name; /* full, without the provider path: "ns/a/b", "x/y" */
    const char *api_version, *location;
    bool is_existing; /* read, not deployed */
    bool is_skipped;  /* its condition is false */
    const char *loop; /* its copy loop, or NULL */
    int64_t loop_index;
    int line, column;         /* of the resource in the template text; 0: unknown */
    const struct value *body; /* what is PUT: type, name, apiVersion, location, properties, … */
    struct plan_edge *edges;  /* what must be finished before it starts */
    size_t edge_count;
    struct plan *nested;      /* of Microsoft.Resources/deployments with a template inside */
    const char *nested_error; /* why a nested template is not expanded before run time; or NULL */
    const struct value *nested_parameters; /* {name: {value|reference}} */
};

struct plan_output {
    const char *name, *type; /* "String", "SecureString", … */
    const struct value *value;
    bool is_secure;
};

struct plan_parameter {
    const char *name, *type;
    const struct value *value;
    bool is_secure;
};

struct plan {
    enum template_scope scope;
    bool is_v2;
    const char *content_version;
    struct template_context context; /* of this (nested) deployment */
    struct plan_node *nodes;
    size_t node_count;
    size_t *order; /* indexes of nodes, dependencies first; skipped ones included */
    struct plan_parameter *parameters;
    size_t parameter_count;
    struct plan_output *outputs;
    size_t output_count;
    const char *template_hash; /* decimal */
};

/* Parses, checks and expands. parameters is {name: {value: …}} (the "parameters" member of a
 * parameter file or request, secrets already fetched; an "expression" may stand for the value) or
 * NULL. fault may be NULL. */
MUST_CHECK int template_plan(struct arena *a, const char *text, size_t len,
                             const struct json_object *parameters,
                             const struct template_context *context, struct plan **ret,
                             struct template_fault *fault, struct error *err);
/* Finishes a value of a plan: expressions in json (as template_json() gives it) are evaluated
 * against context->runtime. ret_secure (may be NULL) lists the paths that hold secrets. */
MUST_CHECK int template_resolve(struct arena *a, const struct json_object *json,
                                const struct template_context *context, struct json_object **ret,
                                char ***ret_secure, size_t *ret_secure_count, struct error *err);
/* The same as a value, with its marks. */
MUST_CHECK int template_resolve_value(struct arena *a, const struct json_object *json,
                                      const struct template_context *context,
                                      const struct value **ret, struct error *err);
/* A value of a plan as JSON (the caller's reference). Expressions that wait for run time stand as
 * "[…]", texts that only look like one as "[[…]". With is_redacted secrets are null. */
struct json_object *template_json(const struct value *v, bool is_redacted);
/* The same as a body is sent: nothing escaped. For values without deferred parts. */
struct json_object *template_json_final(const struct value *v);
bool template_is_deferred(const struct value *v);
/* Paths ("properties.password", "properties.users[0].key") of v that hold secrets. */
size_t template_secure_paths(struct arena *a, const struct value *v, char ***ret_paths);

/* One expression, e.g. "concat('a', 'b')" or with its brackets. */
MUST_CHECK int template_eval(struct arena *a, const char *expression,
                             const struct template_context *context, struct json_object **ret,
                             size_t *ret_at, struct error *err);
/* calculateTemplateHash: decimal hash, and the canonical minified template (may be NULL). */
MUST_CHECK int template_hash(struct arena *a, const char *text, size_t len, const char **ret_hash,
                             const char **ret_minified, struct error *err);

/* A finding of lint: not an error, but worth a look. */
struct template_finding {
    int line, column;
    const char *code;
    const char *message;
    struct template_finding *next;
};
/* Checks a template without parameter values: grammar, every expression, unused parameters and
 * variables, secrets in outputs. Findings in order of place; -1 when the template is invalid. */
MUST_CHECK int template_lint(struct arena *a, const char *text, size_t len,
                             struct template_finding **ret, struct template_fault *fault,
                             struct error *err);

/* The whole plan: {templateHash, parameters, resources: [{id, dependsOn, body…}], outputs}; nested
 * plans inside. With is_redacted secrets are null. */
struct json_object *plan_json(const struct plan *p, bool is_redacted);
/* The dependency graph as Mermaid text. */
char *plan_mermaid(struct arena *a, const struct plan *p);
/* The Markdown table of all functions. */
char *template_functions_markdown(struct arena *a);

#endif

/* A deployment that somebody asks for: read, planned and checked, but not yet begun. PUT, validate,
 * whatIf and nested deployments all start here. */
#ifndef PORTOLAN_DEPLOYMENTS_SUBMISSION_H
#define PORTOLAN_DEPLOYMENTS_SUBMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

#include "controlplane/deployments/scope.h"
#include "controlplane/deployments/secrets.h"

struct arena;
struct caller;
struct control;
struct deployment;
struct error;
struct http_app;
struct json_object;
struct pg_conn;
struct plan;
struct plan_node;
struct template_context;
struct template_fault;

struct submission {
    /* Given. */
    struct arena *arena;
    struct control *control;
    const struct http_app *app;
    const struct caller *caller;
    const char *correlation_id;
    const char *peer_text;
    const char *scope_id, *name;
    const struct json_object *request; /* {location, tags, properties} */
    const char *request_text; /* as it came, so that errors tell its lines; NULL: made here */
    size_t request_len;
    const char *parent_uid;            /* of a nested one */
    const char *stack_uid;             /* of the stack it belongs to; NULL: none */
    /* What is written in the transaction that accepts it, before its own row; may be NULL. */
    int (*beside)(struct pg_conn *conn, struct arena *a, void *ctx, const struct deployment *row,
                  struct error *err);
    void *beside_ctx;
    const char *parent_link;           /* what relativePath is relative to; NULL: nothing */
    const char *shown_template;        /* what export shows; NULL: the template itself */
    const struct json_object *inherited_secrets; /* texts to mask; NULL: none */
    bool is_replay; /* the template's text and parameters come from history */
    struct submission *root; /* of one inside another that is planned ahead; NULL: it runs */
    int level;               /* of deployments around it */

    /* Found out. */
    struct deploy_scope scope;
    const char *id, *key;
    const char *mode, *location;
    const char *template_link; /* uri, or id of a template spec's version; NULL: not linked */
    struct json_object *fetched;    /* values of key vault references */
    struct json_object *references; /* {name: reference} of the parameters they are for */
    const char *validation_level;
    const char *template_text;
    struct json_object *payload; /* {template, parameters, context, secrets, link} */
    struct template_context *context;
    struct plan *plan;
    struct secrets secrets;
    int ahead_count; /* deployments inside that were planned ahead, and until when others may be */
    int64_t ahead_until_ms;
    struct json_object *failure; /* owned by the arena: what err cannot hold of the answer */
    int failure_status;
};

/* Scope, rights, request, template, plan. -1 with *err, and with s->failure for template errors. */
MUST_CHECK int submission_plan(struct submission *s, struct error *err);
/* Whether every resource of the plan could be written: s->failure as documented when not. */
MUST_CHECK int submission_preflight(struct submission *s, struct error *err);
/* Stores it as Accepted. *ret_replaced: one of that name was there. */
MUST_CHECK int submission_accept(struct submission *s, struct deployment **ret,
                                 bool *ret_replaced, struct error *err);
/* Whether this service has resources of the node's type. */
bool submission_provides(struct arena *a, const struct plan_node *n);
/* What shown tells of it. */
struct json_object *submission_shown(struct submission *s);
/* [{id}] of what the plan deploys, nested ones' included. */
struct json_object *submission_resources(struct submission *s);

/* From what a run has unsealed. */
MUST_CHECK int payload_plan(struct arena *a, const struct json_object *payload,
                            struct template_context *context, struct plan **ret,
                            struct template_fault *fault, struct error *err);

#endif

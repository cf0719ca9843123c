/* One request to a vault host, and what the operations on keys and secrets share: who may do what,
 * attributes, paging, answers. */
#ifndef PORTOLAN_KEYVAULT_CALL_H
#define PORTOLAN_KEYVAULT_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/http/server.h"
#include "common/pg/pg.h"

#include "controlplane/control.h"
#include "controlplane/identity/identity.h"
#include "controlplane/store/resources.h"
#include "controlplane/store/vaults.h"

struct error;
struct json_object;

#define VAULT_BODY_MAX_BYTES 262144
#define VAULT_BACKUP_MAX_BYTES (6u << 20) /* of a request that brings one */

struct vault_call {
    struct http_request *req;
    struct arena *arena;
    struct control *control;
    struct caller caller;
    const char *challenge; /* for a 401 */
    const char *api_version;
    struct resource *vault;
    struct json_object *body;     /* of what has one */
    const char *name;             /* as written; NULL of a collection */
    struct vault_query query;     /* of the object the path names */
    const char *version;          /* as a uuid; NULL: the newest */
    bool has_version;             /* the path names one */
    struct vault_version object;  /* as an operation found or made it */
    int found;
};

/* What a route does: replies, or fails. */
struct vault_endpoint {
    enum vault_kind kind;
    const char *right;   /* of an access policy: "get"; NULL: none but signing in */
    const char *action;  /* of RBAC, below "Microsoft.KeyVault/vaults/": "secrets/getSecret/action" */
    bool needs_body;
    bool has_name;       /* the first parameter of the path */
    bool has_version;    /* the second one, if it is there */
    bool is_deleted;     /* it is about deleted objects */
    int (*run)(struct vault_call *v, struct error *err);
};

extern const struct error_code E_VAULT_PARAMETER;     /* 400 BadParameter */
extern const struct error_code E_VAULT_MISSING;       /* 404 VaultNotFound */
extern const struct error_code E_KEY_NOT_FOUND;       /* 404 KeyNotFound */
extern const struct error_code E_OBJECT_DELETED;      /* 409 Conflict: deleted but recoverable */
extern const struct error_code E_OBJECT_DISABLED;     /* 403 Forbidden: disabled, or not now */
extern const struct error_code E_PURGE_PROTECTED;     /* 403 Forbidden */

/* 401 with the challenge; needs no database. */
void vault_refuse(struct http_request *req);
void vault_serve(struct http_request *req);
void vault_reply_error(struct http_request *req, const struct error *err);
void vault_reply(struct vault_call *v, int status, struct json_object *value);
/* Runs in a transaction that keeps the vault where it is. */
MUST_CHECK int vault_transact(struct vault_call *v, pg_work *fn, void *ctx, struct error *err);
/* Fills v->object; KeyNotFound or SecretNotFound. */
MUST_CHECK int vault_load(struct vault_call *v, struct error *err);
int vault_fail_missing(const struct vault_call *v, struct error *err);
/* Refuses a name that is not 1 to 127 letters, digits and '-'. */
MUST_CHECK int vault_check_name(const char *name, struct error *err);
/* "https://name.vault…/secrets/x[/version]"; of deleted ones below deletedsecrets. */
char *vault_object_id(const struct vault_call *v, const struct vault_version *object,
                      bool has_version);
char *vault_recovery_id(const struct vault_call *v, const struct vault_version *object);
/* Attributes, tags and what marks a deleted object, into `out`. */
void vault_show_common(const struct vault_call *v, const struct vault_version *object,
                       struct json_object *out);
/* What the request's body says of attributes and tags, over *object. */
MUST_CHECK int vault_read_common(struct vault_call *v, struct vault_version *object,
                                 struct error *err);
/* 32 hex digits as the uuid they are; NULL: something else. */
const char *vault_version_uuid(struct arena *a, const char *version);
/* Says of what E_INVALID is about that it is a parameter; -1. */
int vault_fail_parameter(struct error *err);
/* What the wrapped value is bound to. */
char *vault_context(struct arena *a, const char *version_uid);

/* objects.c: what keys and secrets have in common. */
MUST_CHECK int vault_run_list(struct vault_call *v, struct error *err);
MUST_CHECK int vault_run_versions(struct vault_call *v, struct error *err);
MUST_CHECK int vault_run_show(struct vault_call *v, struct error *err);
MUST_CHECK int vault_run_delete(struct vault_call *v, struct error *err);
MUST_CHECK int vault_run_recover(struct vault_call *v, struct error *err);
MUST_CHECK int vault_run_purge(struct vault_call *v, struct error *err);
MUST_CHECK int vault_run_change(struct vault_call *v, struct error *err);
/* The object as its kind is shown: with a version and, of a secret, with its value when there is
 * one. */
struct json_object *vault_bundle(const struct vault_call *v, const struct vault_version *object,
                                 const char *value);
/* As an entry of a list. */
struct json_object *vault_item(const struct vault_call *v, const struct vault_version *object,
                               bool has_version);

extern const struct vault_endpoint secret_set, secret_get, secret_change, secret_delete, secret_list,
    secret_versions, secret_deleted_list, secret_deleted, secret_recover, secret_purge, secret_backup,
    secret_restore;
extern const struct vault_endpoint key_create, key_import, key_get, key_change, key_delete, key_list,
    key_versions, key_deleted_list, key_deleted, key_recover, key_purge, key_rotate, key_encrypt,
    key_decrypt, key_wrap, key_unwrap, key_sign, key_verify, key_backup, key_restore, key_policy,
    key_policy_set;

#endif

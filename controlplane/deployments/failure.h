/* Errors as deployments nest them: {code, message, target?, details?, additionalInfo?}. */
#ifndef PORTOLAN_DEPLOYMENTS_FAILURE_H
#define PORTOLAN_DEPLOYMENTS_FAILURE_H

#include "common/base/error.h"

struct arena;
struct json_object;
struct template_fault;

extern const struct error_code E_DEPLOYMENT_NOT_FOUND;  /* 404 */
extern const struct error_code E_DEPLOYMENT_ACTIVE;     /* 409 */
extern const struct error_code E_DEPLOYMENT_LOCATION;   /* 409 InvalidDeploymentLocation */
extern const struct error_code E_DEPLOYMENT_QUOTA;      /* 409 DeploymentQuotaExceeded */
extern const struct error_code E_DEPLOYMENT_NAME;       /* 400 InvalidDeploymentName */
extern const struct error_code E_CONTENT_LINK;          /* 400 InvalidContentLink */
extern const struct error_code E_KEY_VAULT_REFERENCE;   /* 400: no such vault */
extern const struct error_code E_KEY_VAULT_RIGHTS;      /* 403: not for this caller */
extern const struct error_code E_KEY_VAULT_SECRET;      /* 400: the vault does not give it */
extern const struct error_code E_NOT_CANCELABLE;        /* 409 DeploymentCannotBeCancelled */
extern const struct error_code E_DEPLOYMENT_DEPTH;      /* 400 InvalidTemplate */
extern const struct error_code E_DEPLOYMENT_REFERENCE;  /* 400: reference() or list*() failed */

/* All of these are the caller's references. */
struct json_object *failure_new(const char *code, const char *target, const char *message);
/* Adds to details; takes the reference of detail. */
void failure_add(struct json_object *failure, struct json_object *detail);
struct json_object *failure_of(const struct error *err);
/* A template's: with the place, when known. */
struct json_object *failure_at(const struct error *err, const struct template_fault *fault);

#endif

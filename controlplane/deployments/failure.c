/* Errors of deployments: see the header. */
#include "controlplane/deployments/failure.h"

#include "common/json/json.h"
#include "templates/language/template.h"

const struct error_code E_DEPLOYMENT_NOT_FOUND = { "DeploymentNotFound", 404 };
const struct error_code E_DEPLOYMENT_ACTIVE = { "DeploymentActive", 409 };
const struct error_code E_DEPLOYMENT_LOCATION = { "InvalidDeploymentLocation", 409 };
const struct error_code E_DEPLOYMENT_QUOTA = { "DeploymentQuotaExceeded", 409 };
const struct error_code E_DEPLOYMENT_NAME = { "InvalidDeploymentName", 400 };
const struct error_code E_CONTENT_LINK = { "InvalidContentLink", 400 };
const struct error_code E_KEY_VAULT_REFERENCE = { "KeyVaultParameterReferenceNotFound", 400 };
const struct error_code E_KEY_VAULT_RIGHTS = { "KeyVaultParameterReferenceAuthorizationFailed",
                                               403 };
const struct error_code E_KEY_VAULT_SECRET = { "KeyVaultParameterReferenceSecretRetrieveFailed",
                                               400 };
const struct error_code E_NOT_CANCELABLE = { "DeploymentCannotBeCancelled", 409 };
const struct error_code E_DEPLOYMENT_DEPTH = { "InvalidTemplate", 400 };
const struct error_code E_DEPLOYMENT_REFERENCE = { "InvalidTemplate", 400 };

struct json_object *failure_new(const char *code, const char *target, const char *message)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "code", code);
    if (target && target[0])
        json_set_text(out, "target", target);
    json_set_text(out, "message", message);
    return out;
}

void failure_add(struct json_object *failure, struct json_object *detail)
{
    if (!json_has(failure, "details"))
        json_set(failure, "details", json_new_array());
    json_add(json_at(failure, "details"), detail);
}

struct json_object *failure_of(const struct error *err)
{
    const char *code = err->code == &E_FORBIDDEN ? "AuthorizationFailed"
                       : err->code == &E_INVALID ? "InvalidRequestContent"
                                                 : err->code->name;
    struct json_object *out = failure_new(code, err->target, err->message);

    for (const struct error_detail *d = err->details; d; d = d->next)
        failure_add(out, failure_new(d->code->name, d->target, d->message));
    return out;
}

struct json_object *failure_at(const struct error *err, const struct template_fault *fault)
{
    struct json_object *out = failure_of(err);
    struct json_object *list, *one, *info;

    if (!fault->line)
        return out;
    list = json_new_array();
    one = json_new_object();
    info = json_new_object();
    json_set_int(info, "lineNumber", fault->line);
    json_set_int(info, "linePosition", fault->column);
    json_set_text(info, "path", fault->path);
    json_set_text(one, "type", "TemplateViolation");
    json_set(one, "info", info);
    json_add(list, one);
    json_set(out, "additionalInfo", list);
    return out;
}

/* The management API as an OpenAPI 3.0 document, from the same tables that answer it: a path for
 * every type, collection and action, a schema for every table of members, and a path for every endpoint
 * that is no resource. */
#include "controlplane/api/dump.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/fields.h"
#include "common/json/json.h"

#include "controlplane/api/endpoint.h"
#include "controlplane/api/pipeline.h"
#include "controlplane/api/routes.h"
#include "controlplane/types/all.h"
#include "controlplane/types/versions.h"

#define SUBSCRIPTION_PATH "/subscriptions/{subscriptionId}"
#define GROUP_PATH        SUBSCRIPTION_PATH "/resourceGroups/{resourceGroupName}"
#define SCHEMA_REF        "#/components/schemas/"
#define PATH_DEPTH_MAX    16
#define PATHS_MAX         1024

static const char *const json_types[FIELD_KIND_MAX] = {
    [FIELD_TEXT] = "string", [FIELD_BOOL] = "boolean",    [FIELD_INT] = "integer",
    [FIELD_TIME] = "string", [FIELD_TEXT_LIST] = "array", [FIELD_TEXT_MAP] = "object",
    [FIELD_LIST] = "array",  [FIELD_JSON] = NULL,
};

struct writer {
    struct arena *a;
    struct json_object *schemas;
    struct path {
        const char *text;
        struct json_object *methods;
    } paths[PATHS_MAX];
    size_t path_count;
};

static struct json_object *new_of_type(const char *type)
{
    struct json_object *out = json_new_object();

    if (type)
        json_set_text(out, "type", type);
    return out;
}

static struct json_object *ref_to(struct arena *a, const char *schema)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "$ref", arena_printf(a, SCHEMA_REF "%s", schema));
    return out;
}

static struct json_object *schema_of(struct arena *a, const struct field *table);

/* Patterns of the tables match whole values. */
static void limit_text(struct arena *a, const struct field *f, struct json_object *schema)
{
    struct json_object *values;

    if (f->oneof) {
        values = json_new_array();
        for (size_t i = 0; f->oneof[i]; i++)
            json_add_text(values, f->oneof[i]);
        json_set(schema, "enum", values);
    }
    if (f->pattern)
        json_set_text(schema, "pattern", arena_printf(a, "^(%s)$", f->pattern));
}

static struct json_object *field_schema(struct arena *a, const struct field *f)
{
    struct json_object *out = new_of_type(json_types[f->kind]);
    struct json_object *items = NULL;
    struct json_object *def = NULL;
    struct error ignored = { 0 };

    if (f->kind == FIELD_TEXT)
        limit_text(a, f, out);
    if (f->kind == FIELD_TIME)
        json_set_text(out, "format", "date-time");
    if (f->kind == FIELD_TEXT_LIST || f->kind == FIELD_TEXT_MAP)
        items = new_of_type("string");
    if (f->kind == FIELD_TEXT_LIST)
        limit_text(a, f, items);
    if (f->kind == FIELD_LIST)
        items = schema_of(a, f->of);
    if (items)
        json_set(out, f->kind == FIELD_TEXT_MAP ? "additionalProperties" : "items", items);
    if (f->kind == FIELD_TEXT && f->min > 0)
        json_set_int(out, "minLength", f->min);
    if (f->kind == FIELD_TEXT && f->max > 0)
        json_set_int(out, "maxLength", f->max);
    if (f->kind == FIELD_INT && (f->min || f->max)) {
        json_set_int(out, "minimum", f->min);
        json_set_int(out, "maximum", f->max);
    }
    if (f->flags & FIELD_NULLABLE)
        json_set_bool(out, "nullable", true);
    if (f->flags & FIELD_READ_ONLY)
        json_set_bool(out, "readOnly", true);
    if (f->flags & FIELD_SECRET)
        json_set_bool(out, "writeOnly", true);
    if (f->def &&
        json_parse(f->def, strlen(f->def), strlen(f->def), JSON_STRICT, &def, &ignored) == 0)
        json_set(out, "default", def);
    return out;
}

static struct json_object *member_of(struct json_object *object, const char *name,
                                     struct json_object *(*make)(void))
{
    struct json_object *member = json_has(object, name) ? json_at(object, name) : NULL;

    if (!member) {
        member = make();
        json_set(object, name, member);
    }
    return member;
}

static struct json_object *new_object_schema(void)
{
    return new_of_type("object");
}

static void require(struct json_object *schema, const char *name)
{
    struct json_object *list = member_of(schema, "required", json_new_array);

    json_add_text(list, name);
}

/* Dotted paths become objects inside objects. */
static void add_member(struct arena *a, struct json_object *schema, const struct field *f)
{
    const char *at = f->path;
    const char *dot;
    char *name;

    for (int depth = 0; (dot = strchr(at, '.')) != NULL && depth < PATH_DEPTH_MAX; depth++) {
        name = arena_strndup(a, at, (size_t)(dot - at));
        schema =
            member_of(member_of(schema, "properties", json_new_object), name, new_object_schema);
        at = dot + 1;
    }
    json_set(member_of(schema, "properties", json_new_object), at, field_schema(a, f));
    if (f->flags & FIELD_REQUIRED)
        require(schema, at);
}

static struct json_object *schema_of(struct arena *a, const struct field *table)
{
    struct json_object *out = new_object_schema();

    for (const struct field *f = table; f->path; f++)
        add_member(a, out, f);
    return out;
}

static void add_read_only(struct json_object *properties, const char *name)
{
    struct json_object *text = new_of_type("string");

    json_set_bool(text, "readOnly", true);
    json_set(properties, name, text);
}

static const char *schema_name(struct arena *a, const struct resource_type *type)
{
    char *name = arena_strdup(a, type->name);

    for (char *c = name; *c; c++) {
        if (*c == '/')
            *c = '.';
    }
    return name;
}

static void add_type_schema(struct writer *w, const struct resource_type *type)
{
    struct json_object *schema = schema_of(w->a, type->fields);
    struct json_object *properties = member_of(schema, "properties", json_new_object);
    struct json_object *tags;

    json_set_text(schema, "description", type->description);
    add_read_only(properties, "id");
    add_read_only(properties, "name");
    add_read_only(properties, "type");
    if (type->is_tracked) {
        tags = new_object_schema();
        json_set(tags, "additionalProperties", new_of_type("string"));
        json_set(properties, "tags", tags);
        json_set(properties, "location", new_of_type("string"));
    }
    if (!type->hides_system_data)
        json_set(properties, "systemData", ref_to(w->a, "SystemData"));
    json_set(w->schemas, schema_name(w->a, type), schema);
}

static struct json_object *parameter(const char *name, const char *in, struct json_object *schema)
{
    struct json_object *out = json_new_object();

    json_set_text(out, "name", name);
    json_set_text(out, "in", in);
    json_set_bool(out, "required", true);
    json_set(out, "schema", schema);
    return out;
}

/* "registries" → "registryName" would need a dictionary; the type's own segment is clear enough. */
static const char *name_parameter(struct arena *a, const struct resource_type *type)
{
    return type->scope == SCOPE_SUBSCRIPTION
               ? "resourceGroupName"
               : arena_printf(a, "%sName", strrchr(type->name, '/') + 1);
}

static const char *collection_path(struct arena *a, const struct resource_type *type);

static const char *item_path(struct arena *a, const struct resource_type *type)
{
    if (type->scope == SCOPE_SUBSCRIPTION)
        return GROUP_PATH;
    return arena_printf(a, "%s/{%s}", collection_path(a, type), name_parameter(a, type));
}

static const char *collection_path(struct arena *a, const struct resource_type *type)
{
    if (type->scope == SCOPE_SUBSCRIPTION)
        return SUBSCRIPTION_PATH "/resourceGroups";
    if (type->parent)
        return arena_printf(a, "%s/%s", item_path(a, type->parent), strrchr(type->name, '/') + 1);
    return arena_printf(a, GROUP_PATH "/providers/%s", type->name);
}

static void add_name_parameters(struct writer *w, const struct resource_type *type,
                                const char *path, struct json_object *list)
{
    struct json_object *schema;

    if (type->parent)
        add_name_parameters(w, type->parent, path, list);
    if (!strstr(path, arena_printf(w->a, "{%s}", name_parameter(w->a, type))))
        return;
    schema = new_of_type("string");
    json_set_int(schema, "minLength", (int64_t)type->name_min);
    json_set_int(schema, "maxLength", (int64_t)type->name_max);
    json_set_text(schema, "pattern", arena_printf(w->a, "^(%s)$", type->pattern));
    json_add(list, parameter(name_parameter(w->a, type), "path", schema));
}

static void add_subscription_parameter(struct json_object *list)
{
    struct json_object *uuid = new_of_type("string");

    json_set_text(uuid, "format", "uuid");
    json_add(list, parameter("subscriptionId", "path", uuid));
}

/* NULL: which ones there are depends on what the path names. */
static void add_version_parameter(const char *const *versions, struct json_object *list)
{
    struct json_object *schema = new_of_type("string"), *out, *values;

    if (versions) {
        values = json_new_array();
        for (const char *const *v = versions; *v; v++)
            json_add_text(values, *v);
        json_set(schema, "enum", values);
    }
    out = parameter("api-version", "query", schema);
    if (!versions)
        json_set_bool(out, "required", false);
    json_add(list, out);
}

static struct json_object *parameters_of(struct writer *w, const struct resource_type *type,
                                         const char *path)
{
    struct json_object *list = json_new_array();

    add_subscription_parameter(list);
    if (strstr(path, "{resourceGroupName}") && type->scope != SCOPE_SUBSCRIPTION)
        json_add(list, parameter("resourceGroupName", "path", new_of_type("string")));
    add_name_parameters(w, type, path, list);
    add_version_parameter(type->api_versions, list);
    return list;
}

static struct json_object *content_of(struct json_object *schema)
{
    struct json_object *media = json_new_object();
    struct json_object *content = json_new_object();

    json_set(media, "schema", schema);
    json_set(content, "application/json", media);
    return content;
}

static void add_response(struct json_object *responses, const char *status, const char *description,
                         struct json_object *schema)
{
    struct json_object *response = json_new_object();

    json_set_text(response, "description", description);
    if (schema)
        json_set(response, "content", content_of(schema));
    json_set(responses, status, response);
}

static struct json_object *list_schema(struct writer *w, const struct resource_type *type)
{
    struct json_object *out = new_object_schema();
    struct json_object *properties = member_of(out, "properties", json_new_object);
    struct json_object *value = new_of_type("array");

    json_set(value, "items", ref_to(w->a, schema_name(w->a, type)));
    json_set(properties, "value", value);
    json_set(properties, "nextLink", new_of_type("string"));
    require(out, "value");
    return out;
}

static struct json_object *responses_of(struct writer *w, const struct resource_type *type,
                                        const struct verb *verb)
{
    struct json_object *out = json_new_object();
    struct json_object *schema = verb->target == TARGET_COLLECTION
                                     ? list_schema(w, type)
                                     : ref_to(w->a, schema_name(w->a, type));
    bool is_write = text_eq(verb->method, "PUT") || text_eq(verb->method, "PATCH");

    if (text_eq(verb->method, "HEAD")) {
        json_put(schema);
        add_response(out, "204", "It is there.", NULL);
        add_response(out, "404", "It is not there.", NULL);
        add_response(out, "default", "Why not.", NULL);
        return out;
    }
    if (text_eq(verb->method, "DELETE")) {
        json_put(schema);
        add_response(out, "200", "It is gone.", NULL);
        add_response(out, "202", "It is being deleted; Location tells when it is gone.", NULL);
        add_response(out, "204", "It was not there.", NULL);
    } else {
        if (is_write)
            add_response(out, "201", "The change goes on; Azure-AsyncOperation tells how far.",
                         json_get(schema));
        add_response(out, "200", "As it is.", schema);
    }
    add_response(out, "default", "Why not.", ref_to(w->a, "Error"));
    return out;
}

static void add_operation(struct writer *w, const char *path, const char *method,
                          struct json_object *operation)
{
    struct path *p = w->paths;

    while (p < w->paths + w->path_count && !text_eq(p->text, path))
        p++;
    if (p == w->paths + w->path_count) {
        if (++w->path_count > PATHS_MAX)
            abort();
        *p = (struct path){ path, json_new_object() };
    }
    json_set(p->methods, text_lower(w->a, method), operation);
}

static void add_verb(struct writer *w, const struct resource_type *type, const struct verb *verb,
                     const char *path, const char *suffix)
{
    struct json_object *operation = json_new_object();
    struct json_object *body;

    json_set_text(operation, "operationId",
                  arena_printf(w->a, "%s_%s%s", schema_name(w->a, type), verb->method, suffix));
    json_set_text(operation, "x-permission",
                  arena_printf(w->a, "%s/%s", type->rbac ? type->rbac : type->name, verb->rbac));
    json_set(operation, "parameters", parameters_of(w, type, path));
    if (text_eq(verb->method, "PUT") || text_eq(verb->method, "PATCH")) {
        body = json_new_object();
        json_set_bool(body, "required", true);
        json_set(body, "content",
                 content_of(text_eq(verb->method, "PUT") ? ref_to(w->a, schema_name(w->a, type))
                                                         : new_object_schema()));
        json_set(operation, "requestBody", body);
    }
    json_set(operation, "responses", responses_of(w, type, verb));
    add_operation(w, path, verb->method, operation);
}

static void add_action(struct writer *w, const struct resource_type *type,
                       const struct action *action)
{
    struct json_object *operation = json_new_object();
    struct json_object *responses = json_new_object();
    struct json_object *body;
    const char *path = action->is_on_subscription
                           ? arena_printf(w->a, SUBSCRIPTION_PATH "/providers/%.*s/%s",
                                          (int)strcspn(type->name, "/"), type->name, action->name)
                           : arena_printf(w->a, "%s/%s", item_path(w->a, type), action->name);

    json_set_text(operation, "operationId",
                  arena_printf(w->a, "%s_%s", schema_name(w->a, type), action->name));
    json_set_text(operation, "description", action->description);
    json_set(operation, "parameters", parameters_of(w, type, path));
    if (action->query)
        json_add(json_at(operation, "parameters"),
                 parameter(action->query, "query", new_of_type("string")));
    if (action->request) {
        body = json_new_object();
        json_set_bool(body, "required", true);
        json_set(body, "content", content_of(schema_of(w->a, action->request)));
        json_set(operation, "requestBody", body);
    }
    add_response(responses, "200", "The answer.", new_of_type(NULL));
    add_response(responses, "202", "It goes on; Location tells when it is over.", NULL);
    add_response(responses, "default", "Why not.", ref_to(w->a, "Error"));
    json_set(operation, "responses", responses);
    add_operation(w, path, action->method, operation);
}

static bool refuses(const struct resource_type *type, const char *method)
{
    return (text_eq(method, "PUT") && (type->refuses & REFUSES_PUT)) ||
           (text_eq(method, "PATCH") && (type->refuses & REFUSES_PATCH)) ||
           (text_eq(method, "DELETE") && (type->refuses & REFUSES_DELETE));
}

static void add_type(struct writer *w, const struct resource_type *type)
{
    add_type_schema(w, type);
    for (const struct verb *v = verbs; v->method; v++) {
        if (v->target == TARGET_ACTION || refuses(type, v->method))
            continue;
        if (v->target == TARGET_ITEM) {
            add_verb(w, type, v, item_path(w->a, type), "");
            continue;
        }
        add_verb(w, type, v, collection_path(w->a, type), "_list");
        if (type->scope == SCOPE_GROUP)
            add_verb(w, type, v, arena_printf(w->a, SUBSCRIPTION_PATH "/providers/%s", type->name),
                     "_listBySubscription");
    }
    for (const struct action *x = type->actions; x && x->name; x++)
        add_action(w, type, x);
}

/* Endpoints that are no resources ---------------------------------------------------------------- */

/* What routes call otherwise than the paths of types do. */
static const struct {
    const char *route, *shown;
} parameter_names[] = {
    { "subscription", "subscriptionId" },
    { "group", "resourceGroupName" },
};

/* The name of the parameter at "{": without the mark of one that spans segments. */
static const char *shown_name(struct arena *a, const char *at)
{
    const char *name = arena_strndup(a, at + 1, strcspn(at + 1, "*}"));

    for (size_t i = 0; i < ARRAY_LEN(parameter_names); i++) {
        if (text_eq(parameter_names[i].route, name))
            return parameter_names[i].shown;
    }
    return name;
}

/* The pattern of a route as a path of the document, and its parameters. */
static const char *endpoint_path(struct arena *a, const char *pattern, struct json_object *list)
{
    const char *path = "";

    for (const char *at = pattern; *at;) {
        size_t len = strcspn(at, "{");
        const char *name, *end;
        struct json_object *out;

        path = arena_printf(a, "%s%.*s", path, (int)len, at);
        at += len;
        if (!*at)
            break;
        name = shown_name(a, at);
        end = strchr(at, '}');
        path = arena_printf(a, "%s{%s}", path, name);
        if (text_eq(name, "subscriptionId")) {
            add_subscription_parameter(list);
        } else {
            out = parameter(name, "path", new_of_type("string"));
            if (end[-1] == '*')
                json_set_bool(out, "x-ms-skip-url-encoding", true);
            json_add(list, out);
        }
        at = end + 1;
    }
    return path;
}

/* "GET /subscriptions/{subscriptionId}" → "GET_subscriptions_subscriptionId" */
static const char *endpoint_id(struct arena *a, const char *method, const char *path)
{
    char *id = arena_printf(a, "%s%s", method, path), *to = id;

    for (const char *at = id; *at; at++) {
        if (!strchr("{}", *at))
            *to++ = strchr("/.", *at) ? '_' : *at;
    }
    *to = '\0';
    return id;
}

static struct json_object *endpoint_responses(struct arena *a, const char *method)
{
    struct json_object *out = json_new_object();
    bool is_head = text_eq(method, "HEAD");

    if (text_eq(method, "GET"))
        add_response(out, "200", "As it is.", new_object_schema());
    add_response(out, "2XX", "It is done, or goes on.", NULL);
    add_response(out, "default", "Why not.", is_head ? NULL : ref_to(a, "Error"));
    return out;
}

static void add_endpoint(struct writer *w, const struct http_route *route)
{
    const struct endpoint *e = route->plane;
    struct json_object *operation = json_new_object(), *body, *list = json_new_array();
    const char *path = endpoint_path(w->a, route->pattern, list);
    const char *right = e->action ? e->action : e->right;

    json_set_text(operation, "operationId", endpoint_id(w->a, route->method, path));
    json_set_text(operation, "description", e->description);
    if (right)
        json_set_text(operation, "x-permission", right);
    if (e->is_open)
        json_set(operation, "security", json_new_array());
    add_version_parameter(e->versions, list);
    json_set(operation, "parameters", list);
    if (route->body == HTTP_BODY_BUFFER) {
        body = json_new_object();
        json_set_bool(body, "required", !text_eq(route->method, "POST"));
        json_set(body, "content", content_of(new_object_schema()));
        json_set(operation, "requestBody", body);
    }
    json_set(operation, "responses", endpoint_responses(w->a, route->method));
    add_operation(w, path, route->method, operation);
}

/* A route with a slash at its end is another one's again. */
static void add_endpoints(struct writer *w)
{
    for (const struct http_route *r = arm_routes; r->method; r++) {
        if (r->plane && !text_ends(r->pattern, "/"))
            add_endpoint(w, r);
    }
}

/* What every answer shares: provenance and the error envelope. */
static const char shared_schemas[] =
    "{\"SystemData\":{\"type\":\"object\",\"readOnly\":true,\"properties\":{"
    "\"createdBy\":{\"type\":\"string\"},\"createdByType\":{\"type\":\"string\"},"
    "\"createdAt\":{\"type\":\"string\",\"format\":\"date-time\"},"
    "\"lastModifiedBy\":{\"type\":\"string\"},\"lastModifiedByType\":{\"type\":\"string\"},"
    "\"lastModifiedAt\":{\"type\":\"string\",\"format\":\"date-time\"}}},"
    "\"Error\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{"
    "\"type\":\"object\",\"required\":[\"code\",\"message\"],\"properties\":{"
    "\"code\":{\"type\":\"string\"},\"message\":{\"type\":\"string\"},"
    "\"target\":{\"type\":\"string\"},\"details\":{\"type\":\"array\",\"items\":{"
    "\"type\":\"object\"}},\"additionalInfo\":{\"type\":\"array\",\"items\":{"
    "\"type\":\"object\"}}}}}}}";

static const char frame[] =
    "{\"openapi\":\"3.0.3\",\"info\":{\"title\":\"Portolan management API\",\"version\":\"%s\","
    "\"description\":\"Made from the tables that answer it.\"},"
    "\"security\":[{\"bearer\":[]}],\"components\":{\"securitySchemes\":{\"bearer\":{"
    "\"type\":\"http\",\"scheme\":\"bearer\",\"bearerFormat\":\"JWT\"}}}}";

void dump_openapi(FILE *out)
{
    _cleanup_(arena_freep) struct arena *a = arena_new();
    char *text = arena_printf(a, frame, registry_versions[0]);
    struct json_object *document = NULL;
    struct writer *w = ARENA_NEW(a, struct writer);
    struct json_object *paths = json_new_object();
    struct error err;

    w->a = a;
    if (json_parse_object(text, strlen(text), strlen(text), &document, &err) ||
        json_parse_object(shared_schemas, strlen(shared_schemas), strlen(shared_schemas),
                          &w->schemas, &err))
        abort();
    document = json_own(a, document);
    for (const struct resource_type *const *t = all_types; *t; t++)
        add_type(w, *t);
    add_endpoints(w);
    for (size_t i = 0; i < w->path_count; i++)
        json_set(paths, w->paths[i].text, w->paths[i].methods);
    json_set(json_at(document, "components"), "schemas", w->schemas);
    json_set(document, "paths", paths);
    (void)fprintf(out, "%s\n", json_print_pretty(a, document));
}

/* Rows to JSON, by the type's table: see the header. */
#include "controlplane/api/encode.h"

#include <string.h>

#include "common/base/arena.h"
#include "common/base/text.h"
#include "common/json/fields.h"
#include "common/json/json.h"

#include "controlplane/api/etag.h"
#include "controlplane/store/resources.h"
#include "controlplane/types/shared.h"

/* sku opens the object, everything else follows the envelope: the order clients print. */
static void copy_rows(const struct resource_type *type, const char *api_version,
                      const struct json_object *shown, struct json_object *out, bool is_sku)
{
    for (const struct field *f = type->fields; f->path; f++) {
        struct json_object *value = json_at(shown, f->path);

        if (text_starts(f->path, "sku.") != is_sku || (f->flags & FIELD_SECRET) ||
            !since_shows(f->since, api_version))
            continue;
        if (value)
            json_put_at(out, f->path, json_get(value));
        else if ((f->flags & FIELD_NULLABLE) && json_has(shown, f->path))
            json_put_at(out, f->path, NULL);
    }
}

struct json_object *resource_encode(struct arena *a, struct control *control,
                                    const struct resource_type *type, const char *api_version,
                                    struct resource *r)
{
    struct json_object *out = json_new_object();
    struct json_object *shown = r->body;

    if (r->status)
        json_merge_patch(shown, r->status);
    if (r->projected)
        json_merge_patch(shown, r->projected);
    fields_default(type->fields, shown);
    json_put_at(shown, "properties.provisioningState", json_new_text(state_name(r->state)));
    show_identity(control, r, shown);
    if (type->show)
        type->show(a, control, r, shown);
    fields_strip(type->fields, shown, FIELD_SECRET);

    copy_rows(type, api_version, shown, out, true);
    json_set_text(out, "type", type->name);
    json_set_text(out, "id", r->id);
    json_set_text(out, "name", r->name);
    if (type->is_tracked) {
        json_set_text(out, "location", r->location);
        json_set(out, "tags", r->tags ? json_get(r->tags) : json_new_object());
    }
    if (!type->hides_system_data && r->system_data)
        json_set(out, "systemData", json_get(r->system_data));
    copy_rows(type, api_version, shown, out, false);
    if (type->has_etag)
        json_set_text(out, "etag", etag_of(a, out));
    return out;
}

/* The functions of each family, for the table. */
#ifndef PORTOLAN_TEMPLATES_FAMILIES_H
#define PORTOLAN_TEMPLATES_FAMILIES_H

struct call;
struct error;
struct value;

#define FUNCTION(name) int name(struct call *c, const struct value **ret, struct error *err)

/* logic.c */
FUNCTION(fn_and);
FUNCTION(fn_bool);
FUNCTION(fn_coalesce);
FUNCTION(fn_equals);
FUNCTION(fn_fail);
FUNCTION(fn_false);
FUNCTION(fn_greater);
FUNCTION(fn_greater_or_equals);
FUNCTION(fn_if);
FUNCTION(fn_less);
FUNCTION(fn_less_or_equals);
FUNCTION(fn_not);
FUNCTION(fn_null);
FUNCTION(fn_or);
FUNCTION(fn_true);
/* arrays.c */
FUNCTION(fn_array);
FUNCTION(fn_contains);
FUNCTION(fn_create_array);
FUNCTION(fn_distinct);
FUNCTION(fn_empty);
FUNCTION(fn_first);
FUNCTION(fn_flatten);
FUNCTION(fn_index_from_end);
FUNCTION(fn_last);
FUNCTION(fn_length);
FUNCTION(fn_range);
FUNCTION(fn_skip);
FUNCTION(fn_take);
FUNCTION(fn_try_index_from_end);
/* objects.c */
FUNCTION(fn_create_object);
FUNCTION(fn_intersection);
FUNCTION(fn_items);
FUNCTION(fn_json);
FUNCTION(fn_object_keys);
FUNCTION(fn_shallow_merge);
FUNCTION(fn_try_get);
FUNCTION(fn_union);
/* numbers.c */
FUNCTION(fn_add);
FUNCTION(fn_div);
FUNCTION(fn_float);
FUNCTION(fn_int);
FUNCTION(fn_max);
FUNCTION(fn_min);
FUNCTION(fn_mod);
FUNCTION(fn_mul);
FUNCTION(fn_sub);
/* strings.c */
FUNCTION(fn_concat);
FUNCTION(fn_ends_with);
FUNCTION(fn_index_of);
FUNCTION(fn_join);
FUNCTION(fn_last_index_of);
FUNCTION(fn_like);
FUNCTION(fn_pad_left);
FUNCTION(fn_replace);
FUNCTION(fn_split);
FUNCTION(fn_starts_with);
FUNCTION(fn_string);
FUNCTION(fn_substring);
FUNCTION(fn_to_lower);
FUNCTION(fn_to_upper);
FUNCTION(fn_trim);
/* format.c */
FUNCTION(fn_format);
/* encodings.c */
FUNCTION(fn_base64);
FUNCTION(fn_base64_to_json);
FUNCTION(fn_base64_to_string);
FUNCTION(fn_data_uri);
FUNCTION(fn_data_uri_to_string);
FUNCTION(fn_uri_component);
FUNCTION(fn_uri_component_to_string);
/* uris.c */
FUNCTION(fn_build_uri);
FUNCTION(fn_parse_uri);
FUNCTION(fn_uri);
/* hashes.c */
FUNCTION(fn_guid);
FUNCTION(fn_new_guid);
FUNCTION(fn_unique_string);
/* dates.c */
FUNCTION(fn_date_time_add);
FUNCTION(fn_date_time_from_epoch);
FUNCTION(fn_date_time_to_epoch);
FUNCTION(fn_utc_now);
/* cidr.c */
FUNCTION(fn_cidr_host);
FUNCTION(fn_cidr_subnet);
FUNCTION(fn_parse_cidr);
/* lambdas.c */
FUNCTION(fn_filter);
FUNCTION(fn_group_by);
FUNCTION(fn_lambda);
FUNCTION(fn_lambda_variables);
FUNCTION(fn_map);
FUNCTION(fn_map_values);
FUNCTION(fn_reduce);
FUNCTION(fn_sort);
FUNCTION(fn_to_object);
/* bindings.c */
FUNCTION(fn_copy_index);
FUNCTION(fn_parameters);
FUNCTION(fn_variables);
/* scope.c */
FUNCTION(fn_deployer);
FUNCTION(fn_deployment);
FUNCTION(fn_external_inputs);
FUNCTION(fn_environment);
FUNCTION(fn_management_group);
FUNCTION(fn_resource_group);
FUNCTION(fn_subscription);
FUNCTION(fn_tenant);
/* ids.c */
FUNCTION(fn_extension_resource_id);
FUNCTION(fn_management_group_resource_id);
FUNCTION(fn_resource_id);
FUNCTION(fn_role_definitions);
FUNCTION(fn_subscription_resource_id);
FUNCTION(fn_tenant_resource_id);
/* zones.c */
FUNCTION(fn_pick_zones);
FUNCTION(fn_providers);
FUNCTION(fn_to_logical_zone);
FUNCTION(fn_to_logical_zones);
FUNCTION(fn_to_physical_zone);
FUNCTION(fn_to_physical_zones);
/* runtime.c */
FUNCTION(fn_list);
FUNCTION(fn_reference);
FUNCTION(fn_references);

#undef FUNCTION

#endif

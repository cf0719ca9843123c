"""Many resources by SQL, where requests could not make so many in time: copies of one that is there, as the
store holds them. Triggers that count and tell one by one are left out; the counter gets the sum."""


def multiply(sql, model, count, prefix, groups=None):
    """`count` rows as the one with this id, named `prefix` and a number. Those in groups are spread over
    `groups`. Every thousandth has a tag of its own. What the service would look at again it does not for
    a day."""
    spread = "'{" + ",".join(groups or ()) + "}'::text[]"
    group = f"({spread})[1 + i % {len(groups)}]" if groups else "r.group_key"
    is_group = "type_key = 'microsoft.resources/resourcegroups'"
    sql("control", f"""begin; set local session_replication_role = replica;
        with made as (
            select r.*, i, '{prefix}' || lpad(i::text, 6, '0') as new_name, {group} as new_group
            from resources r, generate_series(1, {count}) i where r.key = lower('{model}')),
        named as (
            select *, regexp_replace(regexp_replace(id, '[^/]+$', new_name),
                case when {is_group} then '^$' else '/resourceGroups/[^/]+' end,
                '/resourceGroups/' || new_group) as new_id from made)
        insert into resources (uid, key, id, type_key, name, subscription_id, group_key, parent_uid,
            location, global_name, tags, body, status, system_data, state, generation,
            observed_generation, not_before, is_system, projected)
        select gen_random_uuid(), lower(new_id), new_id, type_key, new_name, subscription_id,
            case when {is_group} then lower(new_name) else new_group end, parent_uid, location,
            case when global_name is null then null else lower(new_name) end,
            case when i % 1000 = 0 then '{{"rare": "yes", "common": "yes"}}'::jsonb
                 else '{{"common": "yes"}}'::jsonb end,
            body, status, system_data, 'Succeeded', 1, 1, now() + interval '1 day', false, projected
        from named;
        insert into usage_counters (owner_uid, kind, slot, used)
        select parent_uid, type_key, 0, {count} from resources
        where key = lower('{model}') and parent_uid is not null
        on conflict (owner_uid, kind, slot) do update set used = usage_counters.used + excluded.used;
        commit; analyze resources""")


def remove(sql, prefix):
    """Takes what multiply() made away again: rows of one parent and kind whose ids begin so."""
    sql("control", f"""begin; set local session_replication_role = replica;
        with gone as (delete from resources where starts_with(key, lower('{prefix}'))
                      returning parent_uid, type_key)
        insert into usage_counters as u (owner_uid, kind, slot, used)
        select parent_uid, type_key, 0, -count(*) from gone group by 1, 2
        on conflict (owner_uid, kind, slot) do update set used = u.used + excluded.used;
        commit""")

-- Pages of every list by index from the last key on, and work that is noted without touching the row it is
-- for.

-- Whoever writes below a resource holds its row shared, so that none of them can change it without waiting
-- for the others, who would wait in turn. What is noted here is only added; the reconcile loop moves it.
create table wakes (
    resource_uid uuid not null,
    due_at timestamptz not null
);
create index wakes_due on wakes (due_at);

drop index resources_by_parent;
create index resources_by_parent on resources (parent_uid, type_key, key);
create index resources_on_top on resources (subscription_id, key)
    where parent_uid is null and type_key <> 'microsoft.resources/resourcegroups';
create index resources_on_top_of_group on resources (subscription_id, group_key, key)
    where parent_uid is null and type_key <> 'microsoft.resources/resourcegroups';
create index resources_by_name on resources (subscription_id, lower(name))
    where parent_uid is null and type_key <> 'microsoft.resources/resourcegroups';

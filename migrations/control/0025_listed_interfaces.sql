-- The network interfaces of private endpoints are listed with what else stands in their group. They have a
-- parent only because they end with it.
drop index resources_on_top;
drop index resources_on_top_of_group;
drop index resources_by_name;
create index resources_on_top on resources (subscription_id, key)
    where (parent_uid is null or type_key = 'microsoft.network/networkinterfaces')
        and type_key <> 'microsoft.resources/resourcegroups';
create index resources_on_top_of_group on resources (subscription_id, group_key, key)
    where (parent_uid is null or type_key = 'microsoft.network/networkinterfaces')
        and type_key <> 'microsoft.resources/resourcegroups';
create index resources_by_name on resources (subscription_id, lower(name))
    where (parent_uid is null or type_key = 'microsoft.network/networkinterfaces')
        and type_key <> 'microsoft.resources/resourcegroups';

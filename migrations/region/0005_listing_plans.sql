-- What keeps a page of a listing at the cost of its rows.

-- The tags shown with a manifest come from the index alone, however far apart their rows are.
create index tags_of_manifest on tags (manifest_id, name) include (can_list);
drop index tags_by_manifest_and_name;

-- Every statement here looks up by key and has one good plan whatever its values. Planning a page
-- anew takes several times as long as reading it. An owner's right; without it all works, slower.
do $$
begin
    execute format('alter database %I set plan_cache_mode = force_generic_plan', current_database());
exception when insufficient_privilege then
    raise notice 'plan_cache_mode of the database stays as it is';
end
$$;

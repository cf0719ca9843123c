-- Archives show where their packages are to be had: at the host of their registry, whose first label is
-- its global name. It is decided when a registry is made and never changes.

create function archive_registry_label(package uuid) returns jsonb language sql stable as $$
    select jsonb_build_object('properties', jsonb_build_object('registryLabel', r.global_name))
    from resources p
    join resources r on r.uid = p.parent_uid
    where p.uid = package;
$$;

create function project_archive() returns trigger language plpgsql as $$
begin
    new.projected := coalesce(archive_registry_label(new.parent_uid), '{}');
    return new;
end;
$$;

create trigger project_archive before insert on resources for each row
    when (new.type_key = 'microsoft.containerregistry/registries/packages/archives')
    execute function project_archive();

update resources set projected = coalesce(archive_registry_label(parent_uid), '{}')
where type_key = 'microsoft.containerregistry/registries/packages/archives';

-- Keys that rotate by themselves, and objects that come out of a backup.

-- `rotation` is the policy as it is shown; rotate_at, when it asks for the next version, follows from it and
-- from the newest version.
alter table vault_objects
    add column rotation jsonb,
    add column rotate_at timestamptz;
create index vault_objects_by_rotation on vault_objects (rotate_at) where rotate_at is not null;

create function rotation_due(policy jsonb, object uuid) returns timestamptz language sql stable as $$
    select least(v.created_at + (trigger ->> 'timeAfterCreate')::interval,
                 v.expires_at - (trigger ->> 'timeBeforeExpiry')::interval)
    from jsonb_path_query(policy, '$.lifetimeActions[*] ? (@.action.type == "Rotate").trigger') trigger,
        (select created_at, expires_at from vault_versions
         where object_uid = object order by position desc limit 1) v
    limit 1
$$;

create function plan_rotation() returns trigger language plpgsql as $$
begin
    new.rotate_at := case when new.rotation is not null and new.deleted_at is null
                     then rotation_due(new.rotation, new.uid) end;
    return new;
end
$$;
create trigger plan_rotation before update of rotation, deleted_at on vault_objects for each row
    execute function plan_rotation();

create function follow_version() returns trigger language plpgsql as $$
begin
    update vault_objects set rotation = rotation where uid = new.object_uid and rotation is not null;
    return null;
end
$$;
create trigger follow_version after insert or update of created_at, expires_at on vault_versions
    for each row execute function follow_version();

-- A version keeps its name when it is restored, so that what names it finds it: in another vault, while the
-- first is still there, there are two of it.
alter table vault_versions drop constraint vault_versions_pkey;
alter table vault_versions add primary key (object_uid, uid);

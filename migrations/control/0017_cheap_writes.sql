-- What every write pays: counters that nobody waits at, triggers that are looked at without parsing, and no
-- place in the queue of work for rows that nobody works on.

-- The sum over the slots is exact; single ones may be negative. Whoever counts takes a row that nobody holds,
-- or adds one, so that what is created below one parent does not wait for each other's commits.
alter table usage_counters drop constraint usage_counters_pkey,
    drop constraint usage_counters_used_check,
    add column slot bigint not null default 0;
alter table usage_counters alter column slot drop default, add primary key (owner_uid, kind, slot);
alter table usage_counters set (fillfactor = 50);

create or replace function count_child() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        update usage_counters set used = used + 1
        where owner_uid = new.parent_uid and kind = new.type_key and slot = (
            select c.slot from usage_counters c
            where c.owner_uid = new.parent_uid and c.kind = new.type_key
            order by c.slot limit 1 for update skip locked);
        if not found then
            insert into usage_counters as c (owner_uid, kind, slot, used)
            values (new.parent_uid, new.type_key, pg_backend_pid(), 1)
            on conflict (owner_uid, kind, slot) do update set used = c.used + 1;
        end if;
    else
        update usage_counters set used = used - 1
        where owner_uid = old.parent_uid and kind = old.type_key and slot = (
            select c.slot from usage_counters c
            where c.owner_uid = old.parent_uid and c.kind = old.type_key
            order by c.slot limit 1 for update skip locked);
        -- A parent that goes in the same statement takes its counters along.
        if not found then
            insert into usage_counters as c (owner_uid, kind, slot, used)
            select old.parent_uid, old.type_key, pg_backend_pid(), -1
            from resources where uid = old.parent_uid for key share
            on conflict (owner_uid, kind, slot) do update set used = c.used - 1;
        end if;
    end if;
    return null;
end
$$;

-- What a function of ours decides is parsed for every row that is written; an operator is not.
drop trigger follow_system_identity_in on resources;
drop trigger follow_system_identity_change on resources;
drop trigger follow_system_identity_out on resources;
create trigger follow_system_identity_in after insert on resources for each row
    when (new.body ? 'identity') execute function follow_system_identity();
create trigger follow_system_identity_change after update of body on resources for each row
    when (new.body -> 'identity' is distinct from old.body -> 'identity')
    execute function follow_system_identity();
create trigger follow_system_identity_out after delete on resources for each row
    when (old.body ? 'identity') execute function follow_system_identity();

-- Rows of types without steps are never due, so nobody who looks for work walks over them.
update resources set not_before = 'infinity' where type_key not in (
    'microsoft.resources/resourcegroups', 'microsoft.containerregistry/registries',
    'microsoft.containerregistry/registries/replications', 'microsoft.containerregistry/registries/tokens',
    'microsoft.containerregistry/registries/pipelineruns', 'microsoft.containerregistry/registries/taskruns',
    'microsoft.network/virtualnetworks/attachments');

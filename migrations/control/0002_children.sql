-- What belongs to a registry: counted exactly, linked among each other, and partly made by the
-- service itself.

-- Made by the service, not by a caller: neither changed nor deleted, and no part of any quota.
alter table resources add column is_system boolean not null default false;

-- Which resources name which others in their bodies. What is named is not deleted under the one that
-- names it, and what changes wakes whatever was made from it.
create table resource_links (
    from_uid uuid not null references resources on delete cascade,
    to_uid uuid not null references resources on delete cascade,
    primary key (from_uid, to_uid)
);
create index resource_links_by_target on resource_links (to_uid);

-- Children are counted where they come and go, whichever statement does it. The counter's row lock
-- makes creates below one parent take turns, so that a limit holds exactly.
create function count_child() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        insert into usage_counters as u (owner_uid, kind, used)
        values (new.parent_uid, new.type_key, 1)
        on conflict (owner_uid, kind) do update set used = u.used + 1;
    else
        update usage_counters set used = used - 1
        where owner_uid = old.parent_uid and kind = old.type_key;
    end if;
    return null;
end
$$;

create trigger count_child_in after insert on resources for each row
    when (new.parent_uid is not null and not new.is_system) execute function count_child();
create trigger count_child_out after delete on resources for each row
    when (old.parent_uid is not null and not old.is_system) execute function count_child();

insert into usage_counters (owner_uid, kind, used)
select parent_uid, type_key, count(*) from resources where parent_uid is not null
group by parent_uid, type_key;

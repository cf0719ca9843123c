-- Upkeep of what is stored: exact usage, blobs found damaged, how far background checks have come.

-- A damaged blob is set aside: it is unknown to readers until somebody pushes it again.
alter table blobs add column quarantined_at timestamptz;
-- Background checks go through a registry's blobs in this order.
create index blobs_by_registry on blobs (registry_id, id);
create index tombstones_by_time on tombstones (registry_id, deleted_at);

create table registry_upkeep (
    registry_id uuid primary key references registries on delete cascade,
    scrub_after bigint not null default 0, -- the last blob of this pass that was verified
    scrubbed_at timestamptz not null default '-infinity' -- when the last whole pass ended
);

-- Bytes stored: the sum over a registry's rows. Several rows, so that writers seldom meet.
create table registry_usage (
    registry_id uuid not null references registries on delete cascade,
    slot int not null,
    bytes bigint not null,
    primary key (registry_id, slot)
);
insert into registry_usage (registry_id, slot, bytes)
select registry_id, 0, sum(size)::bigint from blobs group by registry_id;

-- The join leaves out a registry that is being deleted: its blobs go by cascade after it.
create function count_blobs_added() returns trigger language plpgsql as $$
begin
    insert into registry_usage (registry_id, slot, bytes)
    select c.registry_id, pg_backend_pid() % 64, sum(c.size)::bigint
    from changed c join registries r on r.id = c.registry_id
    group by c.registry_id order by c.registry_id
    on conflict (registry_id, slot) do update set bytes = registry_usage.bytes + excluded.bytes;
    return null;
end
$$;
create function count_blobs_removed() returns trigger language plpgsql as $$
begin
    insert into registry_usage (registry_id, slot, bytes)
    select c.registry_id, pg_backend_pid() % 64, -sum(c.size)::bigint
    from changed c join registries r on r.id = c.registry_id
    group by c.registry_id order by c.registry_id
    on conflict (registry_id, slot) do update set bytes = registry_usage.bytes + excluded.bytes;
    return null;
end
$$;
create trigger blobs_added after insert on blobs referencing new table as changed
    for each statement execute function count_blobs_added();
create trigger blobs_removed after delete on blobs referencing old table as changed
    for each statement execute function count_blobs_removed();

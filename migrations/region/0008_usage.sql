-- Counters and queues at which nobody waits for anybody, and manifests in what a registry uses.
--
-- A counter is the sum of its rows. Whoever counts takes a row that nobody holds, or adds one: so no
-- transaction waits for another there, whatever else the two hold, and no circle of waiting can pass
-- through a counter. There are as many rows as writers once met.

alter table repository_counts alter column slot type bigint;
alter table registry_usage alter column slot type bigint;
create sequence counter_slots start 1000; -- above what was used before

create function add_to_counts(repository bigint, more_manifests bigint, more_tags bigint)
returns void language plpgsql as $$
declare
    free bigint;
begin
    select c.slot into free from repository_counts c where c.repository_id = repository
    order by c.slot limit 1 for update skip locked;
    if found then
        update repository_counts c
        set manifests = c.manifests + more_manifests, tags = c.tags + more_tags
        where c.repository_id = repository and c.slot = free;
    else
        insert into repository_counts (repository_id, slot, manifests, tags)
        values (repository, nextval('counter_slots'), more_manifests, more_tags);
    end if;
end
$$;

create function add_to_usage(registry uuid, more bigint) returns void language plpgsql as $$
declare
    free bigint;
begin
    select u.slot into free from registry_usage u where u.registry_id = registry
    order by u.slot limit 1 for update skip locked;
    if found then
        update registry_usage u set bytes = u.bytes + more
        where u.registry_id = registry and u.slot = free;
    else
        insert into registry_usage (registry_id, slot, bytes)
        values (registry, nextval('counter_slots'), more);
    end if;
end
$$;

create or replace function count_content() returns trigger language plpgsql as $$
declare
    each bigint := case tg_op when 'INSERT' then 1 else -1 end;
    is_manifests bigint := case tg_argv[0] when 'manifests' then 1 else 0 end;
begin
    perform add_to_counts(d.id, d.n * each * is_manifests, d.n * each * (1 - is_manifests))
    from (select r.id, count(*) as n from changed c join repositories r on r.id = c.repository_id
          group by r.id order by r.id) d;
    return null;
end
$$;

create or replace function count_blobs_added() returns trigger language plpgsql as $$
begin
    perform add_to_usage(d.id, d.bytes)
    from (select r.id, sum(c.size)::bigint as bytes
          from changed c join registries r on r.id = c.registry_id group by r.id) d;
    return null;
end
$$;
create or replace function count_blobs_removed() returns trigger language plpgsql as $$
begin
    perform add_to_usage(d.id, -d.bytes)
    from (select r.id, sum(c.size)::bigint as bytes
          from changed c join registries r on r.id = c.registry_id group by r.id) d;
    return null;
end
$$;

-- A manifest's own bytes are stored once a repository, and counted so.
create function count_payloads() returns trigger language plpgsql as $$
declare
    each bigint := case tg_op when 'INSERT' then 1 else -1 end;
begin
    perform add_to_usage(d.id, d.bytes * each)
    from (select g.id, sum(octet_length(c.payload))::bigint as bytes
          from changed c join repositories r on r.id = c.repository_id
          join registries g on g.id = r.registry_id group by g.id) d;
    return null;
end
$$;
create trigger payloads_counted after insert on manifests referencing new table as changed
    for each statement execute function count_payloads();
create trigger payloads_uncounted after delete on manifests referencing old table as changed
    for each statement execute function count_payloads();

-- With its repository a manifest goes by cascade, when the repository is no longer seen. The row is
-- locked by now, and whoever writes a manifest holds it.
create function count_repository_removed() returns trigger language plpgsql as $$
begin
    perform add_to_usage(g.id, -(select sum(octet_length(m.payload)) from manifests m
                                 where m.repository_id = old.id)::bigint)
    from registries g where g.id = old.registry_id
    and exists (select from manifests m where m.repository_id = old.id);
    return old;
end
$$;
create trigger repositories_uncounted before delete on repositories
    for each row execute function count_repository_removed();

-- Making the triggers locked the tables against writers.
insert into registry_usage (registry_id, slot, bytes)
select r.registry_id, nextval('counter_slots'), sum(octet_length(m.payload))
from manifests m join repositories r on r.id = m.repository_id group by r.registry_id;

-- Reviews are only ever added by writers: several may stand for one blob, and the worker takes all
-- of them that are due at once.
alter table blob_reviews drop constraint blob_reviews_pkey;
alter table blob_reviews add column id bigint generated always as identity primary key;
alter table blob_reviews drop column attempts;
create index blob_reviews_by_blob on blob_reviews (blob_id, queued_at);

create or replace function queue_blob_reviews() returns trigger language plpgsql as $$
begin
    insert into blob_reviews (blob_id, registry_id)
    select b.id, b.registry_id
    from (select distinct blob_id from changed) c join blobs b on b.id = c.blob_id;
    return null;
end
$$;

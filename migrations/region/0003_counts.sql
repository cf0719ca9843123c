-- What listings show without counting: how many manifests and tags a repository has, and which
-- repositories have any. Kept by triggers, in the transaction that changes the content.

-- The sum over the slots of a repository is exact. Sessions that write at once use different slots,
-- so pushes into one repository do not wait for each other.
create table repository_counts (
    repository_id bigint not null references repositories on delete cascade,
    slot smallint not null,
    manifests bigint not null,
    tags bigint not null,
    primary key (repository_id, slot)
) with (fillfactor = 50);

-- False says that there are none for certain; true, that there may be some.
alter table repositories add column has_manifests boolean not null default false;
create index repositories_listed on repositories (registry_id, name)
    where has_manifests and can_list;

create index manifests_by_subject_and_type on manifests (repository_id, subject, artifact_type, digest)
    where subject is not null;

-- The argument names what changed. A repository that is being removed with its content is no longer
-- seen here, and needs no counts.
create function count_content() returns trigger language plpgsql as $$
declare
    each bigint := case tg_op when 'INSERT' then 1 else -1 end;
    is_manifests bigint := case tg_argv[0] when 'manifests' then 1 else 0 end;
begin
    insert into repository_counts as c (repository_id, slot, manifests, tags)
    select r.id, pg_backend_pid() % 16, d.n * each * is_manifests,
           d.n * each * (1 - is_manifests)
    from (select repository_id, count(*) as n from changed group by repository_id) d
    join repositories r on r.id = d.repository_id
    order by r.id
    on conflict (repository_id, slot) do update
        set manifests = c.manifests + excluded.manifests, tags = c.tags + excluded.tags;
    return null;
end
$$;

create function note_first_manifest() returns trigger language plpgsql as $$
begin
    update repositories r set has_manifests = true
    where r.id in (select repository_id from changed) and not r.has_manifests;
    return null;
end
$$;

-- Whoever adds a manifest holds the repository's key. If anybody does, the question is left to them;
-- if nobody does, nobody can until this transaction ends. The second statement sees all that was
-- committed before the lock was taken.
create function note_last_manifest() returns trigger language plpgsql as $$
declare
    held bigint[];
begin
    held := array(select r.id from repositories r
                  where r.id in (select repository_id from changed) and r.has_manifests
                  and not exists (select from manifests m where m.repository_id = r.id)
                  order by r.id for update skip locked);
    if held <> '{}' then
        update repositories r set has_manifests = false
        where r.id = any (held)
        and not exists (select from manifests m where m.repository_id = r.id);
    end if;
    return null;
end
$$;

create trigger manifests_counted after insert on manifests
    referencing new table as changed
    for each statement execute function count_content('manifests');
create trigger manifests_uncounted after delete on manifests
    referencing old table as changed
    for each statement execute function count_content('manifests');
create trigger tags_counted after insert on tags
    referencing new table as changed
    for each statement execute function count_content('tags');
create trigger tags_uncounted after delete on tags
    referencing old table as changed
    for each statement execute function count_content('tags');
create trigger manifests_noted after insert on manifests
    referencing new table as changed
    for each statement execute function note_first_manifest();
create trigger manifests_unnoted after delete on manifests
    referencing old table as changed
    for each statement execute function note_last_manifest();

-- Making the triggers locked the tables against writers.
insert into repository_counts (repository_id, slot, manifests, tags)
select repository_id, 0, sum(m), sum(t)
from (select repository_id, count(*) as m, 0 as t from manifests group by repository_id
      union all
      select repository_id, 0, count(*) from tags group by repository_id) counted
group by repository_id;
update repositories r set has_manifests = true
where exists (select from manifests m where m.repository_id = r.id);

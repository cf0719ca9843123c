-- What happens to images over time: soft delete, retention of untagged manifests, and key-values
-- that clients attach.

-- Soft delete -------------------------------------------------------------------------------------

-- A deleted manifest moves, with all it refers to, to the bin: a repository named '_deleted/' and
-- the name of its own, which no client can name (names begin with a letter or a digit) and no
-- catalog lists. So its content stays referred to, and is counted, without a rule of its own.
alter table manifests add column deleted_at timestamptz; -- set in the bin, and only there
create index manifests_binned on manifests (repository_id, deleted_at, digest)
    where deleted_at is not null;

-- The tags a manifest in the bin had. One name may have gone with several manifests.
create table deleted_tags (
    repository_id bigint not null references repositories on delete cascade, -- the bin
    name text collate "C" not null,
    deleted_at timestamptz not null default now(),
    manifest_id bigint not null references manifests on delete cascade,
    primary key (repository_id, name, deleted_at, manifest_id)
);
create index deleted_tags_by_manifest on deleted_tags (manifest_id);

-- Counts and the note of a first and a last manifest go along when a manifest changes repository.
create function move_manifest_counts() returns trigger language plpgsql as $$
begin
    perform add_to_counts(old.repository_id, -1, 0);
    perform add_to_counts(new.repository_id, 1, 0);
    update repositories r set has_manifests = true
    where r.id = new.repository_id and not r.has_manifests;
    perform from repositories r where r.id = old.repository_id and r.has_manifests
        and not exists (select from manifests m where m.repository_id = r.id)
        for update skip locked;
    if found then
        update repositories r set has_manifests = false where r.id = old.repository_id
        and not exists (select from manifests m where m.repository_id = r.id);
    end if;
    return null;
end
$$;
create trigger manifests_moved after update on manifests for each row
    when (old.repository_id is distinct from new.repository_id)
    execute function move_manifest_counts();

-- Retention ---------------------------------------------------------------------------------------

-- Manifests that lost a tag while the policy was on, and when. Whether any tag is left is found out
-- when the time is up. Only the types the policy is about.
create table untagged_manifests (
    manifest_id bigint primary key references manifests on delete cascade,
    registry_id uuid not null references registries on delete cascade,
    untagged_at timestamptz not null
);
create index untagged_manifests_due on untagged_manifests (registry_id, untagged_at);

create function note_untagged() returns trigger language plpgsql as $$
begin
    insert into untagged_manifests (manifest_id, registry_id, untagged_at)
    select m.id, r.id, now()
    from (select distinct manifest_id from gone) g
    join manifests m on m.id = g.manifest_id
    join repositories p on p.id = m.repository_id
    join registries r on r.id = p.registry_id
    where lower(r.settings #>> '{policies,retentionPolicy,status}') = 'enabled'
    and m.media_type like 'application/vnd.docker.distribution.manifest.%'
    order by m.id
    on conflict (manifest_id) do update set untagged_at = excluded.untagged_at;
    return null;
end
$$;
create trigger tags_gone after delete on tags referencing old table as gone
    for each statement execute function note_untagged();

-- For each row, so that tags that are new, or stay where they are, cost nothing.
create function note_moved_tag() returns trigger language plpgsql as $$
begin
    insert into untagged_manifests (manifest_id, registry_id, untagged_at)
    select m.id, r.id, now()
    from manifests m
    join repositories p on p.id = m.repository_id
    join registries r on r.id = p.registry_id
    where m.id = old.manifest_id
    and lower(r.settings #>> '{policies,retentionPolicy,status}') = 'enabled'
    and m.media_type like 'application/vnd.docker.distribution.manifest.%'
    on conflict (manifest_id) do update set untagged_at = excluded.untagged_at;
    return null;
end
$$;
create trigger tags_moved after update on tags for each row
    when (old.manifest_id is distinct from new.manifest_id) execute function note_moved_tag();

-- Key-values --------------------------------------------------------------------------------------

-- Of a repository, of a tag (both columns), or of a manifest; gone with what they are attached to.
create table metadata (
    repository_id bigint references repositories on delete cascade,
    tag text collate "C",
    manifest_id bigint references manifests on delete cascade,
    key text collate "C" not null,
    media_type text not null,
    value bytea not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    check ((manifest_id is null) <> (repository_id is null)),
    check (tag is null or repository_id is not null),
    foreign key (repository_id, tag) references tags (repository_id, name) on delete cascade
);
create unique index metadata_of_repository on metadata (repository_id, tag, key)
    nulls not distinct where repository_id is not null;
create unique index metadata_of_manifest on metadata (manifest_id, key)
    where manifest_id is not null;

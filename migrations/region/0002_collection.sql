-- Online garbage collection: what may have lost its last user is queued by triggers in the
-- transaction that changed it, and reviewed by workers once a delay has passed. Nothing is ever
-- scanned in full, and nothing is ever read-only.

-- Deleting a registry deletes its rows by cascade in one statement, in no promised order, so the
-- references between its rows are checked when the transaction commits.
alter table repository_blobs
    alter constraint repository_blobs_blob_id_fkey deferrable initially deferred;
alter table manifest_blobs
    alter constraint manifest_blobs_blob_id_fkey deferrable initially deferred;
alter table manifest_children
    alter constraint manifest_children_child_id_fkey deferrable initially deferred;
alter table tags
    alter constraint tags_manifest_id_fkey deferrable initially deferred;

-- No foreign key: a row that outlives its blob is dropped by the worker that finds it, and a
-- registry's deletion need not visit the queue.
create table blob_reviews (
    blob_id bigint primary key,
    registry_id uuid not null,
    queued_at timestamptz not null default now(),
    attempts int not null default 0
);
create index blob_reviews_due on blob_reviews (registry_id, queued_at);

create function queue_blob_reviews() returns trigger language plpgsql as $$
begin
    -- In the order of the key, so that two transactions never wait for each other.
    insert into blob_reviews (blob_id, registry_id)
    select b.id, b.registry_id
    from (select distinct blob_id from changed) c
    join blobs b on b.id = c.blob_id
    order by b.id
    on conflict (blob_id) do update set queued_at = excluded.queued_at, attempts = 0;
    return null;
end
$$;

create trigger repository_blobs_linked after insert on repository_blobs
    referencing new table as changed
    for each statement execute function queue_blob_reviews();
create trigger repository_blobs_unlinked after delete on repository_blobs
    referencing old table as changed
    for each statement execute function queue_blob_reviews();
create trigger manifest_blobs_released after delete on manifest_blobs
    referencing old table as changed
    for each statement execute function queue_blob_reviews();

-- A manifest may carry very many tags; its first ones are shown with it.
create index tags_by_manifest_and_name on tags (manifest_id, name);
drop index tags_by_manifest;

-- By time, for the listings that ask for it.
create index tags_by_update on tags (repository_id, updated_at, name);
create index manifests_by_update on manifests (repository_id, updated_at, digest);

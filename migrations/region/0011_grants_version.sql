-- Moves with every change of a registry's grants, so that a data plane need not read them again when
-- something else has changed.
alter table registries add column grants_version bigint not null default 0;

create function note_grants() returns trigger language plpgsql as $$
begin
    update registries set grants_version = grants_version + 1
    where id in (select registry_id from changed);
    return null;
end
$$;

create trigger grants_added after insert on grants referencing new table as changed
    for each statement execute function note_grants();
create trigger grants_changed after update on grants referencing new table as changed
    for each statement execute function note_grants();
create trigger grants_gone after delete on grants referencing old table as changed
    for each statement execute function note_grants();

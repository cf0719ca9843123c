-- Who may sign in as a managed identity: each federated credential of an identity is a resource, and the
-- directory's row follows it in the transaction that changes it. With the identity's principal they all go
-- (forget_credentials()).
create function follow_federated_credential() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        delete from federated_credentials where id = old.uid;
        return null;
    end if;
    insert into federated_credentials (id, owner_id, name, issuer, subject, audiences)
    select new.uid, new.parent_uid, new.name, new.body #>> '{properties,issuer}',
        new.body #>> '{properties,subject}',
        array(select jsonb_array_elements_text(new.body #> '{properties,audiences}'))
    on conflict (id) do update
    set issuer = excluded.issuer, subject = excluded.subject, audiences = excluded.audiences;
    return null;
end
$$;
create trigger follow_federated_credential_in after insert or update of body on resources for each row
    when (new.type_key = 'microsoft.managedidentity/userassignedidentities/federatedidentitycredentials')
    execute function follow_federated_credential();
create trigger follow_federated_credential_out after delete on resources for each row
    when (old.type_key = 'microsoft.managedidentity/userassignedidentities/federatedidentitycredentials')
    execute function follow_federated_credential();

-- Attachments of virtual networks that are declared through the API. Where a network arrives is a
-- place of the installation: a network namespace, an interface or an address, written as one text.

create function attachment_place(body jsonb) returns text language sql immutable as $$
    select coalesce('namespace ' || (body #>> '{properties,namespace}'),
                    'interface ' || (body #>> '{properties,interface}'),
                    'address ' || (body #>> '{properties,address}'));
$$;

-- A place is one network's alone, until what was attached there is gone.
create unique index network_attachments_place on resources (attachment_place(body))
    where type_key = 'microsoft.network/virtualnetworks/attachments';

create view network_attachments as
select a.uid as attachment_uid, attachment_place(a.body) as place, n.key as network_key
from resources a
join resources n on n.uid = a.parent_uid and n.state <> 'Deleting'
where a.type_key = 'microsoft.network/virtualnetworks/attachments' and a.state <> 'Deleting';

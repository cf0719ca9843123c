-- What a write changes is in no index, so that it costs none of them: only the page of the row itself is
-- written, which keeps room for it.

-- The place of an attachment is set once: it is the row's global name, and no index looks into a body.
update resources set global_name = attachment_place(body)
where type_key = 'microsoft.network/virtualnetworks/attachments';
drop index network_attachments_place;
alter table resources set (fillfactor = 85);

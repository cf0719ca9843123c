-- Rows that are never due have no place in the index of due ones: all of them at its end, it was the page that
-- every create below a registry waited for.
drop index resources_due;
create index resources_due on resources (not_before) where not_before < 'infinity';

-- What a deployment with a debugSetting sent for a resource and was answered, without secrets.
alter table deployment_operations add column request jsonb, add column response jsonb;

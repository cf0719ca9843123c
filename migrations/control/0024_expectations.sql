-- What a transaction stands on, said along with what it does: whoever finds something else has lost a race,
-- and does it again.
create function as_expected(is_so boolean) returns boolean language plpgsql as $$
begin
    if is_so is not true then
        raise exception 'what the transaction stands on has changed' using errcode = 'serialization_failure';
    end if;
    return true;
end
$$;

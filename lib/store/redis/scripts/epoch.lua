#!lua
-- epoch - when this store's memory began.
-- KEYS  epoch
-- ARGV  now, replication id of this server, the one it had before (or '')
-- Answer: the birth.
-- A restart from the append-only file has a new replication id and no earlier one: the birth stays.
-- A promoted replica names the id of the primary it followed, which is the one we know.
local birth, known, promoted_from = unpack(call('HMGET', KEYS[1], 'birth', 'id', 'from'))
local id, from = ARGV[2], ARGV[3]
local moved = birth and id ~= '' and id ~= known and from ~= '' and from ~= promoted_from
if not birth or moved then
    birth = ARGV[1]
    call('HSET', KEYS[1], 'birth', birth)
end
if id ~= known or from ~= promoted_from then
    call('HSET', KEYS[1], 'id', id, 'from', from)
end
return birth

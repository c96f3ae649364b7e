#!lua
-- trim - delete one terminal retry with all that belongs to it, unless a report still waits or it
-- still holds its effect key.
-- KEYS  record, states, created, project's list, effect, child, intent, deliveries, rows, snapshots
-- ARGV  id, effect field, child field or '', intent field, scores of its state: lowest and highest,
--       now
-- Answer: 1 deleted, 0 kept.
local id = ARGV[1]
local head = call('GETRANGE', KEYS[1], 0, 51)
local score = tonumber(call('ZSCORE', KEYS[2], id) or -1)
if score < tonumber(ARGV[5]) or score > tonumber(ARGV[6]) then
    return 0
end
local rows = call('HVALS', KEYS[9])
for _, row in ipairs(rows) do
    if byte(row, 1) == PENDING then
        return 0
    end
end
local effect = call('HGET', KEYS[5], ARGV[2])
local holds = effect and sub(effect, 1, 16) == id
if holds and (u48(effect, 17) == 0 or u48(effect, 17) > tonumber(ARGV[7])) then
    return 0
end
call('ZREM', KEYS[2], id)
if head ~= '' then
    local entry = sub(head, 47, 52) .. id
    call('LREM', KEYS[3], -1, entry)
    call('LREM', KEYS[4], -1, entry)
end
if holds then
    call('HDEL', KEYS[5], ARGV[2])
end
if ARGV[3] ~= '' and call('HGET', KEYS[6], ARGV[3]) == id then
    call('HDEL', KEYS[6], ARGV[3])
end
if call('HGET', KEYS[7], ARGV[4]) == id then
    call('HDEL', KEYS[7], ARGV[4])
end
call('DEL', KEYS[1], KEYS[8], KEYS[9], KEYS[10])
return 1

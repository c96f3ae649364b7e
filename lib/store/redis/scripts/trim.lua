#!lua
-- trim - delete one terminal retry with all that belongs to it, unless a report still waits.
-- KEYS  record, states, created, project's list, effect, child, deliveries, rows, snapshots
-- ARGV  id, effect field, child field or '', scores of its state: lowest and highest
-- Answer: 1 deleted, 0 kept.
local id = ARGV[1]
local head = call('GETRANGE', KEYS[1], 0, 51)
local score = tonumber(call('ZSCORE', KEYS[2], id) or -1)
if score < tonumber(ARGV[4]) or score > tonumber(ARGV[5]) then
    return 0
end
local rows = call('HVALS', KEYS[8])
for _, row in ipairs(rows) do
    if byte(row, 1) == PENDING then
        return 0
    end
end
call('ZREM', KEYS[2], id)
if head ~= '' then
    local entry = sub(head, 47, 52) .. id
    call('LREM', KEYS[3], -1, entry)
    call('LREM', KEYS[4], -1, entry)
end
local effect = call('HGET', KEYS[5], ARGV[2])
if effect and sub(effect, 1, 16) == id then
    call('HDEL', KEYS[5], ARGV[2])
end
if ARGV[3] ~= '' and call('HGET', KEYS[6], ARGV[3]) == id then
    call('HDEL', KEYS[6], ARGV[3])
end
call('DEL', KEYS[1], KEYS[7], KEYS[8], KEYS[9])
return 1

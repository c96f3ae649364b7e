#!lua
-- trim - delete one terminal retry with all that belongs to it, unless a report still waits or it
-- still holds its effect key.
-- KEYS  record, states, created, effect, child, intent, further deliveries, rows, snapshots,
--       delivery, queues
-- ARGV  id, its entry, scores of its state: lowest and highest, now
-- Answer: 1 deleted, 0 kept.
local id = ARGV[1]
local score = tonumber(call('ZSCORE', KEYS[2], id) or -1)
if score < tonumber(ARGV[3]) or score > tonumber(ARGV[4]) then
    return 0
end
local rows = call('HVALS', KEYS[8])
for _, row in ipairs(rows) do
    if byte(row, 1) == PENDING then
        return 0
    end
end
local effect = call('GET', KEYS[4])
local holds = effect and sub(effect, 1, 16) == id
if holds and (u48(effect, 17) == 0 or u48(effect, 17) > tonumber(ARGV[5])) then
    return 0
end
call('ZREM', KEYS[2], id)
call('LREM', KEYS[3], 1, ARGV[2])
if holds then
    call('DEL', KEYS[4])
end
local delivery = call('GET', KEYS[10])
if delivery and sub(delivery, 1, 16) == id then
    if u48(delivery, 17) > tonumber(ARGV[5]) then
        call('PEXPIREAT', KEYS[10], u48(delivery, 17)) -- remembered longer than its retry
    else
        call('DEL', KEYS[10])
    end
end
for k = 5, 6 do -- the child index and the intent, when they are this retry's
    if call('GET', KEYS[k]) == id then
        call('DEL', KEYS[k])
    end
end
local queues = call('HGETALL', KEYS[11])
for i = 1, #queues, 2 do -- receipts of this retry's reports
    if byte(queues[i], 1) == 0 and sub(queues[i + 1], 1, 16) == id then
        call('HDEL', KEYS[11], queues[i])
    end
end
call('DEL', KEYS[1], KEYS[7], KEYS[8], KEYS[9])
return 1

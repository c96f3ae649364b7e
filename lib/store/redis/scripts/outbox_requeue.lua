#!lua
-- outbox_requeue - dead reports of a retry become due now.
-- KEYS  record, outbox, rows, snapshots, queues
-- ARGV  id, now, channel
-- Answer: how many; -1 no such retry.
local id, now = ARGV[1], tonumber(ARGV[2])
if call('EXISTS', KEYS[1]) == 0 then
    return -1
end
local rows = call('HGETALL', KEYS[3])
local dead = {}
for i = 1, #rows, 2 do
    if byte(rows[i + 1], 1) == DEAD and call('HEXISTS', KEYS[4], sub(rows[i], 2, 5)) == 1 then
        dead[#dead + 1] = {rows[i], rows[i + 1]}
    end
end
table.sort(dead, function(a, b) return byte(a[2], 33) < byte(b[2], 33) end)
for _, d in ipairs(dead) do
    local field, row = d[1], d[2]
    local destination = sub(field, 6)
    local queue = call('HGET', KEYS[5], destination) or ''
    call('HSET', KEYS[3], field, pack('>BBI2I2c8I6I6I6', PENDING, 0, 0, 0, NO_FENCE, 0, now, now)
        .. sub(row, 33))
    queue = queue .. id .. sub(field, 1, 5) .. pack('>I6', now)
    show_first(KEYS[2], KEYS[5], destination, queue)
end
if #dead > 0 then
    call('PUBLISH', ARGV[3], 4)
end
return #dead

#!lua
-- promote - tasks of one slot of the calendar become entries of the task index, each at its time.
-- KEYS  calendar, how many are in the calendar, slot, tasks, waiting, records
-- ARGV  start of the slot, kind, the entries that the caller has read (22 bytes each: due, id)
-- Answer: 1, or 0 when another was faster.
local calendar, far, slot, tasks, waiting = unpack(KEYS, 1, 5)
local kind, entries = tonumber(ARGV[2]), ARGV[3]
local n = #entries / 22
if n > 0 and table.concat(call('LRANGE', slot, 0, n - 1)) ~= entries then
    return 0
end
local due = {}
for i = 1, n do
    local head = call('GETRANGE', KEYS[5 + i], 0, 51)
    -- Without the flag the task has been moved or ended since, and its entry means nothing.
    if head ~= '' and has(byte(head, 4), FAR) then
        call('SETRANGE', KEYS[5 + i], 3, string.char(byte(head, 4) - FAR))
        due[#due + 1] = kind * SPAN + u48(head, 23)
        due[#due + 1] = sub(entries, 22 * i - 15, 22 * i)
    end
end
if #due > 0 then
    call('ZADD', tasks, unpack(due))
    call('DECRBY', far, #due / 2)
    call('INCRBY', waiting, #due / 2)
end
if n > 0 then
    call('LTRIM', slot, n, -1)
end
if call('EXISTS', slot) == 0 then
    call('ZREM', calendar, ARGV[1])
end
return 1

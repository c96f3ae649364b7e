#!lua
-- claim - lease those of the named main tasks that are still due.
-- KEYS  tasks, records
-- ARGV  now, lease until, kind, then of each: id, fence
-- Answer: the record of each as it is now, false where it is no longer due.
local tasks, now, lease, kind = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local out = {}
for i = 2, #KEYS do
    local id, fence = ARGV[2 * i], ARGV[2 * i + 1]
    local score = tonumber(call('ZSCORE', tasks, id) or -1)
    out[i - 1] = false
    if score >= kind * SPAN and score <= kind * SPAN + now then
        local record = call('GET', KEYS[i])
        if not record or byte(record, 3) ~= kind then
            call('ZREM', tasks, id) -- an index entry that a lost write left behind
        else
            local flags, tries = byte(record, 4), unpk('>I2', record, 29)
            if has(flags, LATE) then
                flags = flags - LATE + (has(flags, WOKEN) and 0 or WOKEN)
            end
            if not has(flags, LEASED) then
                flags = flags + LEASED
            end
            local head = pack('>BI4', flags, (unpk('>I4', record, 5))) .. fence
                .. pack('>I6c6I2', lease, sub(record, 23, 28), math.min(tries + 1, 65535))
            call('SETRANGE', KEYS[i], 3, head)
            call('ZADD', tasks, 'XX', kind * SPAN + lease, id)
            out[i - 1] = sub(record, 1, 3) .. head .. sub(record, 31)
        end
    end
end
return out

#!lua
-- outbox_claim - lease those of the named reports that are still due.
-- KEYS  outbox, then of each: rows, snapshots
-- ARGV  now, lease until, then of each: member (id, stage, version, destination), fence
-- Answer: row and record of each in turn, false where it is no longer due.
local outbox, now, lease = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local out = {}
for i = 1, (#KEYS - 1) / 2 do
    local member, fence = ARGV[1 + 2 * i], ARGV[2 + 2 * i]
    local field = sub(member, 17)
    local score = tonumber(call('ZSCORE', outbox, member) or now + 1)
    out[2 * i - 1], out[2 * i] = false, false
    if score <= now then
        local row = call('HGET', KEYS[2 * i], field)
        local record = call('HGET', KEYS[2 * i + 1], sub(field, 2, 5))
        if not row or not record or byte(row, 1) ~= PENDING then
            call('ZREM', outbox, member)
        else
            local tries = math.min(unpk('>I2', row, 5) + 1, 65535)
            row = pack('>BB', PENDING, 1) .. sub(row, 3, 4) .. pack('>I2', tries) .. fence
                .. pack('>I6', lease) .. sub(row, 21)
            call('HSET', KEYS[2 * i], field, row)
            call('ZADD', outbox, 'XX', lease, member)
            out[2 * i - 1], out[2 * i] = row, record
        end
    end
end
return out

#!lua
-- outbox_settle - what became of a post: delivered, once more later, given up; also renew and
-- release of its lease.
-- KEYS  outbox, rows, snapshots, queues
-- ARGV  what (done, again, give_up, renew, release), id, stage and version, destination, fence,
--       time (again, release: due; renew: lease until), last error, now, channel, '1' when this is
--       sent again because the answer was lost, receipt or ''
-- Answer: 1 done, 0 fenced, -1 no such report.
local outbox, rows, snapshots, queues = unpack(KEYS)
local what, id, destination, fence = ARGV[1], ARGV[2], ARGV[4], ARGV[5]
local at, now = tonumber(ARGV[6]), tonumber(ARGV[8])
local field = ARGV[3] .. destination
local member = id .. field
local row = call('HGET', rows, field)
if not row then
    return -1
end
local state, leased = byte(row, 1, 2)
local attempts, tries = unpk('>I2I2', row, 3)
if sub(row, 7, 14) ~= fence or fence == NO_FENCE then
    return 0
end

local function write(new_state, new_leased, new_attempts, new_tries, lease, due, last_error)
    call('HSET', rows, field, pack('>BBI2I2', new_state, new_leased, math.min(new_attempts, 65535),
                                   math.max(new_tries, 0)) .. fence .. pack('>I6I6', lease, due)
        .. sub(row, 27, 33) .. last_error)
end

if what == 'renew' then
    if leased == 0 then
        return 0
    end
    write(state, 1, attempts, tries, at, u48(row, 21), sub(row, 34))
    call('ZADD', outbox, 'XX', at, member)
    return 1
end
if leased == 0 then
    -- When the answer was lost, the row shows what was asked for.
    local done = (what == 'done' and state == DELIVERED) or (what == 'give_up' and state == DEAD)
        or ((what == 'again' or what == 'release') and state ~= DELIVERED and state ~= DEAD)
    return ARGV[10] == '1' and done and 1 or 0
end
if what == 'release' then
    write(PENDING, 0, attempts, tries - 1, 0, at, sub(row, 34))
    call('ZADD', outbox, 'XX', at, member)
    if at <= now then
        call('PUBLISH', ARGV[9], 4)
    end
    return 1
end

if ARGV[11] ~= '' then
    call('HSET', queues, '\0' .. destination, id .. ARGV[11])
end
local queue = call('HGET', queues, destination) or ''
local before, later, from = '', false, 1
while from <= #queue do -- where this report stands, and whether a later stage waits behind it
    local entry = sub(queue, from, from + ENTRY - 1)
    if sub(entry, 1, 21) == id .. ARGV[3] then
        break
    end
    before = before .. entry
    from = from + ENTRY
end
local after = sub(queue, from + ENTRY)
for e = 1, #after, ENTRY do
    later = later or (sub(after, e, e + 15) == id and byte(after, e + 16) > byte(field))
end
if what == 'again' and not later then
    write(PENDING, 0, attempts + 1, 0, 0, at, ARGV[7])
    call('ZADD', outbox, 'XX', at, member)
    if at <= now then
        call('PUBLISH', ARGV[9], 4)
    end
    return 1
end
local ends = {done = DELIVERED, give_up = DEAD, again = SUPERSEDED}
write(ends[what], 0, attempts + 1, 0, 0, u48(row, 21), ARGV[7])
call('ZREM', outbox, member)
local rest = before .. after
show_first(outbox, queues, destination, rest)
if rest ~= '' and u48(rest, 22) <= now then
    call('PUBLISH', ARGV[9], 4)
end
-- The record as it was is needed as long as somebody may still be told.
local wanted = false
local all = call('HGETALL', rows)
for i = 1, #all, 2 do
    local s = byte(all[i + 1], 1)
    wanted = wanted or (sub(all[i], 2, 5) == sub(field, 2, 5) and (s == PENDING or s == DEAD))
end
if not wanted then
    call('HDEL', snapshots, sub(field, 2, 5))
end
return 1

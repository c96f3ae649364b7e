-- prelude - what the scripts share; the build puts it before each of them.
--
-- A record is a head, then the bytes of the record. The head, offsets from 1:
--   1 format  2 state  3 task kind  4 flags  5-8 version  9-16 fence  17-22 lease until
--   23-28 due  29-30 tries  31-46 effect key  47-52 created  [53-68 child key, when flag 8]
-- A score of the task and state indexes is (kind or state) * 2^43 + milliseconds.
local call, byte, sub = redis.call, string.byte, string.sub
local pack, unpk = struct.pack, struct.unpack
local SPAN = 8796093022208
local LEASED, WOKEN, LATE, CHILD, FAR = 1, 2, 4, 8, 16
local SCHEDULED, FOLLOW = 1, 3
local NO_FENCE = string.rep('\0', 8)

local function u48(s, at)
    return (unpk('>I6', s, at))
end

local function has(flags, bit)
    return flags % (bit * 2) >= bit
end

local function split(record)
    local from = has(byte(record, 4), CHILD) and 69 or 53
    return sub(record, 1, from - 1), sub(record, from)
end

-- The value of a key that is remembered for a while (id, then until when), unless that is over.
local function remembered(value, now)
    return value and u48(value, 17) > now and value or nil
end

-- Reports. A row of a retry's reports (field: stage, version, destination):
--   1 state  2 leased  3-4 attempts  5-6 tries  7-14 fence  15-20 lease until  21-26 due
--   27-32 first due  33 order  34- last error
-- A chain's queue holds by destination the reports that wait, in order, 27 bytes each: retry,
-- stage, version, due. Only the first of a queue stands in the outbox.
-- Beside them, by "\0" and the destination, the receipt of the chain's last report: retry, text.
local PENDING, DELIVERED, SUPERSEDED, DEAD = 0, 1, 2, 3
local ENTRY = 27

local function show_first(outbox, queues, destination, queue)
    if queue == '' then
        call('HDEL', queues, destination)
        return
    end
    call('HSET', queues, destination, queue)
    call('ZADD', outbox, 'NX', u48(queue, 22), sub(queue, 1, 21) .. destination)
end

-- Reports of the same retry about an earlier stage that are not under way give way to a later one.
local function supersede(outbox, rows, id, stage, destination, queue, now)
    local kept = {}
    for at = 1, #queue, ENTRY do
        local entry = sub(queue, at, at + ENTRY - 1)
        local field = sub(entry, 17, 21) .. destination
        local row = sub(entry, 1, 16) == id and byte(entry, 17) < byte(stage)
            and call('HGET', rows, field)
        if row and not (byte(row, 2) == 1 and u48(row, 15) > now) then
            call('HSET', rows, field, string.char(SUPERSEDED) .. '\0' .. sub(row, 3))
            call('ZREM', outbox, id .. field)
        else
            kept[#kept + 1] = entry
        end
    end
    return table.concat(kept)
end

local function add_report(outbox, rows, snapshots, queues, id, stage, destination, version, due,
                          now, record)
    local field = stage .. pack('>I4', version) .. destination
    if call('HEXISTS', rows, field) == 1 then
        return
    end
    local queue = call('HGET', queues, destination) or ''
    queue = supersede(outbox, rows, id, stage, destination, queue, now)
    call('HSET', rows, field, pack('>BBI2I2c8I6I6I6B', PENDING, 0, 0, 0, NO_FENCE, 0, due, due,
                                   math.min(call('HLEN', rows), 255)))
    call('HSET', snapshots, pack('>I4', version), record)
    queue = queue .. id .. stage .. pack('>I4I6', version, due)
    show_first(outbox, queues, destination, queue)
end

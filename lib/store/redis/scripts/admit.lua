#!lua
-- admit - many admissions in one call, each all or nothing, in the order of the call.
--
-- What is looked up is read by one MGET, what is new is written by one MSET, one ZADD, one LPUSH:
-- a command of its own for each of them would cost three times as much.
-- KEYS  tasks, states, created, waiting, projects, outbox; then of each item:
--       [token] [delivery] [effect] child [record] [rows, snapshots, queues]
-- ARGV  now, room for tasks, channel, how long keys are remembered, until when that is, until when
--       an ended retry holds its effect key, items, projects seen, score and name of each;
--       then of each item:
--       meta (mode, flags, kind, state, reports, terminal) with id, [previous] [fingerprint]
--       [record, tail of its entry, score] [stage, destination, due of each report]
-- Answer: 17 bytes an item: N new, D duplicate, M mismatch, C child, U unknown, F full; then the id.
local EVENT, PERSON, FORCE, ENDED = 0, 1, 2, 3
local HAS_TOKEN, HAS_DELIVERY, HAS_PREVIOUS = 1, 2, 4
local ALIVE = string.rep('\0', 6)
local tasks, states, created, waiting, projects, outbox = unpack(KEYS, 1, 6)
local now, channel, keep_ms = tonumber(ARGV[1]), ARGV[3], ARGV[4]
local keep_until, hold_until = ARGV[5], ARGV[6]
local room = tonumber(ARGV[2]) - call('ZCARD', tasks)
local n_projects = tonumber(ARGV[8])
local ki, ai = 7, 9 + 2 * n_projects
local there = call('MGET', unpack(KEYS, 7))
local mine = {} -- what items before in this call have set
local out, to_set, to_tasks, to_states, to_created, woken = {}, {}, {}, {}, {}, {}
local scheduled = 0

local function value(i)
    return mine[KEYS[i]] or there[i - 6]
end

local function set(key, v)
    local at = #to_set
    to_set[at + 1], to_set[at + 2] = key, v
    mine[key] = v
end

for i = 1, tonumber(ARGV[7]) do
    local meta = ARGV[ai]
    local mode, flags, kind, state, n_reports, terminal = byte(meta, 1, 6)
    local id = sub(meta, 7)
    local what, found, previous, token, token_value, delivery, effect, v
    ai = ai + 1
    if has(flags, HAS_PREVIOUS) then
        previous = ARGV[ai]
        ai = ai + 1
    end
    if has(flags, HAS_TOKEN) then
        token, token_value = KEYS[ki], id .. keep_until .. ARGV[ai]
        v = remembered(value(ki), now)
        if v then
            found = sub(v, 1, 16)
            what = sub(v, 23) == ARGV[ai] and 'D' or 'M'
        end
        ki, ai = ki + 1, ai + 1
    end
    if has(flags, HAS_DELIVERY) then
        delivery = KEYS[ki]
        v = not found and remembered(value(ki), now)
        if v then
            found, what = sub(v, 1, 16), 'D'
        end
        ki = ki + 1
    end
    if mode ~= ENDED then
        effect = KEYS[ki]
        v = not found and mode ~= FORCE and value(ki)
        if v then
            local until_ms = u48(v, 17)
            if until_ms == 0 or (mode == EVENT and until_ms > now) then
                found, what = sub(v, 1, 16), 'D'
            end
        end
        ki = ki + 1
    end
    if not found and mode ~= FORCE then
        found, what = value(ki), 'C'
        if found and found == previous then
            found = nil -- the next attempt of the chain
        end
    end
    ki = ki + 1
    if mode == ENDED then
        out[i] = found and what .. found or 'U' .. id
    else
        if not found and value(ki) then
            found = id
        end
        if found == id then
            what = 'N' -- this very admission, sent again
        elseif not found and room <= 0 and kind ~= 0 then
            what, found = 'F', id
        elseif not found then
            what, found = 'N', id
            local record = ARGV[ai]
            set(KEYS[ki], record)
            set(effect, id .. (terminal == 1 and hold_until or ALIVE))
            if token then
                call('SET', token, token_value, 'PX', keep_ms)
                mine[token] = token_value
            end
            if delivery then
                v = id .. keep_until
                call('SET', delivery, v, 'PX', keep_ms)
                mine[delivery] = v
            end
            to_created[#to_created + 1] = sub(record, 47, 52) .. id .. ARGV[ai + 1]
            if kind ~= 0 then
                local at = #to_tasks
                to_tasks[at + 1], to_tasks[at + 2] = ARGV[ai + 2], id
                room = room - 1
                if not woken[kind] and u48(record, 23) <= now then
                    woken[kind] = true
                end
            end
            if state == SCHEDULED then
                scheduled = scheduled + 1
            else
                local at = #to_states
                to_states[at + 1], to_states[at + 2] = state * SPAN + u48(record, 47), id
            end
            for r = ai + 3, ai + 3 * n_reports, 3 do
                local due = tonumber(ARGV[r + 2])
                add_report(outbox, KEYS[ki + 1], KEYS[ki + 2], KEYS[ki + 3], id, ARGV[r],
                           ARGV[r + 1], 1, due, now, sub(record, 53))
                woken[4] = woken[4] or due <= now
            end
        end
        ai = ai + 3 + n_reports * 3
        ki = ki + (n_reports > 0 and 4 or 1)
        out[i] = what .. found
    end
end

if #to_set > 0 then
    call('MSET', unpack(to_set))
    call('LPUSH', created, unpack(to_created))
    if n_projects > 0 then
        call('ZADD', projects, 'GT', unpack(ARGV, 9, 8 + 2 * n_projects))
    end
end
if #to_tasks > 0 then
    call('ZADD', tasks, unpack(to_tasks))
end
if #to_states > 0 then
    call('ZADD', states, unpack(to_states))
end
if scheduled > 0 then
    call('INCRBY', waiting, scheduled)
end
local kinds = ''
for kind = 1, 4 do
    kinds = woken[kind] and kinds .. kind or kinds
end
if kinds ~= '' then
    call('PUBLISH', channel, kinds)
end
return table.concat(out)

#!lua
-- admit - many admissions in one call, each all or nothing, in the order of the call.
--
-- What is looked up is read by one MGET, what is new is written by one MSET, one ZADD, one LPUSH:
-- a command of its own for each of them would cost three times as much. Fixed small fields of all
-- items are one string, for each string costs as much as a command does.
-- KEYS  tasks, states, created, waiting, projects, outbox; what is looked up, by item:
--       [token] [delivery] [effect] child [record, unless the effect key tells]; then by item:
--       [record] [rows, snapshots, queues]
-- ARGV  now, room for tasks, channel, how long keys are remembered, until when that is, until when
--       an ended retry holds its effect key, items, projects seen, how many keys are looked up,
--       whether items share keys, the metas of all items (11 bytes each: mode, token, delivery,
--       previous, record looked up, kind, state, terminal, due now, scheduled, reports),
--       score and name of each project; then by item:
--       id [previous] [fingerprint] [record, entry, score in tasks, score in states unless scheduled,
--       stage, destination, due of each report]
-- Answer: 17 bytes an item: N new, D duplicate, M mismatch, C child, U unknown, F full; then the id.
local EVENT, FORCE, ENDED, META = 0, 2, 3, 11
local tasks, states, created, waiting, projects, outbox = unpack(KEYS, 1, 6)
local now, channel, keep_ms = tonumber(ARGV[1]), ARGV[3], ARGV[4]
local keep_until, hold_until = ARGV[5], ARGV[6]
local n, n_projects, n_lookups, metas = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[11]
local alive = string.rep('\0', 6)
local room = tonumber(ARGV[2]) - call('ZCARD', tasks)
local there = call('MGET', unpack(KEYS, 7, 6 + n_lookups))
local out, to_set, to_tasks, to_states, to_created, woken = {}, {}, {}, {}, {}, {}
local n_set, n_tasks, n_states, n_created, scheduled = 0, 0, 0, 0, 0
local li, ki, ai = 1, 7 + n_lookups, 12 + 2 * n_projects

-- Items that share keys must see what those before them have set.
local sharing, mine = ARGV[10] == '1', {}
local function value(i)
    return sharing and mine[KEYS[i + 6]] or there[i]
end

for i = 1, n do
    local mode, has_token, has_delivery, has_previous, has_record, kind, state, terminal, due_now,
        is_scheduled, n_reports = byte(metas, META * i - META + 1, META * i)
    local id = ARGV[ai]
    local what, found, previous, token, fingerprint, delivery, effect, v
    ai = ai + 1
    if has_previous == 1 then
        previous = ARGV[ai]
        ai = ai + 1
    end
    if has_token == 1 then
        token, fingerprint = KEYS[li + 6], ARGV[ai]
        v = remembered(value(li), now)
        if v then
            found = sub(v, 1, 16)
            what = sub(v, 23) == fingerprint and 'D' or 'M'
        end
        li, ai = li + 1, ai + 1
    end
    if has_delivery == 1 then
        delivery = KEYS[li + 6]
        v = not found and value(li)
        if v and remembered(v, now) then
            found, what = sub(v, 1, 16), 'D'
        end
        li = li + 1
    end
    if mode ~= ENDED then
        effect = KEYS[li + 6]
        v = not found and mode ~= FORCE and value(li)
        if v then
            local until_ms = u48(v, 17)
            if until_ms == 0 or (mode == EVENT and until_ms > now) then
                found, what = sub(v, 1, 16), 'D'
            end
        end
        li = li + 1
    end
    if not found and mode ~= FORCE then
        found, what = value(li), 'C'
        if found and found == previous then
            found = nil -- the next attempt of the chain
        end
    end
    li = li + 1
    if has_record == 1 then
        if not found and value(li) then
            found = id
        end
        li = li + 1
    end
    if mode == ENDED then
        if not found then
            found, what = id, 'U'
        end
    else
        if found == id then
            what = 'N' -- this very admission, sent again
        elseif not found and room <= 0 and kind ~= 0 then
            what, found = 'F', id
        elseif not found then
            what, found = 'N', id
            local record = ARGV[ai]
            local effect_value = id .. (terminal == 1 and hold_until or alive)
            to_set[n_set + 1], to_set[n_set + 2] = KEYS[ki], record
            to_set[n_set + 3], to_set[n_set + 4] = effect, effect_value
            n_set, n_created = n_set + 4, n_created + 1
            to_created[n_created] = ARGV[ai + 1]
            if delivery then
                v = id .. keep_until
                call('PSETEX', delivery, keep_ms, v)
                if sharing then
                    mine[delivery] = v
                end
            end
            if token then
                v = id .. keep_until .. fingerprint
                call('PSETEX', token, keep_ms, v)
                mine[token] = v
            end
            if sharing then
                mine[effect], mine[KEYS[ki]] = effect_value, record
            end
            if kind ~= 0 then
                to_tasks[n_tasks + 1], to_tasks[n_tasks + 2] = ARGV[ai + 2], id
                n_tasks, room = n_tasks + 2, room - 1
                woken[kind] = woken[kind] or due_now == 1
            end
            if is_scheduled == 1 then
                scheduled = scheduled + 1
            else
                to_states[n_states + 1], to_states[n_states + 2] = ARGV[ai + 3], id
                n_states = n_states + 2
            end
            for r = ai + 4 - is_scheduled, ai + 1 - is_scheduled + 3 * n_reports, 3 do
                local due = tonumber(ARGV[r + 2])
                add_report(outbox, KEYS[ki + 1], KEYS[ki + 2], KEYS[ki + 3], id, ARGV[r],
                           ARGV[r + 1], 1, due, now, sub(record, 53))
                woken[4] = woken[4] or due <= now
            end
        end
        ai = ai + 4 - is_scheduled + n_reports * 3
        ki = ki + (n_reports > 0 and 4 or 1)
    end
    out[2 * i - 1], out[2 * i] = what, found
end

if n_set > 0 then
    call('MSET', unpack(to_set))
    call('LPUSH', created, unpack(to_created))
    if n_projects > 0 then
        call('ZADD', projects, 'GT', unpack(ARGV, 12, 11 + 2 * n_projects))
    end
end
if n_tasks > 0 then
    call('ZADD', tasks, unpack(to_tasks))
end
if n_states > 0 then
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

#!lua
-- admit - many admissions in one call, each all or nothing, in the order of the call.
--
-- What is looked up is read by one MGET, what is new is written by one command for each kind of
-- key: a command of its own for each of them would cost three times as much. Fixed small fields of
-- all items are one string, for each string costs as much as a command does.
-- KEYS  tasks, states, created, waiting, projects, outbox, calendar, how many are in the calendar,
--       the calendar's slots; what is looked up, by item: [token] [delivery] [effect] child [record,
--       unless the effect key tells]; then by item: [record] [rows, snapshots, queues]
-- ARGV  now, room for tasks or '', channel, how long keys are remembered, until when that is, slots,
--       items, projects seen, how many keys are looked up, whether items share keys, the metas of
--       all items (16 bytes each: mode, token, delivery, previous, record looked up, kind, state,
--       due now, slot, reports, tail of its entry), the start of each slot, score and name of each
--       project; then by item:
--       id, or the effect key's value that begins with it, [previous] [token: until when it is
--       known, fingerprint] [record, score
--       in tasks unless it has a slot, score in states unless scheduled, stage, destination, due of
--       each report]
-- The key of the delivery that makes a retry goes with its record (trim); those of others and
-- tokens expire by themselves, which costs the server a second dictionary.
-- Answer: 17 bytes an item: N new, D duplicate, M mismatch, C child, U unknown, F full; then the id.
local EVENT, FORCE, ENDED, META = 0, 2, 3, 16
local KEYS, ARGV = KEYS, ARGV
local tasks, states, created, waiting, projects, outbox, calendar, far = unpack(KEYS, 1, 8)
local now, channel, keep_until = tonumber(ARGV[1]), ARGV[3], ARGV[5]
local n_slots, n, n_projects = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local n_lookups, metas = tonumber(ARGV[9]), ARGV[11]
local room = ARGV[2] == '' and math.huge
    or tonumber(ARGV[2]) - call('ZCARD', tasks) - (call('GET', far) or 0)
local looked_up = 8 + n_slots
local there = call('MGET', unpack(KEYS, looked_up + 1, looked_up + n_lookups))
local out, to_set, to_tasks, to_states, to_created, to_slots, woken = {}, {}, {}, {}, {}, {}, {}
local n_set, n_tasks, n_states, n_created, n_far, scheduled = 0, 0, 0, 0, 0, 0
local li, ki, ai = 1, looked_up + n_lookups + 1, 12 + n_slots + 2 * n_projects

-- Items that share keys must see what those before them have set.
local sharing, mine = ARGV[10] == '1', {}
local function value(i)
    return sharing and mine[KEYS[i + looked_up]] or there[i]
end

for i = 1, n do
    local at = META * (i - 1)
    local mode, has_token, has_delivery, has_previous, has_record, kind, state, due_now, slot,
        n_reports = byte(metas, at + 1, at + 10)
    local effect_value = ARGV[ai]
    local id = sub(effect_value, 1, 16)
    local what, found, previous, token, tail, delivery, effect, v
    ai = ai + 1
    if has_previous == 1 then
        previous = ARGV[ai]
        ai = ai + 1
    end
    if has_token == 1 then
        token, tail = KEYS[li + looked_up], ARGV[ai]
        v = remembered(value(li), now)
        if v then
            found = sub(v, 1, 16)
            what = sub(v, 23) == sub(tail, 7) and 'D' or 'M'
        end
        li, ai = li + 1, ai + 1
    end
    if has_delivery == 1 then
        delivery = KEYS[li + looked_up]
        v = not found and value(li)
        if v and remembered(v, now) then
            found, what = sub(v, 1, 16), 'D'
        end
        li = li + 1
    end
    if mode ~= ENDED then
        effect = KEYS[li + looked_up]
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
            to_set[n_set + 1], to_set[n_set + 2] = KEYS[ki], record
            to_set[n_set + 3], to_set[n_set + 4] = effect, effect_value
            n_set, n_created = n_set + 4, n_created + 1
            to_created[n_created] = sub(record, 47, 52) .. id .. sub(metas, at + 11, at + 16)
            if delivery then
                v = id .. keep_until
                to_set[n_set + 1], to_set[n_set + 2] = delivery, v
                n_set = n_set + 2
                if sharing then
                    mine[delivery] = v
                end
            end
            if token then
                v = id .. tail
                call('PSETEX', token, math.max(1, u48(tail, 1) - now), v)
                mine[token] = v
            end
            if sharing then
                mine[effect], mine[KEYS[ki]] = effect_value, record
            end
            if slot > 0 then
                local list = to_slots[slot]
                if list then
                    list[#list + 1] = sub(record, 23, 28) .. id
                else
                    to_slots[slot] = {sub(record, 23, 28) .. id}
                end
                n_far, room = n_far + 1, room - 1
            elseif kind ~= 0 then
                to_tasks[n_tasks + 1], to_tasks[n_tasks + 2] = ARGV[ai + 1], id
                n_tasks, room = n_tasks + 2, room - 1
                woken[kind] = woken[kind] or due_now == 1
            end
            local r = slot > 0 and ai + 1 or ai + 2
            if state == SCHEDULED then
                scheduled = scheduled + (slot > 0 and 0 or 1)
            else
                to_states[n_states + 1], to_states[n_states + 2] = ARGV[r], id
                n_states, r = n_states + 2, r + 1
            end
            for report = r, r + 3 * n_reports - 1, 3 do
                local due = tonumber(ARGV[report + 2])
                add_report(outbox, KEYS[ki + 1], KEYS[ki + 2], KEYS[ki + 3], id, ARGV[report],
                           ARGV[report + 1], 1, due, now, sub(record, 53))
                woken[4] = woken[4] or due <= now
            end
        end
        ai = ai + (slot > 0 and 1 or 2) + (state == SCHEDULED and 0 or 1) + n_reports * 3
        ki = ki + (n_reports > 0 and 4 or 1)
    end
    out[2 * i - 1], out[2 * i] = what, found
end

if n_set > 0 then
    call('MSET', unpack(to_set))
    call('RPUSH', created, unpack(to_created))
    if n_projects > 0 then
        local first = 12 + n_slots
        call('ZADD', projects, 'GT', unpack(ARGV, first, first + 2 * n_projects - 1))
    end
end
if n_tasks > 0 then
    call('ZADD', tasks, unpack(to_tasks))
end
if n_far > 0 then
    local index = {}
    for slot, list in pairs(to_slots) do
        local start = ARGV[11 + slot]
        if call('RPUSH', KEYS[8 + slot], unpack(list)) == #list then
            index[#index + 1], index[#index + 2] = start, start -- a slot that was empty
        end
    end
    if #index > 0 then
        call('ZADD', calendar, unpack(index))
    end
    call('INCRBY', far, n_far)
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

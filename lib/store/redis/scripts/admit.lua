#!lua
-- admit - many admissions in one call, each all or nothing, in the order of the call.
--
-- What is looked up is read by one MGET, what is new is written by one command for each kind of
-- key: a command of its own for each of them would cost three times as much. Fixed small fields of
-- all items are one string, for each string costs as much as a command does.
-- When everything is new and its tasks wait in the calendar, which is what a flood consists of, it
-- is written without a look at each.
-- KEYS  tasks, states, created, waiting, projects, outbox, calendar, how many are in the calendar,
--       the calendar's slots; what is looked up, by item: [token] [delivery] [effect] child [record,
--       unless the effect key tells]; then by item: [record] [rows, snapshots, queues]
-- ARGV  now, room for tasks or '', channel, how long keys are remembered, until when that is, slots,
--       items, projects seen, how many keys are looked up, '1' when items share keys and '2' when
--       all are plain events for the calendar, the metas of all items (10 bytes each: mode, token,
--       delivery, previous, record looked up, kind, state, due now, slot, reports), the slot of
--       each item (a byte each), the start of each slot, score and name of each project;
--       of each item in turn: id, or the effect key's value that begins with it; of each: record;
--       of each: its entry in the list of all; of each: its entry in its slot, or its score in
--       tasks; then by item: [previous] [token: until when it is known, fingerprint] [score in
--       states unless scheduled, stage, destination, due of each report]
-- The key of the delivery that makes a retry goes with its record (trim); those of others and
-- tokens expire by themselves, which costs the server a second dictionary.
-- Answer: A all are new, or 17 bytes an item: N new, D duplicate, M mismatch, C child, U unknown,
-- F full; then the id.
local EVENT, FORCE, ENDED, META = 0, 2, 3, 10
local KEYS, ARGV = KEYS, ARGV
local tasks, states, created, waiting, projects, outbox, calendar, far = unpack(KEYS, 1, 8)
local now, channel, keep_until = tonumber(ARGV[1]), ARGV[3], ARGV[5]
local n_slots, n, n_projects = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local n_lookups, shape, metas = tonumber(ARGV[9]), ARGV[10], ARGV[11]
local room = ARGV[2] == '' and math.huge
    or tonumber(ARGV[2]) - call('ZCARD', tasks) - (call('GET', far) or 0)
local looked_up, first_project = 8 + n_slots, 13 + n_slots
local records = looked_up + n_lookups
local effect_at = first_project - 1 + 2 * n_projects
local record_at, created_at, place_at = effect_at + n, effect_at + 2 * n, effect_at + 3 * n
local to_set, to_slots, n_far = {}, {}, 0

local function add_to_slot(slot, entry)
    local list = to_slots[slot]
    if list then
        list[#list + 1] = entry
    else
        to_slots[slot] = {entry}
    end
    n_far = n_far + 1
end

local function write_slots()
    local index = {}
    for slot, list in pairs(to_slots) do
        local start = ARGV[12 + slot]
        if call('RPUSH', KEYS[8 + slot], unpack(list)) == #list then
            index[#index + 1], index[#index + 2] = start, start -- a slot that was empty
        end
    end
    if #index > 0 then
        call('ZADD', calendar, unpack(index))
    end
    call('INCRBY', far, n_far)
end

local function write_projects()
    if n_projects > 0 then
        call('ZADD', projects, 'GT', unpack(ARGV, first_project, effect_at))
    end
end

if shape == '2' and room >= n
    and call('EXISTS', unpack(KEYS, looked_up + 1, looked_up + n_lookups)) == 0 then
    local slots = {byte(ARGV[12], 1, n)}
    for i = 1, n do
        local at, effect = 4 * i, looked_up + 2 * i - 1
        to_set[at - 3], to_set[at - 2] = KEYS[records + i], ARGV[record_at + i]
        to_set[at - 1], to_set[at] = KEYS[effect], ARGV[effect_at + i]
        add_to_slot(slots[i], ARGV[place_at + i])
    end
    call('MSET', unpack(to_set))
    call('RPUSH', created, unpack(ARGV, created_at + 1, created_at + n))
    write_projects()
    write_slots()
    return 'A'
end

local there = call('MGET', unpack(KEYS, looked_up + 1, looked_up + n_lookups))
local out, to_tasks, to_states, to_created, woken = {}, {}, {}, {}, {}
local n_set, n_tasks, n_states, n_created, scheduled = 0, 0, 0, 0, 0
local li, ki, ai = 1, records + 1, place_at + n + 1

-- Items that share keys must see what those before them have set.
local sharing, mine = shape == '1', {}
local function value(i)
    return sharing and mine[KEYS[i + looked_up]] or there[i]
end

for i = 1, n do
    local at = META * (i - 1)
    local mode, has_token, has_delivery, has_previous, has_record, kind, state, due_now, slot,
        n_reports = byte(metas, at + 1, at + 10)
    local effect_value = ARGV[effect_at + i]
    local id = sub(effect_value, 1, 16)
    local what, found, previous, token, tail, delivery, effect, v
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
            local record = ARGV[record_at + i]
            to_set[n_set + 1], to_set[n_set + 2] = KEYS[ki], record
            to_set[n_set + 3], to_set[n_set + 4] = effect, effect_value
            n_set, n_created = n_set + 4, n_created + 1
            to_created[n_created] = ARGV[created_at + i]
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
                add_to_slot(slot, ARGV[place_at + i])
                room = room - 1
            elseif kind ~= 0 then
                to_tasks[n_tasks + 1], to_tasks[n_tasks + 2] = ARGV[place_at + i], id
                n_tasks, room = n_tasks + 2, room - 1
                woken[kind] = woken[kind] or due_now == 1
            end
            local r = ai
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
        ai = ai + (state == SCHEDULED and 0 or 1) + n_reports * 3
        ki = ki + (n_reports > 0 and 4 or 1)
    end
    out[2 * i - 1], out[2 * i] = what, found
end

if n_set > 0 then
    call('MSET', unpack(to_set))
    call('RPUSH', created, unpack(to_created))
    write_projects()
end
if n_tasks > 0 then
    call('ZADD', tasks, unpack(to_tasks))
end
if n_far > 0 then
    write_slots()
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

#!lua
-- admit - many admissions in one call, each all or nothing, in the order of the call.
-- KEYS  tasks, states, created, waiting, projects, outbox; then of each item:
--       [token now, token before] [delivery now, delivery before] [effect] child
--       [record, project's list] [rows, snapshots, queues]
-- ARGV  now, room for tasks, channel, how long keys of a slice are kept, items, projects seen,
--       their score, the projects; then of each item:
--       meta (mode, flags, kind, state, reports), id, [token field, token value]
--       [delivery field, delivery value] build field
--       [previous, effect value, record, task score, state score]
--       [stage, destination, due of each report]
-- Answer: 17 bytes an item: N new, D duplicate, M mismatch, C child, U unknown, F full; then the id.
local EVENT, PERSON, FORCE, ENDED = 0, 1, 2, 3
local HAS_TOKEN, HAS_DELIVERY = 1, 2
local tasks, states, created, waiting, projects, outbox = unpack(KEYS, 1, 6)
local now, channel, keep_ms = tonumber(ARGV[1]), ARGV[3], ARGV[4]
local room = tonumber(ARGV[2]) - call('ZCARD', tasks)
local n_projects = tonumber(ARGV[6])
local ki, ai = 7, 8 + n_projects
local out, to_tasks, to_states, to_created, woken = {}, {}, {}, {}, {}
local scheduled = 0

for i = 1, tonumber(ARGV[5]) do
    local mode, flags, kind, state, n_reports = byte(ARGV[ai], 1, 5)
    local id = ARGV[ai + 1]
    local what, found, token, delivery
    ai = ai + 2
    if has(flags, HAS_TOKEN) then
        token = {KEYS[ki], ARGV[ai], ARGV[ai + 1]}
        local v = remembered(KEYS[ki], KEYS[ki + 1], ARGV[ai], now)
        if v then
            found = sub(v, 1, 16)
            what = sub(v, 23) == sub(token[3], 23) and 'D' or 'M'
        end
        ki, ai = ki + 2, ai + 2
    end
    if has(flags, HAS_DELIVERY) then
        delivery = {KEYS[ki], ARGV[ai], ARGV[ai + 1]}
        local v = not found and remembered(KEYS[ki], KEYS[ki + 1], ARGV[ai], now)
        if v then
            found, what = sub(v, 1, 16), 'D'
        end
        ki, ai = ki + 2, ai + 2
    end
    local field, effect = ARGV[ai], nil
    ai = ai + 1
    if mode ~= ENDED then
        effect = KEYS[ki]
        ki = ki + 1
        local v = not found and mode ~= FORCE and call('HGET', effect, field)
        if v then
            local until_ms = u48(v, 17)
            if until_ms == 0 or (mode == EVENT and until_ms > now) then
                found, what = sub(v, 1, 16), 'D'
            end
        end
    end
    if not found and mode ~= FORCE then
        found = call('HGET', KEYS[ki], field)
        what = 'C'
        if found and found == ARGV[ai] and mode ~= ENDED then
            found = nil -- the next attempt of the chain
        end
    end
    ki = ki + 1
    if mode == ENDED then
        out[i] = found and what .. found or 'U' .. id
    else
        local effect_value, record, task_score, state_score = unpack(ARGV, ai + 1, ai + 4)
        if found == id then
            what = 'N' -- this very admission, sent again
        elseif not found and room <= 0 and kind ~= 0 then
            what, found = 'F', id
        elseif not found then
            what, found = 'N', id
            if call('SET', KEYS[ki], record, 'NX') then
                if token then
                    remember(token[1], token[2], token[3], keep_ms)
                end
                if delivery then
                    remember(delivery[1], delivery[2], delivery[3], keep_ms)
                end
                call('HSET', effect, field, effect_value)
                local entry = sub(record, 47, 52) .. id
                call('LPUSH', KEYS[ki + 1], entry)
                to_created[#to_created + 1] = entry
                if kind ~= 0 then
                    local at = #to_tasks
                    to_tasks[at + 1], to_tasks[at + 2] = task_score, id
                    room = room - 1
                    if u48(record, 23) <= now then
                        woken[kind] = true
                    end
                end
                if state == SCHEDULED then
                    scheduled = scheduled + 1
                else
                    local at = #to_states
                    to_states[at + 1], to_states[at + 2] = state_score, id
                end
                for r = 0, n_reports - 1 do
                    local due = tonumber(ARGV[ai + 7 + r * 3])
                    add_report(outbox, KEYS[ki + 2], KEYS[ki + 3], KEYS[ki + 4], id,
                               ARGV[ai + 5 + r * 3], ARGV[ai + 6 + r * 3], 1, due, now,
                               sub(record, 53))
                    if due <= now then
                        woken[4] = true
                    end
                end
            end
        end
        ai = ai + 5 + n_reports * 3
        ki = ki + (n_reports > 0 and 5 or 2)
        out[i] = what .. found
    end
end

if #to_created > 0 then
    call('LPUSH', created, unpack(to_created))
    for p = 8, 7 + n_projects do
        call('ZADD', projects, 'GT', ARGV[7], ARGV[p])
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

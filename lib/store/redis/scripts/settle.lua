#!lua
-- settle - the new record, the task's end or next time, intents, child index, reports and the next
-- attempt: one step.
-- KEYS  record, tasks, states, waiting, effect, how many are in the calendar; then those the flags
--       name:
--       [open intent] [close intent] [build that must be no child] [child] [effect to take]
--       [outbox, rows, snapshots, queues] [created, record, effect, [delivery],
--       [outbox, rows, snapshots, queues] of the next attempt]
-- ARGV  meta (by fence or version, keep the lease, next kind, state, flags, reports, reports of the
--       next attempt, kind of the next attempt, its state, whether this is sent again because the
--       answer was lost), id, now, channel, fence or version, record, next due, state score,
--       effect key, effect value, previous; then [a holder of the intent that is gone or '']
--       [child key] [effect key to take, and until when it must be held at least by a retry that
--       has ended to be in the way, or '' when nobody is] [stage, destination, due of each report]
--       [id, record, tail of its entry, task score, state score, effect value, [how long keys are
--       remembered, delivery value], stage, destination, due …]
-- Answer: O done (then N, or D and id, of the next attempt), F fenced, V other version, X no such
-- retry, E and the effect key that belongs here, I, K or L and who holds the intent, the child or
-- the effect key, which was to be taken, or that of an ended retry that was to live again.
local OPEN, CLOSE, NO_CHILD, NEW_CHILD, NEXT, NEXT_DELIVERY, TAKE = 1, 2, 4, 8, 16, 32, 64
local meta = {byte(ARGV[1], 1, 10)}
local FIRST_TERMINAL = 5
local by_fence, keep, kind, state, asked = meta[1] == 1, meta[2] == 1, meta[3], meta[4], meta[5]
local n_reports, next_reports = meta[6], meta[7]
local id, now, channel, expected, body = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
local due, effect_value, previous = tonumber(ARGV[7]), ARGV[10], ARGV[11]
local tasks, states, waiting, effect = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ki, ai = 7, 12

local function key()
    ki = ki + 1
    return KEYS[ki - 1]
end

local function arg()
    ai = ai + 1
    return ARGV[ai - 1]
end

local function reports(n, outbox, rows, snapshots, queues, owner, version, record)
    local any_due = false
    for _ = 1, n do
        local stage, destination, at = arg(), arg(), tonumber(arg())
        add_report(outbox, rows, snapshots, queues, owner, stage, destination, version, at, now,
                   record)
        any_due = any_due or at <= now
    end
    return any_due
end

-- 1. what is there
local old = call('GET', KEYS[1])
if not old then
    return 'X'
end
local old_head, old_body = split(old)
local old_state, flags, version = byte(old, 2), byte(old, 4), (unpk('>I4', old, 5))
local again = meta[10] == 1 and old_body == body and old_state == state
local same = again and byte(old, 3) == kind
local repeated = false
if by_fence then
    if sub(old, 9, 16) ~= expected or expected == NO_FENCE then
        return 'F'
    end
    if keep then
        if not has(flags, LEASED) then
            return 'F'
        end
        kind = byte(old, 3)
        repeated = again
    elseif not has(flags, LEASED) then
        if not same then
            return 'F'
        end
        repeated = true
    end
elseif version ~= tonumber(expected) then
    if not (same and version == tonumber(expected) + 1) then
        return 'V'
    end
    repeated = true
end
if sub(old, 31, 46) ~= ARGV[9] then
    return 'E' .. sub(old, 31, 46)
end

-- 2. what stands in the way
local open, close, child, child_key
local revived = old_state >= FIRST_TERMINAL and state < FIRST_TERMINAL
if revived then
    local holder = call('GET', effect)
    if holder and sub(holder, 1, 16) ~= id and u48(holder, 17) == 0 then
        return 'L' .. sub(holder, 1, 16)
    end
end
if has(asked, OPEN) then
    open = key()
    local gone, holder = arg(), call('GET', open)
    if holder and holder ~= id and holder ~= gone then
        return 'I' .. holder
    end
    repeated = repeated and holder == id
end
if has(asked, CLOSE) then
    close = key()
end
if has(asked, NO_CHILD) then
    local parent = call('GET', key())
    if parent and parent ~= previous then
        return 'K' .. parent
    end
end
if has(asked, NEW_CHILD) then
    child, child_key = key(), arg()
    local parent = call('GET', child)
    if parent and parent ~= id then
        return 'K' .. parent
    end
    repeated = repeated and parent == id
end
local effect_key, taken, limit = ARGV[9]
if has(asked, TAKE) then
    taken, effect_key, limit = key(), arg(), arg()
    local holder = limit ~= '' and call('GET', taken)
    if holder and sub(holder, 1, 16) ~= id then
        local until_ms = u48(holder, 17)
        if until_ms == 0 or until_ms > tonumber(limit) then
            return 'L' .. sub(holder, 1, 16)
        end
    end
    repeated = repeated and sub(old, 31, 46) == effect_key
end

-- 3. what was applied already, or the writes
local any_due, report_due = false, false
if not repeated then
    local leased, lease, tries, fence = 0, 0, 0, NO_FENCE
    if by_fence then
        fence = expected
    end
    local kept = 0
    if keep then
        kept, lease, due, tries = flags, u48(old, 17), u48(old, 23), (unpk('>I2', old, 29))
    else
        if kind == FOLLOW and has(flags, LATE) then
            kept, due = WOKEN, now -- the child's end was told while the worker looked
        end
    end
    child_key = child_key or (has(flags, CHILD) and sub(old, 53, 68) or '')
    if child_key ~= '' and not has(kept, CHILD) then
        kept = kept + CHILD
    end
    call('SET', KEYS[1], pack('>BBBBI4', 1, state, kind, kept, version + 1) .. fence
        .. pack('>I6I6I2', lease, due, tries) .. effect_key .. sub(old, 47, 52)
        .. child_key .. body)
    if not keep then
        if kind == 0 then
            call('ZREM', tasks, id)
        else
            call('ZADD', tasks, kind * SPAN + due, id)
            any_due = due <= now
        end
    end
    if old_state ~= state then
        if old_state == SCHEDULED then
            -- what the calendar holds of it counts no more
            call('DECR', has(flags, FAR) and KEYS[6] or waiting)
        end
        if state == SCHEDULED then
            call('ZREM', states, id)
            call('INCR', waiting)
        else
            call('ZADD', states, ARGV[8], id)
        end
    end
    if old_state == state and has(flags, FAR) and not keep then
        call('DECR', KEYS[6])
        call('INCR', waiting)
    end
    local held = (taken or old_state ~= state) and call('GET', effect)
    if taken then
        if taken ~= effect and held and sub(held, 1, 16) == id then
            call('DEL', effect)
        end
        call('SET', taken, effect_value)
    elseif revived or (held and sub(held, 1, 16) == id and held ~= effect_value) then
        call('SET', effect, effect_value)
    end
    if open then
        call('SET', open, id)
    end
    if close and call('GET', close) == id then
        call('DEL', close)
    end
    if child then
        call('SET', child, id)
    end
end
if n_reports > 0 then
    local o, r, s, q = key(), key(), key(), key()
    if repeated then
        ai = ai + 3 * n_reports
    else
        report_due = reports(n_reports, o, r, s, q, id, version + 1, body)
    end
end

-- 4. the next attempt
local answer = 'O'
if has(asked, NEXT) then
    local created, record_key, next_effect = key(), key(), key()
    local next_id, record, tail, task_score, state_score, value =
        arg(), arg(), arg(), arg(), arg(), arg()
    local next_kind, next_state = meta[8], meta[9]
    local found = call('GET', next_effect)
    if found and not (u48(found, 17) == 0 or u48(found, 17) > now) then
        found = nil
    end
    local delivery, keep_ms, delivery_value
    if has(asked, NEXT_DELIVERY) then
        delivery, keep_ms, delivery_value = key(), arg(), arg()
        found = remembered(call('GET', delivery), now) or found
    end
    if found and sub(found, 1, 16) ~= next_id then
        answer = 'OD' .. sub(found, 1, 16)
    elseif found or not call('SET', record_key, record, 'NX') then
        answer = 'ON'
    else
        answer = 'ON'
        if delivery then
            call('SET', delivery, delivery_value, 'PX', keep_ms)
        end
        call('SET', next_effect, value)
        call('RPUSH', created, sub(record, 47, 52) .. next_id .. tail)
        if next_kind ~= 0 then
            call('ZADD', tasks, task_score, next_id)
        end
        if next_state == SCHEDULED then
            call('INCR', waiting)
        else
            call('ZADD', states, state_score, next_id)
        end
        if next_reports > 0 then
            local o, r, s, q = key(), key(), key(), key()
            report_due = reports(next_reports, o, r, s, q, next_id, 1, sub(record, 53)) or report_due
        end
        if next_kind ~= 0 and u48(record, 23) <= now then
            call('PUBLISH', channel, next_kind)
        end
    end
end
if any_due then
    call('PUBLISH', channel, kind)
end
if report_due then
    call('PUBLISH', channel, 4)
end
return answer

#!lua
-- settle - the new record, the task's end or next time, intents, child index, reports and the next
-- attempt: one step.
-- KEYS  record, tasks, states, waiting, effect; then those the flags name:
--       [open intent] [close intent] [build that must be no child] [child]
--       [outbox, rows, snapshots, queues] [created, record, project's list, effect,
--       [delivery now, delivery before], [outbox, rows, snapshots, queues] of the next attempt]
-- ARGV  meta (by fence or version, keep the lease, next kind, state, flags, reports, reports of the
--       next attempt, kind of the next attempt, its state), id, now, channel, fence or version,
--       record, next due, state score, effect field, effect key, effect value, previous;
--       then [open field, a holder that is gone or ''] [close field] [no child field] [child field, child key]
--       [stage, destination, due of each report] [id, record, task score, state score, effect field,
--       effect value, how long keys are kept, [delivery field, value], stage, destination, due …]
-- Answer: O done (then N, or D and id, of the next attempt), F fenced, V other version, X no such
-- retry, E and the effect key that belongs here, I or K and who holds the intent or the child.
local OPEN, CLOSE, NO_CHILD, NEW_CHILD, NEXT, NEXT_DELIVERY = 1, 2, 4, 8, 16, 32
local meta = {byte(ARGV[1], 1, 9)}
local by_fence, keep, kind, state, asked = meta[1] == 1, meta[2] == 1, meta[3], meta[4], meta[5]
local n_reports, next_reports = meta[6], meta[7]
local id, now, channel, expected, body = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
local due, previous = tonumber(ARGV[7]), ARGV[12]
local tasks, states, waiting, effect = KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ki, ai = 6, 13

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
local same = old_body == body and old_state == state and byte(old, 3) == kind
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
        repeated = old_body == body and old_state == state
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
if sub(old, 31, 46) ~= ARGV[10] then
    return 'E' .. sub(old, 31, 46)
end

-- 2. what stands in the way
local open, close, child
if has(asked, OPEN) then
    open = {key(), arg()}
    local gone, holder = arg(), call('HGET', open[1], open[2])
    if holder and holder ~= id and holder ~= gone then
        return 'I' .. holder
    end
end
if has(asked, CLOSE) then
    close = {key(), arg()}
end
if has(asked, NO_CHILD) then
    local parent = call('HGET', key(), arg())
    if parent and parent ~= previous then
        return 'K' .. parent
    end
end
if has(asked, NEW_CHILD) then
    child = {key(), arg(), arg()}
    local parent = call('HGET', child[1], child[2])
    if parent and parent ~= id then
        return 'K' .. parent
    end
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
    local child_key = has(flags, CHILD) and sub(old, 53, 68) or ''
    if child then
        child_key = child[3]
    end
    if child_key ~= '' and not has(kept, CHILD) then
        kept = kept + CHILD
    end
    call('SET', KEYS[1], pack('>BBBBI4', 1, state, kind, kept, version + 1) .. fence
        .. pack('>I6I6I2', lease, due, tries) .. sub(old, 31, 52) .. child_key .. body)
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
            call('DECR', waiting)
        end
        if state == SCHEDULED then
            call('ZREM', states, id)
            call('INCR', waiting)
        else
            call('ZADD', states, ARGV[8], id)
        end
    end
    local held = call('HGET', effect, ARGV[9])
    if (not held or sub(held, 1, 16) == id) and held ~= ARGV[11] and old_state ~= state then
        call('HSET', effect, ARGV[9], ARGV[11])
    end
    if open then
        call('HSET', open[1], open[2], id)
    end
    if close and call('HGET', close[1], close[2]) == id then
        call('HDEL', close[1], close[2])
    end
    if child then
        call('HSET', child[1], child[2], id)
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
    local created, record_key, project, next_effect = key(), key(), key(), key()
    local next_id, record, task_score, state_score, field, value, keep_ms =
        arg(), arg(), arg(), arg(), arg(), arg(), arg()
    local next_kind, next_state = meta[8], meta[9]
    local found = call('HGET', next_effect, field)
    if found and not (u48(found, 17) == 0 or u48(found, 17) > now) then
        found = nil
    end
    local now_key, before_key, d_field, d_value
    if has(asked, NEXT_DELIVERY) then
        now_key, before_key, d_field, d_value = key(), key(), arg(), arg()
        found = remembered(now_key, before_key, d_field, now) or found
    end
    if found and sub(found, 1, 16) ~= next_id then
        answer = 'OD' .. sub(found, 1, 16)
    elseif found or not call('SET', record_key, record, 'NX') then
        answer = 'ON'
    else
        answer = 'ON'
        if d_field then
            remember(now_key, d_field, d_value, keep_ms)
        end
        call('HSET', next_effect, field, value)
        local entry = sub(record, 47, 52) .. next_id
        call('LPUSH', project, entry)
        call('LPUSH', created, entry)
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

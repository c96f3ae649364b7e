#!lua
-- lease - renew or give back the lease of a main task.
-- KEYS  record, tasks
-- ARGV  'renew' or 'release', id, fence, lease until or due, now, channel, '1' when this is sent
--       again because the answer was lost
-- Answer: 1 done, 0 fenced, -1 no such retry.
local head = call('GETRANGE', KEYS[1], 0, 51)
local op, id, fence, at, now = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
if head == '' then
    return -1
end
local kind, flags = byte(head, 3, 4)
if sub(head, 9, 16) ~= fence or fence == NO_FENCE then
    return 0
end
if op == 'renew' then
    if not has(flags, LEASED) then
        return 0
    end
    call('SETRANGE', KEYS[1], 16, pack('>I6', at))
    call('ZADD', KEYS[2], 'XX', kind * SPAN + at, id)
    return 1
end
if not has(flags, LEASED) then
    return ARGV[7] == '1' and 1 or 0
end
flags = flags - LEASED
if has(flags, LATE) then
    flags = flags - LATE + (has(flags, WOKEN) and 0 or WOKEN)
    at = math.min(at, now)
end
local tries = math.max(unpk('>I2', head, 29) - 1, 0)
call('SETRANGE', KEYS[1], 3, pack('>B', flags) .. sub(head, 5, 16) .. pack('>I6I6I2', 0, at, tries))
call('ZADD', KEYS[2], 'XX', kind * SPAN + at, id)
if at <= now then
    call('PUBLISH', ARGV[6], kind)
end
return 1

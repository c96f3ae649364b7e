#!lua
-- repeat - the second half of admissions that met a retry: a duplicate is counted and listed at
-- its retry and its keys are remembered; the end of a child makes its follow task due.
-- KEYS  tasks, then of each item: record, deliveries, [token now], [delivery now]
-- ARGV  now, channel, how long deliveries are known, items; then of each item:
--       meta (D or C, how many keys), id, delivery listed or '', [value of each key]
-- Answer: one byte an item, the state of the retry, 255 when it is gone.
local LISTED = 19
local tasks, now, channel = KEYS[1], tonumber(ARGV[1]), ARGV[2]
local ki, ai = 2, 5
local out, woken = {}, false

for i = 1, tonumber(ARGV[4]) do
    local what, n_keys = byte(ARGV[ai], 1, 2)
    local id, listed = ARGV[ai + 1], ARGV[ai + 2]
    local head = call('GETRANGE', KEYS[ki], 0, 51)
    if head == '' then
        out[i] = '\255'
    else
        out[i] = sub(head, 2, 2)
        if what == 68 then
            local n = listed == '' and LISTED + 1 or call('HINCRBY', KEYS[ki + 1], 'n', 1)
            if n <= LISTED then
                call('HSET', KEYS[ki + 1], n, listed)
            end
        elseif byte(head, 3) == FOLLOW then
            local flags = byte(head, 4)
            local leased = has(flags, LEASED) and u48(head, 17) > now
            local bit = leased and LATE or WOKEN
            if not has(flags, bit) then
                flags = flags + bit
            end
            call('SETRANGE', KEYS[ki], 3, string.char(flags))
            if not leased then
                call('SETRANGE', KEYS[ki], 22, pack('>I6', now))
                call('ZADD', tasks, 'XX', FOLLOW * SPAN + now, id)
                woken = true
            end
        end
    end
    ki, ai = ki + 2, ai + 3
    for _ = 1, n_keys do
        if head ~= '' and not remembered(call('GET', KEYS[ki]), now) then
            call('SET', KEYS[ki], ARGV[ai], 'PX', math.max(1, u48(ARGV[ai], 17) - now))
        end
        ki, ai = ki + 1, ai + 1
    end
end
if woken then
    call('PUBLISH', channel, FOLLOW)
end
return table.concat(out)

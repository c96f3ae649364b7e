#!lua
-- set_aside - a record that does not decode becomes dead, so that nobody stumbles over it again.
-- KEYS  record, tasks, states, waiting
-- ARGV  id, score of the dead state without the time, dead state
-- Answer: 1.
local head = call('GETRANGE', KEYS[1], 0, 51)
call('ZREM', KEYS[2], ARGV[1])
if #head >= 52 then
    if byte(head, 2) == SCHEDULED then
        call('DECR', KEYS[4])
    end
    call('ZADD', KEYS[3], tonumber(ARGV[2]) + u48(head, 47), ARGV[1])
    call('SETRANGE', KEYS[1], 1, string.char(tonumber(ARGV[3])) .. '\0\0')
end
return 1

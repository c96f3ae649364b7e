#!lua
-- beat - one beat more, and whether the server still has the last one that this process made.
--
-- A server that came back from an older dump or as a replica that lagged does not: what was written
-- since then is lost, and the store's memory begins anew. A beat of each process, for others may
-- have counted on meanwhile. Refused, as all that writes, by a server that is full, read-only,
-- cannot save, or has too few replicas.
-- KEYS  epoch, last beat of each process
-- ARGV  now, name of the process, its last beat (0: none yet), how old the last noted time may be
--       (0: not judged; '': the keeper's beat, which notes none)
-- Answer: the beat, 1 when the memory was found lost.
local PROCESSES, AGE = 64, 1000000
local epoch, beats = KEYS[1], KEYS[2]
local now, name, seen, limit = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local birth, last, at = unpack(call('HMGET', epoch, 'birth', 'beat', 'at'))
local back = tonumber(call('HGET', beats, name) or 0) < seen
local old = limit and limit > 0 and at and now - tonumber(at) > limit
local lost = birth and (back or old)
last = tonumber(last or 0)
local stale = {}
if seen == 0 and call('HLEN', beats) >= PROCESSES then
    local all = call('HGETALL', beats)
    for i = 1, #all, 2 do
        if tonumber(all[i + 1]) < last - AGE then
            stale[#stale + 1] = all[i]
        end
    end
end
local beat = math.max(last, seen) + 1
call('HSET', epoch, 'beat', beat)
call('HSET', beats, name, beat)
if limit then
    call('HSET', epoch, 'at', ARGV[1])
end
if lost then
    call('HSET', epoch, 'birth', ARGV[1])
end
if #stale > 0 then
    call('HDEL', beats, unpack(stale, 1, math.min(#stale, 1000)))
end
return {beat, lost and 1 or 0}

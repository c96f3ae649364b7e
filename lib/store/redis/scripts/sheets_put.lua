#!lua
-- sheets_put - write sheets of the ledger, all of them or none, if each is still what was read.
-- KEYS  the sheets
-- ARGV  now; for each sheet: version that was read (or ''), value to write ('' = only compared),
--       how long it is kept
-- Answer: 1 written (now, or by the same write before), 0 another was faster.
-- A value: 1-8 version  9-14 until  15- data
local now = tonumber(ARGV[1])
local fresh, repeated = true, true
for i = 1, #KEYS do
    local old = call('GETRANGE', KEYS[i], 0, 13)
    if old ~= '' and u48(old, 9) <= now then
        old = ''
    end
    local version, value = sub(old, 1, 8), ARGV[3 * i]
    fresh = fresh and version == ARGV[3 * i - 1]
    repeated = repeated and value ~= '' and version == sub(value, 1, 8)
end
if repeated then
    return 1
end
if not fresh then
    return 0
end
for i = 1, #KEYS do
    if ARGV[3 * i] ~= '' then
        call('SET', KEYS[i], ARGV[3 * i], 'PX', ARGV[3 * i + 1])
    end
end
return 1

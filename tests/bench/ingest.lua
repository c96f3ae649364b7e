-- ingest.lua - wrk's requests: a build failure of its own each time, and the figures at the end.
-- The environment gives RB_BODY (the payload with @ID@ and @BUILD@ in it), RB_PATH, RB_KEY and RB_SEED (so that no two runs share an id).

local function slurp(path)
   local f = assert(io.open(path, "rb"))
   local s = f:read("*a")
   f:close()
   return s
end

local pieces, slots = {}, {}
local body = slurp(os.getenv("RB_BODY"))
do
   local at = 1
   while true do
      local a, b = body:find("@%u+@", at)
      if not a then
         pieces[#pieces + 1] = body:sub(at)
         break
      end
      pieces[#pieces + 1] = body:sub(at, a - 1)
      slots[#slots + 1] = body:sub(a, b)
      at = b + 1
   end
end

local headers = { ["Content-Type"] = "application/json", ["x-retrybuild-key"] = os.getenv("RB_KEY") }
if os.getenv("RB_CLOSE") == "1" then
   headers["Connection"] = "close"
end
local path = os.getenv("RB_PATH")
local seed = os.getenv("RB_SEED")
local n = 0

function request()
   n = n + 1
   local unique = string.format("%s-%012x", seed, n)
   local out = { pieces[1] }
   for i = 1, #slots do
      out[#out + 1] = unique
      out[#out + 1] = pieces[i + 1]
   end
   return wrk.format("POST", path, headers, table.concat(out))
end

function done(summary, latency)
   local e = summary.errors
   io.write(string.format('RESULT {"requests":%d,"seconds":%f,"p50_us":%d,"p99_us":%d,"errors":%d}\n', summary.requests, summary.duration / 1e6, latency:percentile(50),
      latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end

/**
 * What Redis does for one key: lets what was used trickle away by its own clock, adds what was used on credit (or takes
 * off what is given back), and grants what is wanted as far as there is room.
 *
 * KEYS: one for each key. ARGV: four numbers for each: burst, milliseconds a unit, used on credit, wanted.
 * Answers two texts for each key: what is used, grants included, and how much of that is a grant.
 */
export const LEASE_SCRIPT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local said = {}
for i, key in ipairs(KEYS) do
  local burst, per = tonumber(ARGV[4 * i - 3]), tonumber(ARGV[4 * i - 2])
  local debt, want = tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i])
  local known = redis.call('HMGET', key, 'used', 'at')
  local used, at = tonumber(known[1]) or 0, tonumber(known[2]) or now
  if now > at then used = used - (now - at) / per end
  used = math.max(0, math.max(0, used) + debt)
  local grant = math.max(0, math.min(want, math.floor(burst - used + 1e-9)))
  used = used + grant
  if used > 0 then
    redis.call('HSET', key, 'used', string.format('%.17g', used), 'at', string.format('%.17g', math.max(now, at)))
    redis.call('PEXPIRE', key, math.ceil(used * per) + 1000)
  else
    redis.call('DEL', key)
  end
  said[2 * i - 1] = string.format('%.17g', used)
  said[2 * i] = string.format('%.17g', grant)
end
return said
`;

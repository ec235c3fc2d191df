"""The Lua that Valkey runs: what must happen together or not at all.

Each entry's size lies in a sorted set, scored by the entry's milliseconds, member "<id> <bytes>": in `unacked` until
it is acknowledged, then in `kept` until it is trimmed. The hash `bytes` has their sums (`held`, `kept`). Scripts are
atomic and their effects go to the AOF together, so the sums are exact across restarts.

Belongs here: the scripts, each with its KEYS and ARGV. Does not: calling them.
"""

# KEYS stream unacked kept bytes; ARGV group. The group starts at 0, so that nothing in the stream is missed; if the
# stream is gone, so is what was counted of it. Returns 1 if the group was made.
GROUP = """
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('DEL', KEYS[2], KEYS[3], KEYS[4]) end
local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
if made.err then
  if string.find(made.err, 'BUSYGROUP', 1, true) then return 0 end
  return made
end
return 1
"""

_REFUSAL = """
-- Why an entry of so many bytes may not come in: the bytes that are held; or "old:" and how many milliseconds the
-- oldest entry of the sorted sets KEYS[first] to KEYS[last] waits. nil where it may.
local function refusal(held, size, max_bytes, max_age_ms, first, last)
  if held > 0 and held + size > tonumber(max_bytes) then return held end
  local now = redis.call('TIME')
  local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
  for i = first, last do
    local oldest = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')[2]
    if oldest and now_ms - tonumber(oldest) > tonumber(max_age_ms) then
      return 'old:' .. string.format('%.0f', now_ms - tonumber(oldest))
    end
  end
end
"""

# Running totals: ARGV[4] how many move on, ARGV[5] seconds to remember them, then for each the key, its first 16 bytes
# as they have to be, and what is kept from now on.
_TALLIES = """
local moves = 3 * tonumber(ARGV[4])
local function overtaken()
  for i = 6, 5 + moves, 3 do
    if redis.call('GETRANGE', ARGV[i], 0, 15) ~= ARGV[i + 1] then return true end
  end
  return false
end
local function move_on()
  for i = 6, 5 + moves, 3 do redis.call('SET', ARGV[i], ARGV[i + 2], 'EX', ARGV[5]) end
end
"""

# KEYS since; ARGV now_us, then the keys of running totals. Returns since when they are remembered, and what is kept.
TALLIES = """
redis.call('SET', KEYS[1], ARGV[1], 'NX')
local found = {redis.call('GET', KEYS[1])}
for i = 2, #ARGV do found[i] = redis.call('GET', ARGV[i]) end
return found
"""

# KEYS stream unacked bytes idempotency names; ARGV max_bytes, seconds to remember the key ("0": no key), the epoch of
# the names that are left out ("": none is), running totals (see above), max_age_ms, then the fields. Returns the id,
# or why it was refused (see refusal), "names:" and the epoch when all names are wanted, or "overtaken".
APPEND = (
    _REFUSAL
    + _TALLIES
    + """
local remember = tonumber(ARGV[2])
if remember > 0 then
  local known = redis.call('GET', KEYS[4])
  if known then
    redis.call('EXPIRE', KEYS[4], remember) -- a write, so that WAITAOF waits for what the first call wrote
    return known
  end
end
if ARGV[3] ~= '' then
  local epoch = redis.call('GET', KEYS[5]) or '0'
  if epoch ~= ARGV[3] then return 'names:' .. epoch end
end
if overtaken() then return 'overtaken' end
local first, size = 7 + moves, 0
for i = first, #ARGV do size = size + #ARGV[i] end
local held = tonumber(redis.call('HGET', KEYS[3], 'held') or '0')
local refused = refusal(held, size, ARGV[1], ARGV[first - 1], 2, 2)
if refused then return refused end
local id = redis.call('XADD', KEYS[1], '*', unpack(ARGV, first))
redis.call('ZADD', KEYS[2], string.match(id, '^%d+'), id .. ' ' .. size)
redis.call('HINCRBY', KEYS[3], 'held', size)
if remember > 0 then redis.call('SET', KEYS[4], id, 'EX', remember) end
move_on()
return id
"""
)

# KEYS idempotency names last, then stream unacked bytes of each shard that gets an entry; ARGV max_bytes, seconds to
# remember the key, epoch and running totals as above, number of shards (their bytes, and then their unacked, are
# further KEYS at the end), max_age_ms, then for each entry how many parts its fields have, and these. All entries get
# one id, above every id before, so that there is one order over all shards. Returns as APPEND does.
APPEND_SHARDS = (
    _REFUSAL
    + _TALLIES
    + """
local remember = tonumber(ARGV[2])
if remember > 0 then
  local known = redis.call('GET', KEYS[1])
  if known then
    redis.call('EXPIRE', KEYS[1], remember)
    return known
  end
end
if ARGV[3] ~= '' then
  local epoch = redis.call('GET', KEYS[2]) or '0'
  if epoch ~= ARGV[3] then return 'names:' .. epoch end
end
if overtaken() then return 'overtaken' end
local first = 8 + moves
local hashes = tonumber(ARGV[first - 2])
local entries = (#KEYS - 3 - 2 * hashes) / 3
local size, held, others = 0, 0, #KEYS - 2 * hashes
for i = first, #ARGV do size = size + #ARGV[i] end
for i = others + 1, others + hashes do held = held + tonumber(redis.call('HGET', KEYS[i], 'held') or '0') end
local refused = refusal(held, size, ARGV[1], ARGV[first - 1], others + hashes + 1, #KEYS)
if refused then return refused end
local now = redis.call('TIME')
local ms, seq = now[1] * 1000 + math.floor(now[2] / 1000), 0
local function above(id)
  local m, s = string.match(id, '^(%d+)-(%d+)$')
  m, s = tonumber(m), tonumber(s)
  if m > ms or (m == ms and s >= seq) then ms, seq = m, s + 1 end
end
local last = redis.call('GET', KEYS[3])
if last then above(last) end
for e = 0, entries - 1 do
  local info = redis.pcall('XINFO', 'STREAM', KEYS[4 + e * 3])
  if not info.err then
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then above(info[i + 1]) end
    end
  end
end
local id = string.format('%.0f-%.0f', ms, seq)
local at = first
for e = 0, entries - 1 do
  local parts, bytes = tonumber(ARGV[at]), 0
  for i = at + 1, at + parts do bytes = bytes + #ARGV[i] end
  redis.call('XADD', KEYS[4 + e * 3], id, unpack(ARGV, at + 1, at + parts))
  redis.call('ZADD', KEYS[5 + e * 3], string.format('%.0f', ms), id .. ' ' .. bytes)
  redis.call('HINCRBY', KEYS[6 + e * 3], 'held', bytes)
  at = at + parts + 1
end
redis.call('SET', KEYS[3], id)
if remember > 0 then redis.call('SET', KEYS[1], id, 'EX', remember) end
move_on()
return id
"""
)

# KEYS loaders, then the lease of each shard; ARGV consumer, now_ms, milliseconds that a lease holds. Renews this
# loader's leases, lets those go that are more than its share, and takes free ones up to it. Returns its shards' places.
LEASE = """
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', ARGV[2] - ARGV[3]))
local shards = #KEYS - 1
local share = math.ceil(shards / redis.call('ZCARD', KEYS[1]))
local mine, held = {}, 0
for pass = 1, 2 do
  for i = 1, shards do
    local owner = redis.call('GET', KEYS[i + 1])
    if pass == 1 and owner == ARGV[1] then
      if held < share then
        redis.call('PEXPIRE', KEYS[i + 1], ARGV[3])
        held = held + 1
        mine[#mine + 1] = i - 1
      else
        redis.call('DEL', KEYS[i + 1])
      end
    elseif pass == 2 and not owner and held < share then
      redis.call('SET', KEYS[i + 1], ARGV[1], 'PX', ARGV[3])
      held = held + 1
      mine[#mine + 1] = i - 1
    end
  end
end
return mine
"""

# KEYS loaders, then the lease of each shard; ARGV consumer. Lets all go.
RELEASE = """
redis.call('ZREM', KEYS[1], ARGV[1])
for i = 2, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1] then redis.call('DEL', KEYS[i]) end
end
return 1
"""

# KEYS stream unacked; ARGV group max_entries max_bytes. How many of the next entries fit into max_bytes.
ROOM = """
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err then return 1 end
local ms, seq = '0', 0
for _, group in ipairs(groups) do
  local mine = false
  for i = 1, #group, 2 do
    if group[i] == 'name' and group[i + 1] == ARGV[1] then mine = true end
    if group[i] == 'last-delivered-id' and mine then
      ms, seq = string.match(group[i + 1], '^(%d+)-(%d+)$')
    end
  end
end
local count, total = 0, 0
local limit = tonumber(ARGV[2])
-- some of the last delivered millisecond may be in the way: look at a few more
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], ms, '+inf', 'LIMIT', 0, limit + 64)) do
  local m, s, size = string.match(member, '^(%d+)-(%d+) (%d+)$')
  if m ~= ms or tonumber(s) > tonumber(seq) then
    total = total + tonumber(size)
    if count > 0 and total > tonumber(ARGV[3]) then break end
    count = count + 1
    if count == limit then break end
  end
end
return math.max(count, 1)
"""

_SETTLE = """
local function settle(id)
  if redis.call('XACK', KEYS[1], group, id) == 0 then return 0 end
  local ms = string.match(id, '^%d+')
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], ms, ms)) do
    local found, size = string.match(member, '^(%S+) (%d+)$')
    if found == id then
      redis.call('ZREM', KEYS[2], member)
      redis.call('ZADD', KEYS[3], ms, member)
      redis.call('HINCRBY', KEYS[4], 'held', -size)
      redis.call('HINCRBY', KEYS[4], 'kept', size)
    end
  end
  return 1
end
"""

# KEYS stream unacked kept bytes; ARGV group, now_ms - live_ms, max kept bytes, ids. Acknowledges, then trims what is
# acknowledged and too old, or beyond the kept bytes. Never trims an entry that is not acknowledged. Returns how many
# were acknowledged now.
ACKNOWLEDGE = (
    "local group = ARGV[1]"
    + _SETTLE
    + """
local settled = 0
for i = 4, #ARGV do settled = settled + settle(ARGV[i]) end
local oldest = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
local bound = oldest and tonumber(oldest) or math.huge
local horizon = math.min(bound, tonumber(ARGV[2]))
local over = tonumber(redis.call('HGET', KEYS[4], 'kept') or '0') - tonumber(ARGV[3])
if over > 0 then
  for _, member in ipairs(redis.call('ZRANGE', KEYS[3], 0, 255)) do
    local ms, size = string.match(member, '^(%d+)-%d+ (%d+)$')
    if over <= 0 or tonumber(ms) >= bound then break end
    over = over - tonumber(size)
    horizon = math.max(horizon, math.min(bound, tonumber(ms) + 1))
  end
end
local below = '(' .. string.format('%.0f', horizon)
local gone = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', below)
if #gone > 0 then
  local size = 0
  for _, member in ipairs(gone) do size = size + tonumber(string.match(member, ' (%d+)$')) end
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', below)
  redis.call('HINCRBY', KEYS[4], 'kept', -size)
  redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f-0', horizon))
end
return settled
"""
)

# The dead letters: letters, total and index are the keys of the stream, of its bytes, and of the hash from what a
# letter is of (stream, entry, reason) to its id. There is one letter of each: one that is kept again takes its place.
_LETTERS = """
local function forget(letters, total, index, letter)
  local of = {}
  for i = 1, #letter[2], 2 do
    of[letter[2][i]] = letter[2][i + 1]
  end
  redis.call('DECRBY', total, of.size)
  redis.call('HDEL', index, of.stream .. ' ' .. of.entry_id .. ' ' .. of.reason)
  return redis.call('XDEL', letters, letter[1])
end
"""

_KEEP = (
    _LETTERS
    + """
local function keep(letters, total, index, most, most_bytes, letter, size)
  letter[#letter + 1] = 'size'
  letter[#letter + 1] = size
  if redis.call('EXISTS', letters) == 0 then redis.call('DEL', total, index) end
  local of = letter[2] .. ' ' .. letter[4] .. ' ' .. letter[6]
  local known = redis.call('HGET', index, of)
  local before = known and redis.call('XRANGE', letters, known, known)[1]
  if before then forget(letters, total, index, before) end
  redis.call('HSET', index, of, redis.call('XADD', letters, '*', unpack(letter)))
  redis.call('INCRBY', total, size)
  while redis.call('XLEN', letters) > tonumber(most) or tonumber(redis.call('GET', total)) > tonumber(most_bytes) do
    local first = redis.call('XRANGE', letters, '-', '+', 'COUNT', 1)[1]
    if not first then break end
    forget(letters, total, index, first)
  end
end
"""
)

# KEYS stream unacked kept bytes dead dead_bytes dead_index; ARGV group id reason at_us max_letters max_bytes
# max_payload. Copies the entry to the dead letters (its fields prefixed with "f:", if not too large), acknowledges it.
BURY = (
    "local group = ARGV[1]"
    + _SETTLE
    + _KEEP
    + """
local letter = {'stream', KEYS[1], 'entry_id', ARGV[2], 'reason', ARGV[3], 'at_us', ARGV[4]}
local found = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]
local kept = 0
if found then
  local fields, size = found[2], 0
  for i = 1, #fields do size = size + #fields[i] end
  if size <= tonumber(ARGV[7]) then
    kept = size
    for i = 1, #fields, 2 do
      letter[#letter + 1] = 'f:' .. fields[i]
      letter[#letter + 1] = fields[i + 1]
    end
  end
end
keep(KEYS[5], KEYS[6], KEYS[7], ARGV[5], ARGV[6], letter, kept)
return settle(ARGV[2])
"""
)

# KEYS stream dead dead_bytes dead_index; ARGV entry_id reason at_us max_letters max_bytes, then fields. Puts samples
# aside.
KEEP_ASIDE = (
    _KEEP
    + """
local letter = {'stream', KEYS[1], 'entry_id', ARGV[1], 'reason', ARGV[2], 'at_us', ARGV[3]}
local size = 0
for i = 6, #ARGV, 2 do
  letter[#letter + 1] = 'f:' .. ARGV[i]
  letter[#letter + 1] = ARGV[i + 1]
  size = size + #ARGV[i] + #ARGV[i + 1]
end
keep(KEYS[2], KEYS[3], KEYS[4], ARGV[4], ARGV[5], letter, size)
return size
"""
)

# KEYS stream unacked bytes dead dead_bytes dead_index; ARGV letter_id max_bytes max_age_ms. Moves a letter back into
# the stream. Returns the entry's id, why it was refused (see refusal), "missing" or "empty".
REPLAY = (
    _LETTERS
    + _REFUSAL
    + """
local letter = redis.call('XRANGE', KEYS[4], ARGV[1], ARGV[1])[1]
if not letter then return 'missing' end
local fields, size = {}, 0
for i = 1, #letter[2], 2 do
  local name = string.match(letter[2][i], '^f:(.*)$')
  if name then
    fields[#fields + 1] = name
    fields[#fields + 1] = letter[2][i + 1]
    size = size + #name + #letter[2][i + 1]
  end
end
if #fields == 0 then return 'empty' end
local held = tonumber(redis.call('HGET', KEYS[3], 'held') or '0')
local refused = refusal(held, size, ARGV[2], ARGV[3], 2, 2)
if refused then return refused end
local id = redis.call('XADD', KEYS[1], '*', unpack(fields))
redis.call('ZADD', KEYS[2], string.match(id, '^%d+'), id .. ' ' .. size)
redis.call('HINCRBY', KEYS[3], 'held', size)
forget(KEYS[4], KEYS[5], KEYS[6], letter)
return id
"""
)

# KEYS dead dead_bytes dead_index; ARGV letter_id. Returns 1 if there was one.
DROP = (
    _LETTERS
    + """
local letter = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not letter then return 0 end
return forget(KEYS[1], KEYS[2], KEYS[3], letter)
"""
)

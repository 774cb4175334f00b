/**
 * The script for the index of a user from the files before `maxSessions`. A server that still has them sends it beside
 * servers with newer ones.
 */
export const EARLIER_INDEX_SCRIPT = `
local key, operation, call = KEYS[1], ARGV[1], redis.call
local now = tonumber(call("TIME")[1])

-- The index expires a minute after the last of its sessions, because the clocks of two nodes differ. PEXPIREAT runs before
-- ZADD too: if the ACL denies it, the script fails before it creates a key that never expires.
local function set_entry(member, score, deadline)
  local expiry = math.max((deadline + 60) * 1000, call("PEXPIRETIME", key))
  call("PEXPIREAT", key, expiry)
  call("ZADD", key, score, member)
  call("PEXPIREAT", key, expiry)
end

-- Removes entries, marked or not, whose deadline was a minute ago or more, and those of log-ins that never finished.
local function remove_overdue()
  call("ZREMRANGEBYSCORE", key, 60 - now, now - 60)
end

-- "add" and "confirm" take ARGV[2]: member, [3]: deadline, or "" if it is not known, [4]: absolute timeout, [5]: old member
-- in a rotation. They return 0 if the old or the new entry is marked, and "confirm" also if the new one is gone.
if operation == "add" then
  remove_overdue()
  local old = ARGV[5] and tonumber(call("ZSCORE", key, ARGV[5]))
  if old and old < 0 then return 0 end
  set_entry(ARGV[2], now + 60, tonumber(ARGV[3]) or now + ARGV[4]) -- until it is confirmed
  return 1
end
if operation == "confirm" then
  local score = tonumber(call("ZSCORE", key, ARGV[2]))
  if not score or score < 0 then return 0 end
  local deadline = tonumber(ARGV[3]) or now + ARGV[4]
  set_entry(ARGV[2], deadline, deadline)
  if ARGV[5] then call("ZREM", key, ARGV[5]) end
  return 1
end

-- ARGV[2], [3]: the first and the last entry to return, counted from 0; -1 is the last of all. Returns member, score,
-- member, score …, the latest deadline first.
if operation == "list" then
  remove_overdue()
  return call("ZRANGE", key, ARGV[2], ARGV[3], "REV", "WITHSCORES")
end
-- ARGV[2] …: member, score, member, score …, as they were read
if operation == "prune" then
  for i = 2, #ARGV, 2 do
    local may_be_unconfirmed = math.abs(ARGV[i + 1]) <= now + 60
    if not may_be_unconfirmed and call("ZSCORE", key, ARGV[i]) == ARGV[i + 1] then call("ZREM", key, ARGV[i]) end
  end
  return 1
end

-- ARGV[2]: the member to leave as it is, or "". Returns all others; those of an earlier call are marked already.
if operation == "mark" then
  local marked, entries = {}, call("ZRANGE", key, 0, -1, "WITHSCORES")
  for i = 1, #entries, 2 do
    local member, score = entries[i], tonumber(entries[i + 1])
    if member ~= ARGV[2] then
      if score > 0 then call("ZADD", key, -score, member) end
      marked[#marked + 1] = member
    end
  end
  return marked
end

if operation == "remove" then
  return call("ZREM", key, unpack(ARGV, 2))
end
`;

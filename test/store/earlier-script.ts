/**
 * The script of the first published files. A server that still has them sends it beside servers with newer ones.
 */
export const EARLIER_SCRIPT = `
local key, operation, app_time, absolute_ttl, call = KEYS[1], ARGV[1], ARGV[2], ARGV[3], redis.call

if operation == "create" then -- ARGV[4]: idle timeout, [5]: deadline, "" if the session is new, [6]: fields as JSON
  local idle, redis_time, fields = ARGV[4] * 1000, tonumber(call("TIME")[1]), cjson.decode(ARGV[6])
  local deadline = tonumber(ARGV[5]) or redis_time + absolute_ttl
  if deadline <= redis_time then return false end
  -- If the ACL denies PEXPIRE or PEXPIREAT, HSET would leave a key that never expires. HSET has to be the first write:
  -- if memory is full, Redis refuses only the first write of a script.
  if not (redis.acl_check_cmd("PEXPIRE", key, 1) and redis.acl_check_cmd("PEXPIREAT", key, 1, "LT")) then
    return redis.error_reply("NOPERM this user may not run PEXPIRE and PEXPIREAT")
  end
  -- 500 fields (1000 values) at a time, because unpack returns at most some 8000 values.
  for i = 1, #fields, 1000 do call("HSET", key, unpack(fields, i, math.min(i + 999, #fields))) end
  call("HSET", key, "session_deadline", deadline)
  call("PEXPIRE", key, idle)
  call("PEXPIREAT", key, deadline * 1000, "LT") -- LT: only if that is earlier
  return 1
end

-- No session, no write: this keeps a session dead once it is gone. A hash without created_at, last_accessed_at or a
-- valid session_ttl is no session. One HGETALL is cheaper than HMGET and HGETALL.
local fields, ttl, created, accessed, deadline
if operation == "read" or operation == "peek" or operation == "take" then
  fields = call("HGETALL", key)
  for i = 1, #fields, 2 do
    local field, value = fields[i], fields[i + 1]
    if field == "session_ttl" then ttl = value
    elseif field == "created_at" then created = value
    elseif field == "last_accessed_at" then accessed = value
    elseif field == "session_deadline" then deadline = value end
  end
else
  local values = call("HMGET", key, "session_ttl", "created_at", "last_accessed_at", "session_deadline")
  ttl, created, accessed, deadline = values[1], values[2], values[3], values[4]
end
ttl = tonumber(ttl)
if not (ttl and ttl >= 1 and ttl <= 3153600000 and ttl % 1 == 0 and created and accessed) then return false end

local result = 1
if operation == "increment" then -- ARGV[4]: field, [5]: amount
  result = call("HINCRBY", key, ARGV[4], ARGV[5])
  if result > 9007199254740991 or result < -9007199254740991 then -- JavaScript cannot represent it exactly: undo it
    call("HINCRBY", key, ARGV[4], 0 - ARGV[5])
    return redis.error_reply("ERR increment or decrement would overflow")
  end
elseif operation == "update" then -- ARGV[4]: fields to write, [5]: names of fields to remove, both as JSON
  local written, removed = cjson.decode(ARGV[4]), cjson.decode(ARGV[5])
  for i = 1, #written, 1000 do call("HSET", key, unpack(written, i, math.min(i + 999, #written))) end
  for i = 1, #removed, 1000 do call("HDEL", key, unpack(removed, i, math.min(i + 999, #removed))) end
elseif operation == "set_ttl" then -- ARGV[4]: idle timeout
  ttl = tonumber(ARGV[4])
  call("HSET", key, "session_ttl", ttl)
elseif operation == "take" then
  call("HSET", key, "last_accessed_at", app_time) -- If memory is full, this first write fails, and nothing is deleted.
elseif operation == "delete" then -- ARGV[4]: if given, the user to whom the session must belong
  local user = call("HMGET", key, "session_user")[1] or ""
  if ARGV[4] and ARGV[4] ~= user then return false end
  call("DEL", key)
  return user
end

-- Reset the idle timeout at most once a second (every half second if it is one second), because a write costs more than
-- a read and goes to every replica. The time left shows when the last reset was. If the key expires at its deadline,
-- which a reset does not move, last_accessed_at shows it.
local idle, left = ttl * 1000, call("PTTL", key)
local resets = operation == "set_ttl"
if not resets and operation ~= "peek" and operation ~= "take" and left <= idle - (idle > 1000 and 1000 or 500) then
  resets = accessed < app_time or call("PEXPIRETIME", key) ~= (tonumber(deadline) or 0) * 1000
end

-- Also repair an expiry that another program removed or moved beyond the idle timeout, and a session without a deadline.
-- If the deadline has passed, PEXPIREAT deletes the key.
if resets or left < 0 or left > idle or not deadline then
  deadline = tonumber(deadline)
  if not (deadline and deadline >= 1 and deadline <= 1e11 and deadline % 1 == 0) then
    deadline = call("TIME")[1] + absolute_ttl -- the absolute timeout begins now
    call("HSET", key, "session_deadline", deadline)
    if fields then fields[#fields + 1], fields[#fields + 2] = "session_deadline", tostring(deadline) end
  end
  call("PEXPIRE", key, idle)
  left = call("PEXPIREAT", key, deadline * 1000, "LT") == 0 and idle or call("PTTL", key) -- 0: the idle timeout is first
  if left < 0 then return false end
end
if resets then
  call("HSET", key, "last_accessed_at", app_time)
  -- A field that is in the reply twice has the later value.
  if fields then fields[#fields + 1], fields[#fields + 2] = "last_accessed_at", app_time end
end

if operation == "take" then
  call("DEL", key)
elseif fields then
  fields[#fields + 1] = left -- milliseconds
end
return fields or result
`;

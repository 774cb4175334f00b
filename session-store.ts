/**
 * A session store for Redis in one file. It needs a connected `redis` client and nothing else.
 *
 * A session is a Redis hash, and its key always has an expiry. All fields below but `username` are reserved for the
 * store, and so is the name `ttl`, which `getSession` adds to its result.
 *
 *     session:{id}
 *       session_ttl      = 1800                    idle timeout in seconds
 *       session_deadline = 1778243696              absolute timeout: Unix time in seconds, rounded up, by Redis' clock
 *       created_at       = 2026-04-08T12:34:56Z    for people, by the application's clock
 *       last_accessed_at = 2026-04-08T12:40:10Z    for people, by the application's clock
 *       session_user     = 1234                    written by `user-sessions.ts`
 *       username         = andrew                  and whatever else the application keeps
 *
 * Two timeouts end a session. A read or a write resets the idle timeout (sliding expiration), unless the last reset was
 * less than a second ago, or with a timeout under 20 seconds, less than a twentieth of it. A session may end early by as
 * much. The absolute timeout is fixed when the session is created. Redis keeps both as the expiry of the key, so it does
 * not matter if the clocks of the application servers differ. Redis 7.0 or newer, or Valkey.
 *
 * The main danger is a race: a slow request reads the session, the user logs out, and the request then writes what it
 * has read, which brings the session back. So each operation on a session runs inside a Lua script that first checks that
 * the session exists: one atomic step, one round trip. (A rotation takes two.) "No such session" is an ordinary result,
 * also for an ID that is `undefined` or malformed. Exceptions are for wrong arguments and for a Redis that is
 * unavailable.
 */
import { hash, randomBytes } from "node:crypto";
import { clearTimeout, setTimeout } from "node:timers"; // Deno's global one returns a number

/** What a field holds. `JSON`: anything that `JSON.stringify` takes. */
export type FieldType = typeof String | typeof Number | typeof Boolean | typeof JSON;
export type FieldTypes = Record<string, FieldType>;
/** The default, for a store without the option `fields`: any field, each read as text. */
export type TextFields = Record<string, typeof String>;

type ValueOf<Type> = Type extends typeof String
  ? string
  : Type extends typeof Number
    ? number
    : Type extends typeof Boolean
      ? boolean
      : unknown;

/** What is written to a session. A field given as `null` is removed, one given as `undefined` is left alone. */
export type SessionData<Fields extends FieldTypes = TextFields> = string extends keyof Fields
  ? Record<string, string | number | null | undefined>
  : { [Field in keyof Fields]?: ValueOf<Fields[Field]> | null | undefined };

/**
 * A session as it is read: a plain object, in which a field named `constructor` or `__proto__` is there only if it was
 * written. The application's fields may be missing. `ttl` is the seconds left, rounded up; it is not stored.
 * Without the option `fields`, every value is text, those of the reserved fields too.
 */
export type Session<Fields extends FieldTypes = TextFields> = { [Field in keyof Fields]?: ValueOf<Fields[Field]> } & {
  [Field in keyof ReservedFields]: IsText<Fields> extends true ? string : ReservedFields[Field];
} & { session_user?: string };
interface ReservedFields {
  session_ttl: number;
  created_at: string;
  last_accessed_at: string;
  session_deadline: number;
  ttl: number;
}
type IsText<Fields> = TextFields extends Fields ? (Fields extends TextFields ? true : false) : false;

/** The fields that `incrementField` takes: those declared as `Number`. */
export type NumberField<Fields extends FieldTypes = TextFields> = string extends keyof Fields
  ? string
  : { [Field in keyof Fields & string]: Fields[Field] extends typeof Number ? Field : never }[keyof Fields & string];

/**
 * The part of node-redis that the store uses. A client, a cluster, a sentinel and a pool all have it. Replies must be as
 * Redis sends them: text as strings, not as buffers, and the message of an error with its code in front (`NOSCRIPT …`).
 */
export interface RedisScripting {
  evalSha(sha1: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
}

export interface RedisSessionStoreOptions<Fields extends FieldTypes = TextFields> {
  /** A connected node-redis client, cluster, sentinel or pool. The caller configures and closes it. */
  redis: RedisScripting;
  /** What every key begins with. Default: `session:`. */
  prefix?: string;
  /**
   * Idle timeout in seconds, for sessions that are created without one. Default: 1800, or `absoluteTtl` if less. Like
   * `absoluteTtl`, it does not change the sessions that exist.
   */
  ttl?: number;
  /**
   * Absolute timeout: seconds from creation to the end of a session, however active it is, for sessions that are
   * created without one. Default: 2,592,000 (30 days, NIST SP 800-63B-4, AAL1). At most 3,153,600,000 (100 years).
   */
  absoluteTtl?: number;
  /**
   * What each field holds: `{ username: String, page_views: Number, admin: Boolean, cart: JSON }`. Values are then
   * checked when they are written, and read with that type. A stored value that cannot be read as its type, because
   * another program wrote it, is left out; a field that is not declared is read as text. Default: any field, strings
   * and finite numbers in, text out.
   */
  fields?: Fields;
  /**
   * Keep only the SHA-256 digest of an ID in Redis, so that a copy of its data holds no usable cookie. Changing it
   * logs everybody out. Default: false.
   */
  hashIds?: boolean;
  /**
   * Milliseconds within which every operation resolves or rejects, whatever Redis does. Default: 1000. If the event loop
   * is blocked when the time is up, an operation gets up to 100 ms more, to read replies that have arrived.
   */
  timeoutMs?: number;
  /** The most bytes of field names and values in one write. The size of a session is not limited. Default: 4096. */
  maxWriteBytes?: number;
}

/** Requires `fields` if there is a type argument: without `fields`, every value is text, and the types would be wrong. */
export type FieldsIfTyped<Fields extends FieldTypes> = IsText<Fields> extends true ? unknown : { fields: Fields };

/** The timeouts of one session, in seconds. Default: those of the store, `ttl` being at most `absoluteTtl`. */
export interface SessionTimeouts {
  ttl?: number | undefined;
  absoluteTtl?: number | undefined;
}

/**
 * Redis cannot be reached, refuses a command, or did not reply in time. It is not known whether the session exists, or
 * whether a write took effect or still will. Reply with 503 and leave the cookie alone: the session may still exist.
 */
export class RedisUnavailableError extends Error {
  override readonly name = "RedisUnavailableError";
  /** Compare this where `instanceof` fails, as it does for a class that was bundled twice. */
  readonly code = "REDIS_UNAVAILABLE";
}

const RESERVED_FIELDS: Record<keyof ReservedFields | "session_user", FieldType> = {
  session_ttl: Number,
  created_at: String,
  last_accessed_at: String,
  session_deadline: Number,
  ttl: Number,
  session_user: String,
};
const RESERVED_NAMES = new Set(Object.keys(RESERVED_FIELDS));

/**
 * Has no properties, so a field named `constructor` is there only if it was written. It is not `null`, because React
 * refuses to hand an object without a prototype to a client component.
 */
const SESSION_PROTOTYPE: object = Object.freeze(Object.create(null) as object);

const MAX_ABSOLUTE_TTL = 3_153_600_000; // seconds: 100 years
const MAX_TIMEOUT_MS = 2_147_483_647; // a longer timer fires at once
const MAX_STRING_BYTES = 536_870_912; // the most that a Redis string can hold
const CHUNK_SIZE = 1000; // values that the script unpacks at a time: Lua allows some 8000
const GRACE_MS = 100; // the last part of a time limit, but at most half of it: see `TimeLimit`

/** Fields as Redis holds them, the reserved ones included. A `Map`, because a field may be named `__proto__`. */
export type StoredFields = Map<string, string>;
/** What a write changes; `null` stands for a field to remove. */
export type FieldChanges = Map<string, string | null>;

export class RedisSessionStore<Fields extends FieldTypes = TextFields> {
  readonly #ttl: number;
  readonly #hashIds: boolean;
  protected readonly prefix: string;
  /** For subclasses. It is not public, because it lets its caller choose the ID of a session (session fixation). */
  protected readonly steps: SessionSteps<Fields>;

  constructor(options: RedisSessionStoreOptions<Fields> & FieldsIfTyped<Fields>) {
    const { redis, prefix = "session:", absoluteTtl = 2_592_000, ttl = Math.min(1800, absoluteTtl) } = options;
    const { fields, hashIds = false, timeoutMs = 1000, maxWriteBytes = 4096 } = options;
    assertClient(redis);
    assertType("prefix", prefix, "string");
    assertType("hashIds", hashIds, "boolean");
    assertWhole("absoluteTtl", absoluteTtl, MAX_ABSOLUTE_TTL, "seconds");
    assertWhole("ttl", ttl, absoluteTtl, "seconds");
    assertWhole("timeoutMs", timeoutMs, MAX_TIMEOUT_MS, "milliseconds");
    assertWhole("maxWriteBytes", maxWriteBytes, MAX_STRING_BYTES, "bytes");
    if (fields !== undefined) assertFieldTypes(fields);
    this.#ttl = ttl;
    this.#hashIds = hashIds;
    this.prefix = prefix;
    const codec = new FieldCodec<Fields>(fields, maxWriteBytes);
    this.steps = new SessionSteps(new ScriptRunner(redis, timeoutMs), codec, absoluteTtl);
  }

  /**
   * Creates a session and returns its ID: 32 random bytes in base64url, 43 characters. Reserved fields in `data` are
   * left out. Like every write, it rejects with a `TypeError` for a wrong value and a `RangeError` for too many bytes.
   */
  async createSession(data = {} as SessionData<Fields>, timeouts: SessionTimeouts = {}): Promise<string> {
    const { absoluteTtl } = timeouts;
    const fields = this.newFields(data, timeouts);
    const id = newSessionId();
    await this.steps.create(this.keyOf(id), fields, { absoluteTtl });
    return id;
  }

  /**
   * Reads a session; `null` if there is none. Resets the idle timeout, unless `refreshTtl` is `false` (a peek) or Redis
   * takes no writes.
   */
  async getSession(
    id: string | undefined,
    { refreshTtl = true }: { refreshTtl?: boolean } = {},
  ): Promise<Session<Fields> | null> {
    if (!isSessionId(id)) return null;
    const reply = await this.steps.run(refreshTtl ? "read" : "peek", this.keyOf(id), []);
    return reply === null ? null : this.steps.codec.decode(reply as unknown[]);
  }

  /**
   * Writes the fields given, removes those given as `null`, and resets the idle timeout as a read does. `false` if there
   * is no such session.
   */
  async updateSession(id: string | undefined, data: SessionData<Fields>): Promise<boolean> {
    const changes = this.steps.codec.encode(data);
    if (!isSessionId(id)) return false;
    return (await this.steps.run("update", this.keyOf(id), toArguments(changes))) !== null;
  }

  /**
   * Adds to a field, which counts as 0 if it is missing, and returns the new number. `null` if there is no such session.
   * Rejects with a `TypeError` if the field holds no integer or, in a store with `fields`, is not declared as `Number`,
   * and with a `RangeError` if the field is reserved, or if the amount or the sum is not a safe integer.
   */
  async incrementField(id: string | undefined, field: NumberField<Fields>, amount = 1): Promise<number | null> {
    const addend = this.steps.codec.encodeIncrement(field, amount);
    if (!isSessionId(id)) return null;
    let sum;
    try {
      sum = await this.steps.run("increment", this.keyOf(id), [field, addend]);
    } catch (error) {
      throw toIncrementError(field, error);
    }
    // node-redis decodes the integer reply 9007199254740991 as 9007199254740992.
    return sum === null ? null : Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number(sum), Number.MAX_SAFE_INTEGER));
  }

  /**
   * Sets the session's own idle timeout and resets it. `ttl` is in seconds, from 1 to the store's `absoluteTtl`. `false`
   * if there is no such session.
   */
  async setSessionTtl(id: string | undefined, ttl: number): Promise<boolean> {
    assertWhole("ttl", ttl, this.steps.absoluteTtl, "seconds");
    return isSessionId(id) && (await this.steps.run("setTtl", this.keyOf(id), [String(ttl)])) !== null;
  }

  /** The seconds left, rounded up; `null` if there is no such session. Does not reset the idle timeout. */
  async getTtl(id: string | undefined): Promise<number | null> {
    const session = await this.getSession(id, { refreshTtl: false });
    return session && Number(session.ttl);
  }

  /** The session's own idle timeout in seconds; `null` if there is no such session. Does not reset it. */
  async getConfiguredTtl(id: string | undefined): Promise<number | null> {
    const session = await this.getSession(id, { refreshTtl: false });
    return session && Number(session.session_ttl);
  }

  /**
   * Gives a session a new ID and returns it; the old ID no longer works. Do this whenever the rights of its user change,
   * because an attacker may know the old ID (session fixation). Data and deadline are kept, and the idle timeout is reset;
   * `data` changes fields as in an update. `null` if there is no such session. Of several rotations at once, one succeeds.
   * A value that is not UTF-8 text, which only another program can have written, does not survive it.
   *
   * The two keys may live on two nodes of a cluster, so there are two steps: the old session is read and deleted, then
   * the new one created. If Redis fails between them, the user has to log in again. Two IDs never name one session. If an
   * operation with the old ID finds no session, do not clear the cookie: the browser may already have the new ID.
   */
  async rotateSession(id: string | undefined, data = {} as SessionData<Fields>): Promise<string | null> {
    const changes = this.steps.codec.encode(data);
    if (!isSessionId(id)) return null;
    const newId = newSessionId();
    return (await this.steps.rotate(this.keyOf(id), this.keyOf(newId), changes)) ? newId : null;
  }

  /** Deletes a session, as for a log-out. `false` if there is no such session. */
  async deleteSession(id: string | undefined): Promise<boolean> {
    return isSessionId(id) && (await this.steps.delete(this.keyOf(id))) !== null;
  }

  /** The Redis key of a session, to look it up with other tools. */
  keyOf(id: string): string {
    return this.prefix + (this.#hashIds ? `sha256:${digestOf(id)}` : id);
  }

  /** The fields of a new session, without its deadline, which Redis' clock decides. Throws if an argument is wrong. */
  protected newFields(data: SessionData<Fields>, timeouts: SessionTimeouts): StoredFields {
    const { absoluteTtl = this.steps.absoluteTtl, ttl = Math.min(this.#ttl, absoluteTtl) } = timeouts;
    assertWhole("absoluteTtl", absoluteTtl, MAX_ABSOLUTE_TTL, "seconds");
    assertWhole("ttl", ttl, absoluteTtl, "seconds");
    const now = timestamp();
    const fields = new Map([["session_ttl", String(ttl)] as const, ["created_at", now], ["last_accessed_at", now]]);
    return applyChanges(fields, this.steps.codec.encode(data));
  }
}

/** What the session script can do. A rotation is `moveOut` (read and delete) and then `create`. */
export type SessionOperation = "create" | "read" | "peek" | "update" | "increment" | "setTtl" | "moveOut" | "delete";

/**
 * The steps that the operations are made of. Each is one call of the session script on one key; `rotate` is two. The
 * steps of one operation share its time limit.
 */
export class SessionSteps<Fields extends FieldTypes> {
  readonly scripts: ScriptRunner;
  readonly codec: FieldCodec<Fields>;
  /** The absolute timeout in seconds, for sessions that name none. */
  readonly absoluteTtl: number;

  constructor(scripts: ScriptRunner, codec: FieldCodec<Fields>, absoluteTtl: number) {
    this.scripts = scripts;
    this.codec = codec;
    this.absoluteTtl = absoluteTtl;
  }

  /** Writes a whole session, and returns its deadline. `null` if that has passed, which can happen only in a rotation. */
  async create(
    key: string,
    fields: StoredFields,
    { absoluteTtl = this.absoluteTtl, timeLimit }: { absoluteTtl?: number | undefined; timeLimit?: TimeLimit } = {},
  ): Promise<string | null> {
    const ttl = fields.get("session_ttl") ?? "";
    const deadline = readableDeadline(fields.get("session_deadline"));
    const chunks = JSON.stringify(toChunks(Array.from(fields).flat()));
    const args = ["create", timestamp(), String(absoluteTtl), ttl, deadline, chunks];
    return (await this.scripts.run(SESSION_SCRIPT, key, args, timeLimit)) as string | null;
  }

  /** Reads a session, with or without resetting its idle timeout; `null` if there is none. */
  async read(key: string, operation: "read" | "peek", timeLimit?: TimeLimit): Promise<Session<Fields> | null> {
    const reply = await this.run(operation, key, [], timeLimit);
    return reply === null ? null : this.codec.decode(reply as unknown[]);
  }

  /** Reads and deletes a session, and creates it at the new key. Returns its deadline; `null` if there is none. */
  async rotate(
    key: string,
    newKey: string,
    changes: FieldChanges,
    timeLimit: TimeLimit = this.scripts.startTimeLimit(),
  ): Promise<string | null> {
    const reply = await this.run("moveOut", key, [], timeLimit);
    if (reply === null) return null;
    const fields = applyChanges(new Map(pairsOf(reply as unknown[])), changes);
    return this.create(newKey, fields.set("last_accessed_at", timestamp()), { timeLimit });
  }

  /** Deletes a session, if a user is given only if it is theirs. Returns whose it was; `null` if there is none. */
  async delete(
    key: string,
    { user, timeLimit }: { user?: string; timeLimit?: TimeLimit } = {},
  ): Promise<{ user: string | undefined } | null> {
    const owner = (await this.run("delete", key, user === undefined ? [] : [user], timeLimit)) as string | null;
    return owner === null ? null : { user: owner === "" ? undefined : owner };
  }

  /** Runs an operation of the session script. Resolves to `null` if there is no such session. */
  run(operation: SessionOperation, key: string, args: string[], timeLimit?: TimeLimit): Promise<unknown> {
    const input = [operation, timestamp(), String(this.absoluteTtl), ...args];
    return this.scripts.run(SESSION_SCRIPT, key, input, timeLimit);
  }
}

/**
 * All operations on a session. KEYS: its key. ARGV: the operation; the application's time; the absolute timeout in
 * seconds, for a session that has no deadline yet; from 4 on, what the operation takes. Fields as JSON are in lists, as
 * `toChunks` returns them. Returns false, which is `null` in JavaScript, if there is no such session.
 *
 * One script for all operations keeps their order: if each had its own, one that is not cached would be sent again after
 * later ones had run. Redis' own clock decides when a session ends, never `app_time`.
 *
 * A Redis that takes no writes (memory is full, a snapshot failed, it is a replica) refuses the first write of a script.
 * Once a script has written, Redis refuses only what the ACL denies. So what changes a session begins with an `HSET` or a
 * `HINCRBY`, before anything is deleted. A read begins with `PEXPIRE`, and goes on without it if Redis refuses.
 */
export const SESSION_SCRIPT: Script = defineScript(`
local key, operation, app_time, absolute_ttl, call = KEYS[1], ARGV[1], ARGV[2], ARGV[3], redis.call

if operation == "create" then -- ARGV[4]: idle timeout, [5]: deadline, "" if the session is new, [6]: fields as JSON
  local redis_time = tonumber(call("TIME")[1])
  local deadline = tonumber(ARGV[5]) or redis_time + 1 + absolute_ttl -- 1: for the fraction of a second
  if deadline <= redis_time then return false end
  -- If the ACL denies PEXPIRE or PEXPIREAT, HSET would leave a key that never expires.
  if not (redis.acl_check_cmd("PEXPIRE", key, 1) and redis.acl_check_cmd("PEXPIREAT", key, 1, "LT")) then
    return redis.error_reply("NOPERM this user may not run PEXPIRE and PEXPIREAT")
  end
  for _, chunk in ipairs(cjson.decode(ARGV[6])) do call("HSET", key, unpack(chunk)) end
  call("HSET", key, "session_deadline", deadline)
  call("PEXPIRE", key, ARGV[4] * 1000)
  call("PEXPIREAT", key, deadline * 1000, "LT") -- LT: only if that is earlier
  return string.format("%d", deadline)
end

-- No session, no write: this keeps a session dead once it is gone. A hash without created_at, last_accessed_at or a
-- valid session_ttl is no session, and neither is a key of another type. One HGETALL is cheaper than HMGET and HGETALL.
local fields, ttl, created, accessed, deadline
if operation == "read" or operation == "peek" or operation == "moveOut" then
  fields = redis.pcall("HGETALL", key)
  if fields.err then return fields.err:find("^WRONGTYPE") == nil and fields end
  for i = 1, #fields, 2 do
    local field, value = fields[i], fields[i + 1]
    if field == "session_ttl" then ttl = value
    elseif field == "created_at" then created = value
    elseif field == "last_accessed_at" then accessed = value
    elseif field == "session_deadline" then deadline = value end
  end
else
  local values = redis.pcall("HMGET", key, "session_ttl", "created_at", "last_accessed_at", "session_deadline")
  if values.err then return values.err:find("^WRONGTYPE") == nil and values end
  ttl, created, accessed, deadline = values[1], values[2], values[3], values[4]
end
ttl = tonumber(ttl)
if not (ttl and ttl >= 1 and ttl <= 3153600000 and ttl % 1 == 0) then return false end
if not (created and accessed) then return false end

local result = 1
if operation == "increment" then -- ARGV[4]: field, [5]: amount
  result = call("HINCRBY", key, ARGV[4], ARGV[5])
  if result > 9007199254740991 or result < -9007199254740991 then -- JavaScript cannot represent it exactly: undo it
    call("HINCRBY", key, ARGV[4], 0 - ARGV[5])
    return redis.error_reply("ERR increment or decrement would overflow")
  end
elseif operation == "update" and #ARGV > 4 then -- ARGV[4] …: field, value, field, value …
  call("HSET", key, unpack(ARGV, 4))
elseif operation == "update" then -- ARGV[4]: JSON, fields to write and names of fields to remove
  local written, removed = unpack(cjson.decode(ARGV[4]))
  for _, chunk in ipairs(written) do call("HSET", key, unpack(chunk)) end
  for _, chunk in ipairs(removed) do call("HDEL", key, unpack(chunk)) end
elseif operation == "setTtl" then -- ARGV[4]: idle timeout
  ttl = tonumber(ARGV[4])
  call("HSET", key, "session_ttl", ttl)
elseif operation == "moveOut" then
  call("HSET", key, "last_accessed_at", app_time) -- If Redis refuses writes, it refuses this one: nothing is deleted.
elseif operation == "delete" then -- ARGV[4]: if given, the user to whom the session must belong
  local user = call("HMGET", key, "session_user")[1] or ""
  if ARGV[4] and ARGV[4] ~= user then return false end
  call("DEL", key)
  return user
end

-- A write costs more than a read and goes to every replica, so a refresh is skipped if the last one was less than a second
-- ago, or with an idle timeout under 20 seconds, less than a twentieth of it. The time left shows that.
local idle, left = ttl * 1000, call("PTTL", key)
local refreshes = operation == "setTtl"
if operation == "read" or operation == "update" or operation == "increment" then
  refreshes = left <= idle - (idle > 20000 and 1000 or idle / 20)
  -- If the key expires at its deadline, a refresh does not move the expiry: then last_accessed_at shows it.
  if refreshes and accessed >= app_time then
    refreshes = call("PEXPIRETIME", key) ~= (tonumber(deadline) or 0) * 1000
  end
end

-- The expiry is also set if another program removed it or moved it beyond the idle timeout, and if there is no deadline.
if refreshes or left < 0 or left > idle or not deadline then
  local reply = redis.pcall("PEXPIRE", key, string.format("%d", idle)) -- Redis takes longer to turn a number into text
  if type(reply) == "table" then
    local takes_no_writes = reply.err:find("^MISCONF") or reply.err:find("^NOREPLICAS") or reply.err:find("^READONLY")
    local is_read = operation == "read" or operation == "peek"
    if not (takes_no_writes and is_read and left >= 0) then return reply end
    fields[#fields + 1] = left
    return fields
  end
  deadline = tonumber(deadline)
  if not (deadline and deadline >= 1 and deadline <= 1e11 and deadline % 1 == 0) then
    deadline = call("TIME")[1] + 1 + absolute_ttl -- the absolute timeout begins now
    call("HSET", key, "session_deadline", deadline)
    if fields then fields[#fields + 1], fields[#fields + 2] = "session_deadline", tostring(deadline) end
  end
  -- 0: the idle timeout is first. If the deadline has passed, PEXPIREAT deletes the key.
  left = call("PEXPIREAT", key, string.format("%d", deadline * 1000), "LT") == 0 and idle or call("PTTL", key)
  if left < 0 then return false end
end
if refreshes then
  call("HSET", key, "last_accessed_at", app_time)
  -- A field that is in the reply twice has the later value.
  if fields then fields[#fields + 1], fields[#fields + 2] = "last_accessed_at", app_time end
end

if operation == "moveOut" then
  call("DEL", key)
elseif fields then
  fields[#fields + 1] = left -- milliseconds
end
return fields or result
`);

/** By name, the reserved fields included. The name is also a value: see `decode`. */
type DeclaredFields = Map<string, { name: string; type: FieldType }>;

/** Turns data into fields as Redis holds them, and back. */
export class FieldCodec<Fields extends FieldTypes> {
  readonly #fields: DeclaredFields | undefined;
  readonly #maxWriteBytes: number;

  constructor(fields: Fields | undefined, maxWriteBytes: number) {
    const types = Object.entries({ ...fields, ...RESERVED_FIELDS });
    this.#fields = fields && new Map(types.map(([name, type]) => [name, { name, type }]));
    this.#maxWriteBytes = maxWriteBytes;
  }

  /** Checks data and turns it into text. Reserved fields are left out. */
  encode(data: object): FieldChanges {
    const kind = Object.prototype.toString.call(data);
    if (kind !== "[object Object]") throw new TypeError(`data must be a plain object; got ${kind.slice(8, -1)}`);
    const changes: FieldChanges = new Map();
    let bytes = 0;
    for (const [field, value] of Object.entries(data) as [string, unknown][]) {
      if (RESERVED_NAMES.has(field) || value === undefined) continue;
      assertWellFormed("the name of a field", field);
      const text = value === null ? null : encodeValue(field, value, this.#fields);
      changes.set(field, text);
      bytes += Buffer.byteLength(field) + Buffer.byteLength(text ?? "");
    }
    this.#assertBytes(bytes);
    return changes;
  }

  /** Checks what `incrementField` takes, and returns the amount as text. */
  encodeIncrement(field: string, amount: number): string {
    assertType("field", field, "string");
    if (RESERVED_NAMES.has(field)) throw new RangeError(`field must not be a reserved one; got ${field}`);
    if (!Number.isSafeInteger(amount)) throw new RangeError(`amount must be a safe integer; got ${String(amount)}`);
    if (this.#fields && this.#fields.get(field)?.type !== Number) {
      throw new TypeError(`${field} must be declared as Number in the option \`fields\``);
    }
    assertWellFormed("the name of a field", field);
    const text = String(amount);
    this.#assertBytes(Buffer.byteLength(field) + text.length);
    return text;
  }

  #assertBytes(bytes: number): void {
    if (bytes <= this.#maxWriteBytes) return;
    throw new RangeError(
      `data must have at most ${String(this.#maxWriteBytes)} bytes in one write; got ${String(bytes)}`,
    );
  }

  /** From what "read" and "peek" return: field, value, field, value …, milliseconds left. */
  decode(reply: unknown[]): Session<Fields> {
    const session = Object.create(SESSION_PROTOTYPE) as Record<string, unknown>;
    const end = reply.length - 1;
    for (let i = 0; i < end; i += 2) {
      const name = String(reply[i]);
      const declared = this.#fields?.get(name);
      const value = decodeValue(String(reply[i + 1]), declared?.type);
      // A property is added faster under the declared name than under an equal text that was just read.
      if (value !== undefined) session[declared?.name ?? name] = value;
    }
    const ttl = Math.ceil(Number(reply[end]) / 1000);
    session["ttl"] = this.#fields ? ttl : String(ttl);
    return session as Session<Fields>;
  }
}

/** A Lua script and the name under which Redis caches it. */
export interface Script {
  source: string;
  sha1: string;
}
/** Adds a first line, because an older Redis would fail in the middle of a script, after some of its writes. */
export function defineScript(body: string): Script {
  const need = "Redis 7.0 or newer, or Valkey, is required";
  const source = `if not redis.acl_check_cmd then return redis.error_reply("ERR ${need}") end\n${body}`;
  return { source, sha1: hash("sha1", source, "hex") };
}

/** Runs scripts on one key each, within a time limit. */
export class ScriptRunner {
  readonly #redis: RedisScripting;
  readonly #timeoutMs: number;
  readonly #timer = new LimitTimer();

  constructor(redis: RedisScripting, timeoutMs: number) {
    this.#redis = redis;
    this.#timeoutMs = timeoutMs;
  }

  /** Begins the time limit of one operation. */
  startTimeLimit(): TimeLimit {
    return new TimeLimit(this.#timeoutMs, this.#timer);
  }

  /**
   * Runs a script on a key and resolves to what it returns. If the server has not cached the script, `EVAL` sends it
   * along. Rejects with a `RedisUnavailableError` if Redis refuses or does not reply within the time limit.
   */
  async run(
    script: Script,
    key: string,
    args: string[],
    timeLimit: TimeLimit = this.startTimeLimit(),
  ): Promise<unknown> {
    const input = { keys: [key], arguments: args };
    try {
      try {
        return await timeLimit.settle(this.#redis.evalSha(script.sha1, input));
      } catch (error) {
        if (!messageOf(error).startsWith("NOSCRIPT")) throw error;
        return await timeLimit.settle(this.#redis.eval(script.source, input));
      }
    } catch (error) {
      if (error instanceof RedisUnavailableError) throw error;
      throw new RedisUnavailableError(messageOf(error), { cause: error });
    }
  }
}

/** The time limit of one operation. All its steps share it. Times are those of `performance.now()`. */
export class TimeLimit {
  readonly timeoutMs: number;
  /** When the next part begins: first the grace, then the end. */
  nextAt: number;
  readonly #graceMs: number;
  readonly #timer: LimitTimer;
  #hasGraceStarted = false;

  constructor(timeoutMs: number, timer: LimitTimer) {
    this.timeoutMs = timeoutMs;
    this.#graceMs = Math.min(GRACE_MS, timeoutMs / 2);
    this.nextAt = performance.now() + timeoutMs - this.#graceMs;
    this.#timer = timer;
  }

  /** Milliseconds until its end. */
  get left(): number {
    return this.nextAt + (this.#hasGraceStarted ? 0 : this.#graceMs) - performance.now();
  }

  /** Settles like `work`, or rejects with a `RedisUnavailableError` at the end of the time limit. */
  settle<Result>(work: Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const wait = { limit: this, reject, index: 0 };
      this.#timer.add(wait);
      work.then(
        (result) => {
          this.#timer.delete(wait);
          resolve(result);
        },
        (error: unknown) => {
          this.#timer.delete(wait);
          reject(error);
        },
      );
    });
  }

  /**
   * Whether it has ended. If the grace, its last part, starts late, the event loop was blocked: then the limit is extended,
   * so that replies that have arrived in the meantime can be read.
   */
  hasEnded(now: number): boolean {
    if (now < this.nextAt || this.#hasGraceStarted) return now >= this.nextAt;
    this.#hasGraceStarted = true;
    this.nextAt = Math.max(this.nextAt, now) + this.#graceMs;
    return false;
  }
}

/** What waits for Redis within a time limit. */
interface Wait {
  limit: TimeLimit;
  reject: (error: RedisUnavailableError) => void;
  /** Its place in the list of all waits. */
  index: number;
}

/**
 * One timer for all that waits, because to set and clear one for each command costs more than the rest of a time limit. It
 * is set for the wait that ends first, so it is set again about once in a time limit. If nothing waits, it stays set, but
 * does not keep the process running.
 */
class LimitTimer {
  /** In any order. Not a `Set`: that costs more than the rest of a time limit, too. */
  readonly #waits: Wait[] = [];
  #timer: NodeJS.Timeout | undefined;
  #firesAt = Infinity;

  add(wait: Wait): void {
    wait.index = this.#waits.push(wait) - 1;
    if (wait.limit.nextAt < this.#firesAt) this.#set(wait.limit.nextAt);
    else if (wait.index === 0) this.#timer?.ref();
  }

  /** Does nothing if the wait has ended. */
  delete(wait: Wait): void {
    if (this.#waits[wait.index] !== wait) return;
    const last = this.#waits.pop()!;
    if (last !== wait) {
      this.#waits[wait.index] = last;
      last.index = wait.index;
    }
    if (this.#waits.length === 0) this.#timer?.unref();
  }

  #set(firesAt: number): void {
    clearTimeout(this.#timer);
    this.#firesAt = firesAt;
    if (firesAt < Infinity) this.#timer = setTimeout(() => this.#check(), firesAt - performance.now());
  }

  #check(): void {
    const now = performance.now();
    let next = Infinity;
    for (const wait of Array.from(this.#waits)) {
      const { limit, reject } = wait;
      if (limit.hasEnded(now)) {
        this.delete(wait);
        const error = new RedisUnavailableError(`Redis did not reply within ${String(limit.timeoutMs)} ms`);
        setImmediate(reject, error); // Node first reads the replies that have arrived
      } else {
        next = Math.min(next, limit.nextAt);
      }
    }
    this.#set(next);
  }
}

/**
 * What "update" takes: field, value, field, value …, which costs least, or one argument with all changes as JSON, which
 * may also remove fields, and write none or very many.
 */
function toArguments(changes: FieldChanges): string[] {
  const written: string[] = [];
  const removed: string[] = [];
  for (const [field, text] of changes) {
    if (text === null) removed.push(field);
    else written.push(field, text);
  }
  if (removed.length === 0 && written.length > 0 && written.length <= CHUNK_SIZE) return written;
  return [JSON.stringify([toChunks(written), toChunks(removed)])];
}

/** Field, value, field, value … in lists that the script can unpack. */
function toChunks(values: string[]): string[][] {
  const chunks: string[][] = [];
  for (let i = 0; i < values.length; i += CHUNK_SIZE) chunks.push(values.slice(i, i + CHUNK_SIZE));
  return chunks;
}

/** The deadline, as the script reads it; `""` if there is none, or if another program made it unreadable (inf, nan). */
function readableDeadline(text = ""): string {
  const deadline = Number(text);
  return Number.isInteger(deadline) && deadline >= 1 && deadline <= 1e11 ? String(deadline) : "";
}

/** The SHA-256 digest in base64url: 43 characters, like a session ID. */
export function digestOf(text: string): string {
  return hash("sha256", text, "base64url");
}

export function newSessionId(): string {
  return randomBytes(32).toString("base64url");
}

/** Whether this has the form of an ID. Redis is not asked about anything else. */
export function isSessionId(id: unknown): id is string {
  return typeof id === "string" && id.length === 43 && !/[^\w-]/.test(id);
}

/** The current time, to the second: `2026-04-08T12:34:56Z`. Kept for a second, because formatting it is slow. */
export function timestamp(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== formatted.second)
    formatted = { second, text: `${new Date(second * 1000).toISOString().slice(0, 19)}Z` };
  return formatted.text;
}
let formatted = { second: 0, text: "" };

/** From field, value, field, value … */
export function pairsOf(reply: unknown[]): [string, string][] {
  return Array.from({ length: reply.length / 2 }, (_, i) => [String(reply[2 * i]), String(reply[2 * i + 1])]);
}

function applyChanges(fields: StoredFields, changes: FieldChanges): StoredFields {
  for (const [field, text] of changes) {
    if (text === null) fields.delete(field);
    else fields.set(field, text);
  }
  return fields;
}

function encodeValue(field: string, value: unknown, fields: DeclaredFields | undefined): string {
  const got = typeof value === "number" ? String(value) : typeof value;
  if (fields === undefined) {
    if (typeof value === "string") return assertWellFormed(field, value);
    if (typeof value === "number" && Number.isFinite(value)) return String(value);
    throw new TypeError(
      `${field} must be a string or a finite number; got ${got}. Declare it in the option \`fields\``,
    );
  }
  const type = fields.get(field)?.type;
  if (type === String && typeof value === "string") return assertWellFormed(field, value);
  if (type === Number && typeof value === "number" && Number.isFinite(value)) return String(value);
  if (type === Boolean && typeof value === "boolean") return String(value);
  if (type === JSON) return encodeJson(field, value);
  if (type === undefined) throw new TypeError(`${field} must be declared in the option \`fields\``);
  throw new TypeError(`${field} must be a ${(type as typeof String).name.toLowerCase()}; got ${got}`);
}

function encodeJson(field: string, value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value) as string | undefined; // `undefined` for a function or a symbol
  } catch (error) {
    throw new TypeError(`${field} must be a value that JSON can hold: ${messageOf(error)}`, { cause: error });
  }
  if (text === undefined) throw new TypeError(`${field} must be a value that JSON can hold; got ${typeof value}`);
  return text;
}

/** The value of a field; `undefined` if the text is not of its type. A field without a type is text. */
function decodeValue(text: string, type: FieldType | undefined): unknown {
  if (type === Number) {
    const number = Number(text);
    return text.trim() !== "" && Number.isFinite(number) ? number : undefined;
  }
  if (type === Boolean) return text === "true" ? true : text === "false" ? false : undefined;
  if (type !== JSON) return text;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A lone surrogate has no UTF-8 encoding: Redis would hold U+FFFD in its place, and two such names would be one. */
export function assertWellFormed(name: string, text: string): string {
  if (!/[\uD800-\uDFFF]/u.test(text)) return text; // `u`: a pair is one character. esbuild compiles \p{…} at each call
  throw new TypeError(`${name} must be well-formed text; got a lone surrogate`);
}

export function assertWhole(name: string, value: number, largest: number, unit: string): void {
  if (Number.isInteger(value) && value >= 1 && value <= largest) return;
  throw new RangeError(`${name} must be a whole number of ${unit} from 1 to ${String(largest)}; got ${String(value)}`);
}

function assertType(name: string, value: unknown, type: "string" | "boolean"): void {
  if (typeof value !== type) throw new TypeError(`${name} must be a ${type}; got ${typeof value}`);
}

function assertClient(redis: unknown): void {
  const client = Object(redis) as Partial<RedisScripting>;
  if (typeof client.evalSha === "function" && typeof client.eval === "function") return;
  throw new TypeError(`redis must be a connected node-redis client, cluster, sentinel or pool; got ${typeof redis}`);
}

function assertFieldTypes(fields: FieldTypes): void {
  const declared = Object.entries(Object(fields) as FieldTypes);
  if (declared.length === 0) throw new TypeError("fields must declare at least one field");
  for (const [field, type] of declared) {
    if (RESERVED_NAMES.has(field)) throw new TypeError(`fields must not declare the reserved field ${field}`);
    if (![String, Number, Boolean, JSON].some((known) => known === type)) {
      throw new TypeError(`fields: ${field} must be String, Number, Boolean or JSON; got ${typeof type}`);
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function toIncrementError(field: string, error: unknown): unknown {
  const message = messageOf(error);
  if (message.includes("hash value is not an integer"))
    return new TypeError(`${field} does not hold an integer`, { cause: error });
  if (message.includes("would overflow")) {
    return new RangeError(`${field} would be no safe integer`, { cause: error });
  }
  return error;
}

/**
 * Sessions in Redis, in one file that depends on nothing but a connected `redis` client.
 *
 * A session is a Redis hash, and its key always has an expiry:
 *
 *     session:{id}
 *       username         = andrew                  whatever the application keeps
 *       session_ttl      = 1800                    idle limit in seconds; reserved
 *       created_at       = 2026-04-08T12:34:56Z    the absolute limit counts from here; reserved
 *       last_accessed_at = 2026-04-08T12:40:10Z    reserved
 *
 * Two limits end a session. The idle limit slides: every read and every write starts it anew. The absolute
 * limit is fixed. The main danger is a race: a slow request that writes after a log-out must not bring the
 * session back. So each operation is one script that asks whether the session is there and acts on the
 * answer, in one atomic step and one round trip. A caller learns from the answer that a session is gone;
 * exceptions are for mistakes in the code and for a Redis that is out of reach.
 * The rules are all in `SESSION_SCRIPT`, below the class.
 */
import { createHash, randomBytes } from "node:crypto";

/** What a field can be given. Redis keeps, and the store answers, its text. */
export type SessionValue = string | number | boolean | bigint;

/** A session as it is read. `ttl`, the seconds until it ends, rounded up, is read along and never stored. */
export type Session<Data = Record<string, SessionValue>> = { [Field in keyof Data]?: string } & ReservedFields;

/** The store's own fields: left out of what a caller writes. */
type ReservedFields = Record<(typeof RESERVED)[number], string>;
const RESERVED = ["session_ttl", "created_at", "last_accessed_at", "ttl"] as const;
const isReserved = (field: string) => (RESERVED as readonly string[]).includes(field);

/** What the store needs of node-redis: a client, a cluster, a sentinel and a pool all have it. */
export interface RedisScripting {
  evalSha(sha1: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
}

export interface RedisSessionStoreOptions {
  /** A connected node-redis client, cluster, sentinel or pool. It stays the caller's to configure and close. */
  redis: RedisScripting;
  /** What every key begins with. Default: `session:`. */
  prefix?: string;
  /** Idle limit in seconds, for sessions that name none. Default: 1800. */
  ttl?: number;
  /** Seconds from creation to the end, however active; the largest `ttl`. Default: 2,592,000 (NIST SP 800-63B-4, AAL1). */
  absoluteTtl?: number;
  /** Keep only the SHA-256 digest of an ID, so that Redis holds no usable cookie. Default: false. All must agree on it. */
  hashIds?: boolean;
}

/** Redis is out of reach or refuses: `cause` says why. Whether the session is there, or a write was done, is not known. */
export class RedisUnavailableError extends Error {
  override name = "RedisUnavailableError";
}

const LARGEST_ABSOLUTE_TTL = 3_153_600_000; // seconds: 100 years
const LARGEST_WRITE = 4096; // bytes of field names and values

/** Keeps sessions of the fields that `Data` names, for example `{ username: string; page_views: number }`. */
export class RedisSessionStore<Data extends { [Field in keyof Data]: SessionValue } = Record<string, SessionValue>> {
  readonly #options: Required<RedisSessionStoreOptions>;

  constructor(options: RedisSessionStoreOptions) {
    const { redis, prefix = "session:", ttl = 1800, absoluteTtl = 2_592_000, hashIds = false } = options ?? {};
    if (typeof redis?.evalSha !== "function") {
      throw new TypeError(`redis must be a connected node-redis client or the like; got ${typeof redis}`);
    }
    assertSeconds("absoluteTtl", absoluteTtl, LARGEST_ABSOLUTE_TTL);
    assertSeconds("ttl", ttl, absoluteTtl);
    this.#options = { redis, prefix, ttl, absoluteTtl, hashIds };
  }

  /** Starts a session and answers its ID. `ttl` is its own idle limit in seconds. Reserved fields in `data` are left out. */
  async createSession(data: Partial<Data> = {}, { ttl = this.#options.ttl }: { ttl?: number } = {}): Promise<string> {
    assertSeconds("ttl", ttl, this.#options.absoluteTtl);
    const id = newSessionId();
    await this.#run("create", id, [String(ttl), ...toFields(data)]);
    return id;
  }

  /**
   * Reads a session; null if there is none. Starts the idle limit anew, unless `refreshTtl` is false: at most once a
   * second, to spare Redis (twice where the idle limit is one second).
   */
  async getSession(id: string, { refreshTtl = true }: { refreshTtl?: boolean } = {}): Promise<Session<Data> | null> {
    const reply = await this.#run(refreshTtl ? "read" : "look", id);
    return reply === null ? null : toSession<Data>(reply as string[]);
  }

  /** Seconds left, rounded up; null if there is no such session. Does not refresh. */
  async getTtl(id: string): Promise<number | null> {
    const session = await this.getSession(id, { refreshTtl: false });
    return session && Number(session.ttl);
  }

  /** The session's own idle limit in seconds; null if there is no such session. Does not refresh. */
  async getConfiguredTtl(id: string): Promise<number | null> {
    const session = await this.getSession(id, { refreshTtl: false });
    return session && Number(session.session_ttl);
  }

  /** Writes the fields given, and no reserved ones. False if there is no such session. */
  async updateSession(id: string, data: Partial<Data>): Promise<boolean> {
    return (await this.#run("update", id, toFields(data))) !== null;
  }

  /**
   * Adds to a field, which is 0 where there is none, and answers the new number; null if there is no such session.
   * A field that holds no integer is a `TypeError`, a sum beyond the safe integers a `RangeError`.
   */
  async incrementField(id: string, field: keyof Data & string, amount = 1): Promise<number | null> {
    if (isReserved(field)) throw new RangeError(`field must not be one of the reserved ones; got ${field}`);
    if (!Number.isSafeInteger(amount)) throw new RangeError(`amount must be a safe integer; got ${String(amount)}`);
    const sum = await this.#run("increment", id, toFields({ [field]: amount }));
    return sum === null ? null : Number(sum);
  }

  /** Sets the session's own idle limit, in seconds, and starts it anew. False if there is no such session. */
  async setSessionTtl(id: string, ttl: number): Promise<boolean> {
    assertSeconds("ttl", ttl, this.#options.absoluteTtl);
    return (await this.#run("set_ttl", id, [String(ttl)])) !== null;
  }

  /**
   * Gives a session a new ID, for every change of what its bearer may do. Data, idle limit and absolute deadline stay;
   * the old ID is dead. Null if there is no such session; of several rotations at once, one succeeds.
   * The two keys may live on two nodes of a cluster, so there are two steps: take the old session, write the new one.
   * What fails between them costs the user a log-in, and never leaves two IDs that open one session.
   */
  async rotateSession(id: string): Promise<string | null> {
    const fields = (await this.#run("take", id)) as string[] | null;
    if (fields === null) return null;
    const newId = newSessionId();
    return (await this.#run("create", newId, [String(this.#options.ttl), ...fields])) === null ? null : newId;
  }

  /** Ends a session. False if there is no such session. */
  async deleteSession(id: string): Promise<boolean> {
    return (await this.#run("delete", id)) !== null;
  }

  /** The Redis key of a session, to look it up with other tools. */
  keyOf(id: string): string {
    const { prefix, hashIds } = this.#options;
    return prefix + (hashIds ? createHash("sha256").update(id).digest("base64url") : id);
  }

  /**
   * Runs an operation of the script; null means that there is no such session. Where the server has not seen the
   * script, `EVAL` brings it: operations that were refused together are sent again together, so their order stays.
   */
  async #run(operation: string, id: string, args: string[] = []): Promise<unknown> {
    if (!isSessionId(id)) return null;
    const { redis, absoluteTtl } = this.#options;
    const input = { keys: [this.keyOf(id)], arguments: [operation, String(absoluteTtl), ...args] };
    const evalAgain = (error: Error) => {
      if (error.message.includes("NOSCRIPT")) return redis.eval(SESSION_SCRIPT, input);
      throw error;
    };
    return redis
      .evalSha(SCRIPT_SHA1, input)
      .catch(evalAgain)
      .catch((error: Error) => answerTo(error, operation, args));
  }
}

/** 32 random bytes, far past guessing, in base64url. */
const newSessionId = () => randomBytes(32).toString("base64url");
/** Whether this looks like an ID. Anything else is no session, and Redis is not asked. */
export const isSessionId = (id: unknown): id is string => typeof id === "string" && /^[A-Za-z0-9_-]{43}$/.test(id);

/**
 * KEYS: the session's key. ARGV: the operation, the absolute limit in seconds, what the operation takes. All operations
 * are one script, because two that are begun together could change places on a server that knows only one of them.
 * The clock is Redis' own, so that servers whose clocks differ agree on when a session ends.
 */
export const SESSION_SCRIPT = `
local key, operation, absolute_ttl = KEYS[1], ARGV[1], tonumber(ARGV[2])
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Days from 1970-01-01 to a date; the year begins in March, so that the leap day is its last.
local function days(year, month, day)
  if month < 3 then year, month = year - 1, month + 12 end
  return 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
    + math.floor((153 * month - 457) / 5) + day - 719469
end

local function timestamp()
  local today = math.floor(time[1] / 86400)
  local year = 1970 + math.floor(today / 366)
  while days(year + 1, 1, 1) <= today do year = year + 1 end
  local month = 1 + math.floor((today - days(year, 1, 1)) / 31)
  while days(year, month + 1, 1) <= today do month = month + 1 end
  return string.format("%04d-%02d-%02dT%02d:%02d:%02dZ", year, month, today - days(year, month, 1) + 1,
    time[1] / 3600 % 24, time[1] / 60 % 60, time[1] % 60)
end

local function seconds(text)
  local year, month, day, hour, minute, second, zone =
    string.match(text, "^(%d%d%d%d)-(%d%d)-(%d%d)T(%d%d):(%d%d):(%d%d)%.?%d*(.*)$")
  if zone ~= "Z" and zone ~= "+00:00" then return nil end
  return days(tonumber(year), tonumber(month), tonumber(day)) * 86400 + hour * 3600 + minute * 60 + second
end

-- A rotated session brings its reserved fields along, and they prevail. Lua passes only some thousand values at once.
if operation == "create" then
  local created = timestamp()
  redis.call("HSET", key, "session_ttl", ARGV[3], "created_at", created, "last_accessed_at", created)
  for first = 4, #ARGV, 1000 do redis.call("HSET", key, unpack(ARGV, first, math.min(first + 999, #ARGV))) end
end

-- No session, no write: this is what keeps the dead dead. A hash that is not ours is not a session either.
local reserved = redis.call("HMGET", key, "session_ttl", "created_at", "last_accessed_at")
local ttl, created, accessed = tonumber(reserved[1]), reserved[2] and seconds(reserved[2]), reserved[3]
if not (ttl and ttl >= 1 and ttl % 1 == 0 and created and accessed) then return false end
local deadline = (created + absolute_ttl) * 1000
if operation == "delete" or deadline <= now then
  redis.call("DEL", key)
  return deadline > now and 1
end

local answer = 1
if operation == "take" then
  redis.call("HSET", key, "last_accessed_at", timestamp()) -- a Redis too full to take it back keeps it
  answer = redis.call("HGETALL", key)
  redis.call("DEL", key)
  return answer
elseif operation == "update" and ARGV[3] then
  redis.call("HSET", key, unpack(ARGV, 3))
elseif operation == "set_ttl" then
  ttl = tonumber(ARGV[3])
  redis.call("HSET", key, "session_ttl", ARGV[3])
elseif operation == "increment" then
  answer = redis.call("HINCRBY", key, ARGV[3], ARGV[4])
  if math.abs(answer) > 9007199254740991 then -- a JavaScript number could not tell it exactly
    redis.call("HINCRBY", key, ARGV[3], string.format("%.0f", 0 - ARGV[4]))
    return redis.error_reply("ERR increment or decrement would overflow")
  end
  answer = string.format("%.0f", answer) -- as text, because node-redis misreads integers near that limit
end

-- The expiry. The idle limit starts anew, up to the deadline, where that moves it by a second or more. Near the deadline
-- only the access is noted. One that is missing or too late, as others may leave it, is put right by any operation.
local allowed = math.min(ttl * 1000, deadline - now)
local left = redis.call("PTTL", key)
local wrong = left < 0 or left > allowed
local due = wrong or left <= allowed - math.min(1000, allowed / 2)
if operation ~= "look" and (due or allowed < ttl * 1000) then
  local access = timestamp()
  if accessed ~= access then redis.call("HSET", key, "last_accessed_at", access) end
end
if wrong or (due and operation ~= "look") then
  redis.call("PEXPIREAT", key, string.format("%.0f", now + allowed))
  left = allowed
end

if operation == "read" or operation == "look" then
  answer = redis.call("HGETALL", key)
  answer[#answer + 1], answer[#answer + 2] = "ttl", tostring(math.ceil(left / 1000))
end
return answer
`;
const SCRIPT_SHA1 = createHash("sha1").update(SESSION_SCRIPT).digest("hex");

/** What an error reply of Redis means to the caller. */
function answerTo(cause: Error, operation: string, [field]: string[]): null {
  const says = (text: string) => operation === "increment" && cause.message.includes(text);
  if (cause.message.includes("WRONGTYPE")) return null; // the key is no hash, so it is no session
  if (says("not an integer")) throw new TypeError(`${field} does not hold an integer`, { cause });
  if (says("overflow")) throw new RangeError(`${field} would grow past what a number holds`, { cause });
  throw new RedisUnavailableError(cause.message, { cause });
}

function assertSeconds(name: string, value: number, largest: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= largest) return;
  throw new RangeError(`${name} must be a whole number of seconds from 1 to ${largest}; got ${String(value)}`);
}

/** Field, value, field, value …, without the reserved fields. */
function toFields(data: object): string[] {
  const entries = Object.entries(data).filter(([field]) => !isReserved(field)) as [string, unknown][];
  for (const [field, value] of entries) {
    if (Number.isFinite(value) || ["string", "boolean", "bigint"].includes(typeof value)) continue;
    const got = typeof value === "number" ? value : typeof value;
    throw new TypeError(`${field} must be a string, a finite number, a boolean or a bigint; got ${got}`);
  }
  const fields = entries.flat().map(String);
  const bytes = Buffer.byteLength(fields.join(""));
  if (bytes <= LARGEST_WRITE) return fields;
  throw new RangeError(`data must be at most ${LARGEST_WRITE} bytes in one write; got ${bytes}`);
}

/** An object without a prototype, so that a field named `constructor` is there only where somebody wrote it. */
function toSession<Data>(reply: string[]): Session<Data> {
  const session = Object.create(null) as Record<string, string>;
  for (let i = 0; i < reply.length; i += 2) session[reply[i]!] = reply[i + 1]!;
  return session as Session<Data>;
}

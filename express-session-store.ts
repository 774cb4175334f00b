/**
 * For applications that keep express-session (or @fastify/session, which takes the same stores): a store for it that uses
 * `session-store.ts`. Copy both files.
 *
 *     const store = new ExpressSessionStore({ redis, ttl: 1800 });
 *     app.use(session({ store, secret, resave: false, saveUninitialized: false }));
 *
 * What you get: a session that was destroyed stays destroyed, even if a slow request saves it afterwards; an absolute
 * timeout; and an error within a second if Redis does not reply.
 *
 * What you do not get: express-session reads a session as a whole and saves it as a whole. If two requests change the
 * same session at the same time, one change is lost. If that matters, use `RedisSessionStore` directly.
 *
 * A key in Redis contains the SHA-256 digest of the session ID, so the ID may be any text. What is not a session, for
 * example because its data is not JSON, reads as none.
 */
import { callbackify } from "node:util";
import type { Request } from "express";
import session, { type SessionData } from "express-session";
import {
  defineScript,
  digestOf,
  RedisSessionStore,
  type RedisSessionStoreOptions,
  RedisUnavailableError,
  type Script,
  type ScriptRunner,
  type TimeLimit,
  timestamp,
} from "./session-store.ts";

/**
 * The options of `RedisSessionStore`, except that `ttl` is for sessions whose cookie has no `maxAge`, that
 * `maxWriteBytes` is 1 MiB by default, and that with `hashIds` no ID is kept, so that `all` returns digests in their place.
 *
 * `sharePrefix` and `takeOverPrefix` are the two steps of moving from connect-redis without signing anybody out. Each is
 * the `prefix` that connect-redis was given, by default `sess:`. With one of them, `ttl` is 86,400 by default, as it is in
 * connect-redis.
 */
export interface ExpressSessionStoreOptions extends Omit<RedisSessionStoreOptions, "fields"> {
  /** Step 1, while some servers still use connect-redis: sessions are read and written as connect-redis does it. */
  sharePrefix?: string;
  /**
   * Step 2, when no server uses connect-redis any more: a session that it left is taken over at its first use, with the
   * time that is left to it, and its old key is deleted.
   */
  takeOverPrefix?: string;
}

type OwnOptions = Omit<RedisSessionStoreOptions, "fields"> & { ttl: number };
type Cookie = Partial<SessionData["cookie"]> | null | undefined;
/** Operations can be awaited or given a callback, as those of connect-redis. */
type Callback<Result> = (error: unknown, result?: Result) => void;

const SCAN_COUNT = 100; // keys at a time, so that other requests get their turn
const DIGEST_LENGTH = 43;

export class ExpressSessionStore extends session.Store {
  readonly #own: OwnSessions;
  readonly #old: ConnectRedisKeys | undefined;
  readonly #sessions: Sessions;
  readonly #redis: unknown;
  /** The `req.session` objects that have been in Redis. They are updated, and never created again. */
  readonly #saved = new WeakSet();
  /** The same for @fastify/session, which does not tell which object it makes of a session that it has loaded. */
  readonly #loaded = new RecentIds();

  constructor({ sharePrefix, takeOverPrefix, ...options }: ExpressSessionStoreOptions) {
    super();
    if (sharePrefix !== undefined && takeOverPrefix !== undefined) {
      throw new TypeError("sharePrefix and takeOverPrefix are two steps: give only one of them");
    }
    const oldPrefix = sharePrefix ?? takeOverPrefix;
    const { absoluteTtl = 2_592_000 } = options;
    const { ttl = Math.min(oldPrefix === undefined ? 1800 : 86_400, absoluteTtl) } = options;
    this.#own = new OwnSessions({ ...options, absoluteTtl, ttl });
    this.#redis = options.redis;
    if (oldPrefix === undefined) {
      this.#sessions = this.#own;
      return;
    }
    if (typeof oldPrefix !== "string") {
      throw new TypeError(`sharePrefix and takeOverPrefix must be strings; got ${typeof oldPrefix}`);
    }
    this.#old = new ConnectRedisKeys(this.#own, oldPrefix);
    this.#sessions =
      takeOverPrefix === undefined ? sharedSessions(this.#own, this.#old) : takenOverSessions(this.#own, this.#old);
  }

  /** Reads a session. Does not reset its idle timeout: express-session calls `touch` or `set` for that. */
  override get(id: string, callback?: Callback<SessionData | undefined>): Promise<SessionData | undefined> {
    return settle(async () => this.#get(id), callback);
  }

  /**
   * Writes a session, and creates it if it does not exist. But a `req.session` that was loaded or saved before is not
   * created again: if it does not exist any more, it was destroyed or has expired, and nothing is written.
   */
  override set(id: string, sessionData: SessionData, callback?: Callback<void>): Promise<void> {
    return settle(async () => this.#set(id, sessionData), callback);
  }

  /** Writes the cookie and resets the idle timeout. Does nothing if there is no such session. */
  override touch(id: string, sessionData: SessionData, callback?: Callback<void>): Promise<void> {
    return settle(async () => this.#sessions.touch(id, sessionData.cookie, this.#startTimeLimit()), callback);
  }

  /** Deletes a session. Does nothing if there is no such session. */
  override destroy(id: string, callback?: Callback<void>): Promise<void> {
    return settle(async () => this.#sessions.destroy(id, this.#startTimeLimit()), callback);
  }

  /**
   * Returns all sessions by their IDs. Goes through the whole database with `SCAN`, as `length` and `clear` do. In these
   * three, `timeoutMs` is the time limit of each step.
   */
  override all(callback?: Callback<Record<string, SessionData>>): Promise<Record<string, SessionData>> {
    return settle(async () => this.#all(), callback);
  }

  /** Returns the number of sessions, without reading what they hold. */
  override length(callback?: Callback<number>): Promise<number> {
    return settle(async () => this.#length(), callback);
  }

  /** Deletes all sessions. */
  override clear(callback?: Callback<void>): Promise<void> {
    return settle(async () => this.#clear(), callback);
  }

  /** express-session calls this for a session that it has loaded. */
  override createSession(request: Request, sessionData: SessionData): session.Session & SessionData {
    const created = super.createSession(request, sessionData);
    this.#saved.add(created);
    return created;
  }

  #startTimeLimit(): TimeLimit {
    return this.#own.scripts.startTimeLimit();
  }

  async #get(id: string): Promise<SessionData | undefined> {
    const sessionData = await this.#sessions.load(id, this.#startTimeLimit());
    if (sessionData === null) return undefined;
    if (!("generate" in this)) this.#loaded.add(id); // express-session adds this method
    return sessionData;
  }

  async #set(id: string, sessionData: SessionData): Promise<void> {
    const isPlain = [Object.prototype, null].includes(Object.getPrototypeOf(sessionData) as null);
    const mayCreate = isPlain || !(this.#saved.has(sessionData) || this.#loaded.has(id));
    await this.#sessions.save(id, sessionData, mayCreate, this.#startTimeLimit());
    if (!isPlain) this.#saved.add(sessionData);
  }

  async #all(): Promise<Record<string, SessionData>> {
    const sessions = Object.create(null) as Record<string, SessionData>;
    await this.#forEachOld(async (id) => {
      const old = await this.#old!.read(id, this.#startTimeLimit());
      if (old) sessions[id] = old.sessionData;
    });
    await this.#forEachOwn(async (digest) => {
      const own = await this.#own.read(digest, this.#startTimeLimit());
      if (own) sessions[own.id ?? digest] = own.sessionData;
    });
    return sessions;
  }

  async #length(): Promise<number> {
    const digests = new Set<string>(); // SCAN may return a key twice
    await this.#forEachOld(async (id) => {
      if (await this.#old!.read(id, this.#startTimeLimit())) digests.add(digestOfId(id));
    });
    await this.#forEachOwn(async (digest) => {
      if (await this.#own.exists(digest, this.#startTimeLimit())) digests.add(digest);
    });
    return digests.size;
  }

  async #clear(): Promise<void> {
    await this.#forEachOld(async (id) => {
      if (await this.#old!.read(id, this.#startTimeLimit())) await this.destroy(id);
    });
    await this.#forEachOwn((digest) => this.#own.delete(digest, this.#startTimeLimit()));
  }

  /** Before `#forEachOwn`, because a session may be taken over in the meantime. */
  async #forEachOld(action: (id: string) => Promise<void>): Promise<void> {
    if (this.#old) await this.#forEachKey(this.#old.prefix, "*", action);
  }

  /** Finds the sessions of this prefix, and not those of a longer one. */
  async #forEachOwn(action: (digest: string) => Promise<void>): Promise<void> {
    await this.#forEachKey(this.#own.keyOf(""), "?".repeat(DIGEST_LENGTH), action);
  }

  async #forEachKey(prefix: string, rest: string, action: (rest: string) => Promise<void>): Promise<void> {
    const pattern = prefix.replaceAll(/[\\*?[\]]/g, String.raw`\$&`) + rest;
    for await (const keys of scan(this.#redis, pattern, this.#own.scripts)) {
      await Promise.all(keys.map((key) => action(key.slice(prefix.length))));
    }
  }
}

/** Where sessions are kept: in the keys of this store and, while moving, also in those of connect-redis. */
interface Sessions {
  load(id: string, limit: TimeLimit): Promise<SessionData | null>;
  save(id: string, sessionData: SessionData, mayCreate: boolean, limit: TimeLimit): Promise<void>;
  touch(id: string, cookie: Cookie, limit: TimeLimit): Promise<void>;
  destroy(id: string, limit: TimeLimit): Promise<void>;
}

/**
 * The ID, the session without its cookie, and the cookie, all as JSON. The cookie is apart, because `touch` writes it.
 * For `copied_from`, see `takenOverSessions`.
 */
const FIELDS = { id: String, data: String, cookie: String, copied_from: String };
type Fields = Partial<Record<keyof typeof FIELDS, string>>;

interface OwnSession {
  id: string | undefined;
  sessionData: SessionData;
  copiedFrom: string | undefined;
}

/** The first lines of a script on a session of this store. A key of another type is no session: "create" replaces it. */
const FIND_SESSION = `
local values = redis.pcall("HMGET", KEYS[1], "session_deadline", "copied_from")
if values.err then
  if not values.err:find("^WRONGTYPE") then return values end
  if ARGV[3] ~= "create" then return false end
  redis.call("DEL", KEYS[1])
  values = {}
end
local deadline, copied_from = values[1], values[2]
`;

/**
 * Writes fields, and sets the milliseconds until the session ends, but never later than its deadline. ARGV[1]: the
 * milliseconds, [2]: the absolute timeout in seconds, [3]: "update", "create" or "copy", [4]: see `copy`, from 5 on: fields.
 */
const WRITE_SCRIPT = defineScript(`${FIND_SESSION}
local key, operation, call = KEYS[1], ARGV[3], redis.call
if operation == "update" and not deadline then return false end
if operation == "copy" and deadline and copied_from ~= ARGV[4] then return 0 end
local time = tonumber(deadline)
if not (time and time >= 1 and time <= 1e11 and time % 1 == 0) then -- another program may have written anything
  -- If the ACL denies PEXPIRE or PEXPIREAT, HSET would leave a key that never expires.
  if not (redis.acl_check_cmd("PEXPIRE", key, 1) and redis.acl_check_cmd("PEXPIREAT", key, 1, "LT")) then
    return redis.error_reply("NOPERM this user may not run PEXPIRE and PEXPIREAT")
  end
  deadline = call("TIME")[1] + ARGV[2]
end
call("HSET", key, "session_deadline", deadline, unpack(ARGV, 5))
call("PEXPIRE", key, ARGV[1])
call("PEXPIREAT", key, deadline * 1000, "LT") -- LT: only if that is earlier
return 1
`);

const EXISTS_SCRIPT = defineScript(`${FIND_SESSION}
return deadline
`);

const FINISH_COPY_SCRIPT = defineScript(`${FIND_SESSION}
return copied_from == ARGV[1] and redis.call("HDEL", KEYS[1], "copied_from")
`);

/** The mark is text: operations on sessions find none. DEL is first, because Redis never refuses it if memory is full. */
const MARK_DESTROYED_SCRIPT = defineScript(`
redis.call("DEL", KEYS[1])
return redis.call("SET", KEYS[1], "destroyed", "EX", ARGV[1])
`);
const MARK_SECONDS = 3600; // longer than any request lasts

/** The sessions of this store. The ID of each in Redis is a digest, and its idle timeout is in milliseconds. */
class OwnSessions extends RedisSessionStore<typeof FIELDS> implements Sessions {
  readonly #ttl: number;
  readonly #hashIds: boolean;

  constructor({ hashIds = false, maxWriteBytes = 1_048_576, ...options }: OwnOptions) {
    super({ ...options, maxWriteBytes, fields: FIELDS });
    this.#ttl = options.ttl;
    this.#hashIds = hashIds;
  }

  get scripts(): ScriptRunner {
    return this.steps.scripts;
  }

  async load(id: string, limit: TimeLimit): Promise<SessionData | null> {
    return (await this.read(digestOfId(id), limit))?.sessionData ?? null;
  }

  async save(id: string, sessionData: SessionData, mayCreate: boolean, limit: TimeLimit): Promise<void> {
    if (!(await this.update(id, sessionData, limit)) && mayCreate) await this.createWithId(id, sessionData, limit);
  }

  async touch(id: string, cookie: Cookie, limit: TimeLimit): Promise<void> {
    const fields = this.steps.codec.encode({ cookie: JSON.stringify(cookie ?? null) });
    await this.#write("update", id, fields, this.lifetimeMs(cookie), limit);
  }

  async destroy(id: string, limit: TimeLimit): Promise<void> {
    await this.delete(digestOfId(id), limit);
  }

  /** `null` also if the cookie has expired: Redis deletes such a session a little later, and by its own clock. */
  async read(digest: string, limit: TimeLimit): Promise<OwnSession | null> {
    const fields = await this.steps.read(this.keyOf(digest), "peek", limit);
    const data = parse(fields?.data);
    const value = parse(fields?.cookie ?? "null");
    if (!fields || !isObject(data) || !(value === null || isObject(value))) return null;
    const cookie = value as Cookie;
    if (this.lifetimeMs(cookie) <= 0) return null;
    const sessionData = { ...data, ...(cookie && { cookie }) } as SessionData;
    return { id: parse(fields.id) as string | undefined, sessionData, copiedFrom: fields.copied_from };
  }

  /** Returns `false` if there is no such session. */
  async update(id: string, { cookie, ...data }: SessionData, limit: TimeLimit): Promise<boolean> {
    const fields = this.steps.codec.encode(toFields(data, cookie));
    return (await this.#write("update", id, fields, this.lifetimeMs(cookie), limit)) !== null;
  }

  async createWithId(id: string, { cookie, ...data }: SessionData, limit: TimeLimit): Promise<void> {
    const fields = this.steps.codec.encode({ ...toFields(data, cookie), ...this.#idField(id) });
    await this.#write("create", id, fields, this.lifetimeMs(cookie), limit);
  }

  async delete(digest: string, limit: TimeLimit): Promise<void> {
    await this.steps.delete(this.keyOf(digest), { timeLimit: limit });
  }

  async exists(digest: string, limit: TimeLimit): Promise<boolean> {
    return (await this.scripts.run(EXISTS_SCRIPT, this.keyOf(digest), [], limit)) !== null;
  }

  /** Milliseconds until the cookie expires; `ttl` if it has no expiry. */
  lifetimeMs(cookie: Cookie): number {
    const left = cookie?.expires ? new Date(cookie.expires).getTime() - Date.now() : Number.NaN;
    return Number.isNaN(left) ? this.#ttl * 1000 : Math.ceil(left);
  }

  /**
   * Copies a session of connect-redis. Returns 0 and does nothing if there is a session, unless that is a copy of what
   * had the digest `replaced`. Returns `null` if the session was destroyed.
   */
  copy(id: string, old: OldSession, replaced: string | undefined, limit: TimeLimit): Promise<unknown> {
    const { cookie, ...data } = old.sessionData;
    const fields = { ...toFields(data, cookie), ...this.#idField(id), copied_from: old.digest };
    return this.#write("copy", id, Object.entries(fields), old.lifetimeMs, limit, replaced);
  }

  /** Returns `false` if there is no such copy. */
  async finishCopy(id: string, digest: string, limit: TimeLimit): Promise<boolean> {
    return (await this.scripts.run(FINISH_COPY_SCRIPT, this.keyOf(digestOfId(id)), [digest], limit)) !== null;
  }

  async markDestroyed(id: string, limit: TimeLimit): Promise<void> {
    await this.scripts.run(MARK_DESTROYED_SCRIPT, this.keyOf(digestOfId(id)), [String(MARK_SECONDS)], limit);
  }

  async removeMark(id: string, limit: TimeLimit): Promise<void> {
    await this.scripts.run(DELETE_TEXT_SCRIPT, this.keyOf(digestOfId(id)), [""], limit);
  }

  async #write(
    operation: "update" | "create" | "copy",
    id: string,
    fields: Iterable<readonly [string, string | null]>,
    lifetimeMs: number,
    limit: TimeLimit,
    replaced = "",
  ): Promise<unknown> {
    const milliseconds = Math.min(lifetimeMs, this.steps.absoluteTtl * 1000);
    const now = timestamp();
    const all = {
      session_ttl: Math.max(1, Math.ceil(milliseconds / 1000)),
      last_accessed_at: now,
      ...(operation === "update" ? {} : { created_at: now }),
      ...Object.fromEntries(fields),
    };
    const args = [milliseconds, this.steps.absoluteTtl, operation, replaced, ...Object.entries(all).flat()];
    return this.scripts.run(WRITE_SCRIPT, this.keyOf(digestOfId(id)), args.map(String), limit);
  }

  #idField(id: string): Fields {
    return this.#hashIds ? {} : { id: JSON.stringify(id) };
  }
}

interface OldSession {
  sessionData: SessionData;
  lifetimeMs: number;
  digest: string;
}

/** The first lines of a script on text. A key of another type holds none. */
const FIND_TEXT = `
local text = redis.pcall("GET", KEYS[1])
if type(text) == "table" then return text.err:find("^WRONGTYPE") == nil and text end
if not text then return false end
`;
const READ_TEXT_SCRIPT = defineScript(`${FIND_TEXT}
return { text, redis.call("PTTL", KEYS[1]), redis.sha1hex(text) }
`);
const UPDATE_TEXT_SCRIPT = defineScript(`${FIND_TEXT}
return redis.call("SET", KEYS[1], ARGV[1], "EX", ARGV[2])
`);
const CREATE_TEXT_SCRIPT = defineScript(`
return redis.call("SET", KEYS[1], ARGV[1], "EX", ARGV[2])
`);
const EXPIRE_TEXT_SCRIPT = defineScript(`${FIND_TEXT}
return redis.call("EXPIRE", KEYS[1], ARGV[1])
`);
/** ARGV[1]: the digest that the text must have, "" for any text. */
const DELETE_TEXT_SCRIPT = defineScript(`${FIND_TEXT}
return (ARGV[1] == "" or ARGV[1] == redis.sha1hex(text)) and redis.call("DEL", KEYS[1])
`);

/** The sessions of connect-redis: the whole session as JSON, and an expiry. Reads and writes them as connect-redis does. */
class ConnectRedisKeys {
  readonly prefix: string;
  readonly #own: OwnSessions;

  constructor(own: OwnSessions, prefix: string) {
    this.prefix = prefix;
    this.#own = own;
  }

  /** A key of another type, text that is not JSON, and a session without a cookie are no sessions. */
  async read(id: string, limit: TimeLimit): Promise<OldSession | null> {
    const reply = (await this.#run(READ_TEXT_SCRIPT, id, [], limit)) as unknown[] | null;
    if (reply === null) return null;
    const sessionData = parse(String(reply[0]));
    if (!isObject(sessionData) || !isObject(sessionData["cookie"])) return null;
    const { cookie, ...data } = sessionData as unknown as SessionData;
    const left = Number(reply[1]); // negative: the key has no expiry
    const maxAge = Math.ceil(Number(cookie.originalMaxAge)); // another program may have written anything
    const lifetimeMs = left >= 0 ? left : maxAge > 0 ? maxAge : this.#own.lifetimeMs(null);
    // connect-redis does not write the cookie when it extends a session, so its expiry may be in the past.
    if (cookie.expires) cookie.expires = new Date(Date.now() + lifetimeMs);
    return { sessionData: { ...data, cookie }, lifetimeMs, digest: String(reply[2]) };
  }

  /** Returns `false` if there is no such session. */
  async update(id: string, sessionData: SessionData, limit: TimeLimit): Promise<boolean> {
    return this.#write(UPDATE_TEXT_SCRIPT, id, sessionData, limit);
  }

  async create(id: string, sessionData: SessionData, limit: TimeLimit): Promise<void> {
    await this.#write(CREATE_TEXT_SCRIPT, id, sessionData, limit);
  }

  /** Returns `false` if there is no such session. */
  async touch(id: string, cookie: Cookie, limit: TimeLimit): Promise<boolean> {
    return (await this.#run(EXPIRE_TEXT_SCRIPT, id, [this.#secondsOf(cookie)], limit)) !== null;
  }

  /** If a digest is given, only a session that still has it is deleted. */
  async delete(id: string, limit: TimeLimit, digest = ""): Promise<void> {
    await this.#run(DELETE_TEXT_SCRIPT, id, [digest], limit);
  }

  async #write(script: Script, id: string, sessionData: SessionData, limit: TimeLimit): Promise<boolean> {
    const args = [JSON.stringify(sessionData), this.#secondsOf(sessionData.cookie)];
    return (await this.#run(script, id, args, limit)) !== null;
  }

  #secondsOf(cookie: Cookie): string {
    return String(Math.ceil(this.#own.lifetimeMs(cookie) / 1000));
  }

  #run(script: Script, id: string, args: string[], limit: TimeLimit): Promise<unknown> {
    return this.#own.scripts.run(script, this.prefix + id, args, limit);
  }
}

/**
 * Step 1: servers with connect-redis use the same sessions. So these are kept in the keys of connect-redis, except for
 * those that another server, which is at step 2 already, has taken over.
 */
function sharedSessions(own: OwnSessions, old: ConnectRedisKeys): Sessions {
  return {
    async load(id, limit) {
      return (await old.read(id, limit))?.sessionData ?? own.load(id, limit);
    },

    async save(id, sessionData, mayCreate, limit) {
      if (own.lifetimeMs(sessionData.cookie) <= 0) return destroyBoth(own, old, id, limit);
      if (await old.update(id, sessionData, limit)) return;
      if ((await own.update(id, sessionData, limit)) || !mayCreate) return;
      await own.removeMark(id, limit);
      await old.create(id, sessionData, limit);
    },

    async touch(id, cookie, limit) {
      if (!(await old.touch(id, cookie, limit))) await own.touch(id, cookie, limit);
    },

    destroy: (id, limit) => destroyBoth(own, old, id, limit),
  };
}

const MAX_ATTEMPTS = 20;

/**
 * Step 2: no server uses connect-redis any more. The old key and the new one may be on two nodes of a cluster, so a session
 * is first copied, then its old key is deleted. Until that is done, the copy has the digest of the old session's text in
 * the field `copied_from`, and whoever reads it does what is left to do. If a server at step 1 changes the old session in
 * the meantime, it is copied again.
 */
function takenOverSessions(own: OwnSessions, old: ConnectRedisKeys): Sessions {
  return {
    async load(id, limit) {
      let isOldGone = false;
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        const copy = await own.read(digestOfId(id), limit);
        if (copy && copy.copiedFrom === undefined) return copy.sessionData;
        if (copy === null && isOldGone) return null;
        const original = await old.read(id, limit);
        isOldGone = original === null; // Then it may have been taken over since the new key was read: read that once more.
        if (original === null) {
          if (copy?.copiedFrom && (await own.finishCopy(id, copy.copiedFrom, limit))) return copy.sessionData;
        } else if (original.digest === copy?.copiedFrom) {
          await old.delete(id, limit, original.digest);
        } else if ((await own.copy(id, original, copy?.copiedFrom, limit)) === null) {
          await old.delete(id, limit); // left by a server that failed while it destroyed the session
          return null;
        }
      }
      throw new RedisUnavailableError("The session changed at each attempt to take it over from connect-redis");
    },

    async save(id, sessionData, mayCreate, limit) {
      if ((await own.update(id, sessionData, limit)) || !mayCreate) return;
      await own.createWithId(id, sessionData, limit);
      await old.delete(id, limit);
    },

    touch: (id, cookie, limit) => own.touch(id, cookie, limit),
    destroy: (id, limit) => destroyBoth(own, old, id, limit),
  };
}

/** Leaves a mark for a while, so that a server that has already read the old key does not copy it afterwards. */
async function destroyBoth(own: OwnSessions, old: ConnectRedisKeys, id: string, limit: TimeLimit): Promise<void> {
  await own.markDestroyed(id, limit);
  await old.delete(id, limit);
}

/** The IDs of the last minutes, so that they do not fill the memory. */
class RecentIds {
  #newer = new Set<string>();
  #older = new Set<string>();
  #since = performance.now();

  add(id: string): void {
    if (performance.now() - this.#since > RECENT_MS) {
      this.#older = this.#newer;
      this.#newer = new Set();
      this.#since = performance.now();
    }
    this.#newer.add(id);
  }

  has(id: string): boolean {
    return this.#newer.has(id) || this.#older.has(id);
  }
}
const RECENT_MS = 600_000; // no request is expected to last longer

/** What `all`, `length` and `clear` need: node-redis' client, pool, sentinel or cluster, or what `connectRedis` returns. */
interface ScannableServer {
  scan?(cursor: string, options: ScanOptions): Promise<{ cursor: string; keys: string[] }>;
  scanIterator?(options: ScanOptions): AsyncIterable<string[]>;
}
interface ScanOptions {
  MATCH: string;
  COUNT: number;
}
interface ScannableCluster<Master = unknown> {
  masters: Master[];
  nodeClient(master: Master): ScannableServer | Promise<ScannableServer>;
}

/** Yields keys, some of them maybe twice. Each step has a time limit of its own. */
async function* scan(redis: unknown, pattern: string, scripts: ScriptRunner): AsyncGenerator<string[]> {
  const options = { MATCH: pattern, COUNT: SCAN_COUNT };
  const withinLimit = async <Result>(step: Promise<Result>): Promise<Result> => {
    try {
      return await scripts.startTimeLimit().settle(step);
    } catch (error) {
      if (error instanceof RedisUnavailableError) throw error;
      throw new RedisUnavailableError("SCAN failed", { cause: error });
    }
  };
  for (const server of await withinLimit(serversOf(redis))) {
    if (server.scanIterator) {
      const pages = server.scanIterator(options)[Symbol.asyncIterator]();
      for (let page = await withinLimit(pages.next()); !page.done; page = await withinLimit(pages.next()))
        yield page.value;
    } else if (server.scan) {
      let cursor = "0";
      do {
        const page = await withinLimit(server.scan(cursor, options));
        cursor = page.cursor;
        yield page.keys;
      } while (cursor !== "0");
    } else {
      throw new TypeError("all, length and clear need a client, cluster, sentinel or pool of node-redis");
    }
  }
}

async function serversOf(redis: unknown): Promise<ScannableServer[]> {
  const { masters, nodeClient } = redis as Partial<ScannableCluster>;
  if (!masters || !nodeClient) return [redis as ScannableServer];
  if (masters.length === 0) throw new RedisUnavailableError("The cluster has no known master");
  return Promise.all(masters.map(async (master) => nodeClient.call(redis, master)));
}

/** Passes the outcome to the callback, if there is one, and returns it too. */
function settle<Result>(operation: () => Promise<Result>, callback?: Callback<Result>): Promise<Result> {
  const result = operation();
  if (callback) callbackify(() => result)(callback);
  // express-session's `request.session.destroy()` drops the promise. Without this, an outage would then end the process.
  result.catch(() => {});
  return result;
}

/** Returns a digest, which has the form of a session ID. JSON, because UTF-8 cannot tell lone surrogates apart. */
function digestOfId(id: string): string {
  return digestOf(JSON.stringify(id));
}

function toFields(data: object, cookie: object | null = null): Fields {
  return { data: JSON.stringify(data), cookie: JSON.stringify(cookie) };
}

/** `undefined` if this is not JSON. */
function parse(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

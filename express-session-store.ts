/**
 * For applications that keep express-session: a store for it that uses `session-store.ts`. Copy both files.
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
 * A key in Redis contains the SHA-256 digest of the session ID, so the ID may be any text.
 */
import { createHash } from "node:crypto";
import { callbackify } from "node:util";
import type { Request } from "express";
import session, { type SessionData } from "express-session";
import {
  defineScript,
  RedisSessionStore,
  type RedisSessionStoreOptions,
  RedisUnavailableError,
} from "./session-store.ts";

/**
 * The options of `RedisSessionStore`, except that `ttl` is for sessions whose cookie has no `maxAge`, that
 * `maxWriteBytes` is 1 MiB by default, and that with `hashIds` no ID is kept, so that `all` returns digests in their place.
 */
export type ExpressSessionStoreOptions = Omit<RedisSessionStoreOptions, "fields">;

/** What `all`, `length` and `clear` need: a client, a pool or a sentinel of node-redis, or a cluster with its masters. */
interface ScannableServer {
  scan(cursor: string, options: { MATCH: string; COUNT: number }): Promise<{ cursor: string; keys: string[] }>;
}
interface ScannableCluster<Master = unknown> {
  masters: Master[];
  nodeClient(master: Master): ScannableServer | Promise<ScannableServer>;
}

/** The ID, the session without its cookie, and the cookie, all as JSON. The cookie is apart, because `touch` writes it. */
const FIELDS = { id: String, data: String, cookie: String };
type Fields = typeof FIELDS;

const SCAN_COUNT = 100; // keys at a time, so that other requests get their turn
const DIGEST_LENGTH = 43;

export class ExpressSessionStore extends session.Store {
  readonly #sessions: IdentifiedSessions;
  readonly #redis: unknown;
  readonly #ttl: number;
  readonly #hashIds: boolean;
  /** The `req.session` objects that have been in Redis. They are updated, and never created again. */
  readonly #saved = new WeakSet();

  constructor({ hashIds = false, maxWriteBytes = 1_048_576, ...options }: ExpressSessionStoreOptions) {
    super();
    this.#sessions = new IdentifiedSessions({ ...options, maxWriteBytes, fields: FIELDS });
    this.#redis = options.redis;
    this.#ttl = options.ttl ?? 1800;
    this.#hashIds = hashIds;
  }

  /** Reads a session. Does not reset its idle timeout: express-session calls `touch` or `set` for that. */
  override get(id: string, callback: (error: unknown, session?: SessionData | null) => void): void {
    callbackify(async () => {
      return (await this.#read(digestOf(id)))?.sessionData;
    })(callback);
  }

  /**
   * Writes a session, and creates it if it does not exist. But a `req.session` that was loaded or saved before is not
   * created again: if it does not exist any more, it was destroyed or has expired, and nothing is written.
   */
  override set(id: string, sessionData: SessionData, callback: (error?: unknown) => void = ignore): void {
    callbackify(async () => {
      const { cookie, ...data } = sessionData as Partial<SessionData>;
      const fields = { data: JSON.stringify(data), cookie: JSON.stringify(cookie ?? null) };
      const digest = digestOf(id);
      const lifetimeMs = this.#lifetimeMs(cookie);
      const exists = await this.#sessions.save(digest, fields, lifetimeMs);
      if (!exists && !this.#saved.has(sessionData)) {
        await this.#sessions.createWithId(digest, { ...fields, id: this.#hashIds ? undefined : JSON.stringify(id) });
        await this.#sessions.save(digest, {}, lifetimeMs);
      }
      if (sessionData instanceof session.Session) this.#saved.add(sessionData);
    })(callback);
  }

  /** Writes the cookie and resets the idle timeout. Does nothing if there is no such session. */
  override touch(id: string, { cookie }: SessionData, callback: (error?: unknown) => void = ignore): void {
    callbackify(async () => {
      await this.#sessions.save(digestOf(id), { cookie: JSON.stringify(cookie) }, this.#lifetimeMs(cookie));
    })(callback);
  }

  /** Deletes a session. Does nothing if there is no such session. */
  override destroy(id: string, callback: (error?: unknown) => void = ignore): void {
    callbackify(async () => {
      await this.#sessions.deleteSession(digestOf(id));
    })(callback);
  }

  /** Returns all sessions by their IDs. Goes through the whole database with `SCAN`, as `length` and `clear` do. */
  override all(callback: (error: unknown, sessions?: Record<string, SessionData>) => void): void {
    callbackify(async () => {
      const sessions = Object.create(null) as Record<string, SessionData>;
      for await (const { digest, id, sessionData } of this.#scan()) sessions[id ?? digest] = sessionData;
      return sessions;
    })(callback);
  }

  /** Returns the number of sessions. */
  override length(callback: (error: unknown, length?: number) => void): void {
    callbackify(async () => {
      const digests = new Set<string>();
      for await (const { digest } of this.#scan()) digests.add(digest);
      return digests.size;
    })(callback);
  }

  /** Deletes all sessions. */
  override clear(callback: (error?: unknown) => void = ignore): void {
    callbackify(async () => {
      for await (const { digest } of this.#scan()) await this.#sessions.deleteSession(digest);
    })(callback);
  }

  /** express-session calls this for a session that it has loaded. */
  override createSession(request: Request, sessionData: SessionData): session.Session & SessionData {
    const created = super.createSession(request, sessionData);
    this.#saved.add(created);
    return created;
  }

  /** Milliseconds until the cookie expires. */
  #lifetimeMs(cookie: Partial<SessionData["cookie"]> | null | undefined): number {
    const lifetimeMs = cookie?.expires ? new Date(cookie.expires).getTime() - Date.now() : Number.NaN;
    return Number.isNaN(lifetimeMs) ? this.#ttl * 1000 : lifetimeMs;
  }

  /** Redis deletes the session when its cookie expires, but by its own clock and a little later. So this checks it too. */
  async #read(digest: string): Promise<StoredSession | null> {
    const fields = await this.#sessions.getSession(digest, { refreshTtl: false });
    if (fields?.data === undefined) return null;
    const { id, data, cookie = "null" } = fields;
    const cookieData = JSON.parse(cookie) as SessionData["cookie"] | null;
    if (this.#lifetimeMs(cookieData) <= 0) return null;
    const sessionData = { ...(JSON.parse(data) as SessionData), ...(cookieData && { cookie: cookieData }) };
    return { digest, id: id === undefined ? undefined : (JSON.parse(id) as string), sessionData };
  }

  /** Finds the sessions of this prefix, and not those of a longer one. `SCAN` may return a key twice. */
  async *#scan(): AsyncGenerator<StoredSession> {
    const prefix = this.#sessions.keyOf("");
    const pattern = prefix.replaceAll(/[\\*?[\]]/g, String.raw`\$&`) + "?".repeat(DIGEST_LENGTH);
    for (const server of await serversOf(this.#redis)) {
      let cursor = "0";
      do {
        const page = await server.scan(cursor, { MATCH: pattern, COUNT: SCAN_COUNT }).catch((error: unknown) => {
          throw new RedisUnavailableError("SCAN failed", { cause: error });
        });
        cursor = page.cursor;
        const found = await Promise.all(page.keys.map(async (key) => this.#read(key.slice(prefix.length))));
        yield* found.filter((entry) => entry !== null);
      } while (cursor !== "0");
    }
  }
}

interface StoredSession {
  digest: string;
  id: string | undefined;
  sessionData: SessionData;
}

/** Writes fields, and sets the milliseconds until the session ends, but never later than its deadline. */
const SAVE_SCRIPT = defineScript(`
local deadline = redis.call("HMGET", KEYS[1], "session_deadline")[1]
if not deadline then return false end
redis.call("HSET", KEYS[1], unpack(ARGV, 2))
redis.call("PEXPIRE", KEYS[1], ARGV[1])
redis.call("PEXPIREAT", KEYS[1], deadline * 1000, "LT")
return 1
`);

/** Sessions whose IDs (here, digests of IDs) the caller chooses, and whose idle timeouts are in milliseconds. */
class IdentifiedSessions extends RedisSessionStore<Fields> {
  async createWithId(id: string, data: Partial<Record<keyof Fields, string | undefined>>): Promise<void> {
    await this.steps.create(this.keyOf(id), this.newFields(data, {}));
  }

  /** Returns `false` if there is no such session. */
  async save(id: string, data: Partial<Record<keyof Fields, string>>, lifetimeMs: number): Promise<boolean> {
    const fields = {
      ...Object.fromEntries(this.steps.codec.encode(data)),
      session_ttl: String(Math.max(1, Math.ceil(lifetimeMs / 1000))),
      last_accessed_at: `${new Date().toISOString().slice(0, 19)}Z`,
    };
    const args = [String(Math.ceil(lifetimeMs)), ...Object.entries(fields).flat().map(String)];
    return (await this.steps.scripts.run(SAVE_SCRIPT, this.keyOf(id), args)) !== null;
  }
}

/** Returns a digest, which has the form of a session ID. JSON, because UTF-8 cannot tell lone surrogates apart. */
function digestOf(id: string): string {
  return createHash("sha256").update(JSON.stringify(id)).digest("base64url");
}

async function serversOf(redis: unknown): Promise<ScannableServer[]> {
  const { scan, masters, nodeClient } = redis as Partial<ScannableServer & ScannableCluster>;
  if (masters?.length === 0) throw new RedisUnavailableError("The cluster has no known master");
  if (masters && nodeClient) return Promise.all(masters.map(async (master) => nodeClient.call(redis, master)));
  if (scan) return [redis as ScannableServer];
  throw new TypeError("all, length and clear need a client, cluster, sentinel or pool of node-redis");
}

function ignore(): void {}

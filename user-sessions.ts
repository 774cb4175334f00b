/**
 * The sessions of a user: list them, end one, end all others. One file, to be used with `session-store.ts`.
 *
 * A session that names its user is a member of that user's index, a sorted set:
 *
 *     session:user:{SHA-256 digest of the user in base64url}
 *       member = the session's key without the prefix
 *       score  = the session's deadline: Unix time in seconds
 *                while the session is being created: a minute from now
 *                if the session is marked, which means that it is about to be ended: one of these, but negative
 *
 * Reading and writing a session does not touch the index, so it costs the same as without one. In a Redis Cluster, the
 * index and the session may be on two nodes, and no command spans both. So the session's own hash decides, and the index
 * is only a superset: it may name sessions that are gone (expired, or left by a crash). Whoever reads it checks each
 * session. A live session that is not in the index could not be seen or ended. This must never happen to a session whose
 * ID somebody has. These rules prevent it, and the failure of a log-in or a rotation for no reason:
 *
 * - **Add the entry, create the session, confirm the entry.** If the session were created before its entry, an "end all"
 *   in between would miss the session. An "end all" after the entry was added and before the session is created removes
 *   the entry and finds no session. So the entry is confirmed last: if it is marked or gone, the session is deleted, and
 *   nobody gets its ID.
 * - **A list does not remove an entry whose session may still be created.** An entry that is not confirmed within a
 *   minute is removed a minute later.
 * - **A marked session is not rotated.** "End all" marks all entries in one step. If a rotation has already added its new
 *   entry, that is marked too, and cannot be confirmed. If it has not, it is refused, because the old entry is marked. So
 *   no session gets away under a new ID while the old ones are being deleted.
 * - **Delete the session, then remove its entry.** If the process crashes or a node fails in between, the entry is still
 *   there, with its mark, and the next call ends what is left.
 * - **A list removes an entry only if its score is still the one that was read.** If not, the entry has been confirmed or
 *   marked in the meantime. (This matters only for an entry that is confirmed very late.)
 *
 * `test/users/protocol.test.ts` explores all interleavings of these steps, and shows what goes wrong without each rule.
 */
import { createHash } from "node:crypto";
import {
  assertWellFormed,
  defineScript,
  type FieldTypes,
  isSessionId,
  newSessionId,
  pairsOf,
  RedisSessionStore,
  type Script,
  type Session,
  type SessionData,
  type SessionTimeouts,
  type TextFields,
  type TimeLimit,
} from "./session-store.ts";

export interface NewSessionOptions extends SessionTimeouts {
  /** Whose session it is, for example an account number: 1 to 256 bytes. Without it, the session is in no list. */
  user?: string | undefined;
}

export interface ListedSession<Fields extends FieldTypes = TextFields> {
  /** Names the session, for `endSession`. It is no session ID: it is the SHA-256 digest of the ID, in base64url. */
  handle: string;
  session: Session<Fields>;
}

/** The new session was ended while it was being created, as all sessions of its user were. Nobody has received its ID. */
export class SessionRevokedError extends Error {
  override readonly name = "SessionRevokedError";
  /** Compare this where `instanceof` fails, as it does for a class that was bundled twice. */
  readonly code = "SESSION_REVOKED";
}

const MAX_USER_BYTES = 256;
const CHUNK_SIZE = 500; // sessions read or deleted at a time, so that other requests get their turn on the connection

/** The operations of `RedisSessionStore`, for sessions that may name their user, and those on a user's sessions. */
export class UserSessions<Fields extends FieldTypes = TextFields> extends RedisSessionStore<Fields> {
  /**
   * Creates a session and returns its ID. Rejects with a `SessionRevokedError` if the user's sessions are ended
   * meanwhile. Takes three round trips if there is a user, else one.
   */
  override async createSession(
    data = {} as SessionData<Fields>,
    { user, ...timeouts }: NewSessionOptions = {},
  ): Promise<string> {
    if (user === undefined) return super.createSession(data, timeouts);
    const fields = this.newFields(data, timeouts).set("session_user", user);
    const { absoluteTtl = this.steps.absoluteTtl } = timeouts;
    const timeLimit = this.steps.scripts.startTimeLimit();
    const id = newSessionId();
    const indexArgs = [this.#memberOf(id), "", String(absoluteTtl)]; // what "add" and "confirm" in INDEX_SCRIPT take
    await this.#runOnIndex("add", user, indexArgs, timeLimit);
    const deadline = await this.steps.create(this.keyOf(id), fields, { absoluteTtl, timeLimit });
    indexArgs[1] = deadline ?? "";
    if (await this.#runOnIndex("confirm", user, indexArgs, timeLimit)) return id;
    await this.#endMarked(user, id, timeLimit);
    throw new SessionRevokedError("All sessions of the user were ended during the log-in");
  }

  /**
   * As in `RedisSessionStore`; `null` also if the session is ended meanwhile. The new session has the user of the old
   * one. So a rotation cannot give a user to a visitor's session: at log-in, create a session with a `user` and delete
   * the visitor's, as `logIn` in `session-cookie.ts` does. Takes five round trips if the session has a user, else three.
   */
  override async rotateSession(id: string | undefined, data = {} as SessionData<Fields>): Promise<string | null> {
    const changes = this.steps.codec.encode(data);
    if (!isSessionId(id)) return null;
    const timeLimit = this.steps.scripts.startTimeLimit();
    const session = await this.steps.read(this.keyOf(id), "peek", timeLimit);
    if (session === null) return null;
    const newId = newSessionId();
    const user = userOf(session);
    const rotate = () => this.steps.rotate(this.keyOf(id), this.keyOf(newId), changes, timeLimit);
    if (user === undefined) return (await rotate()) ? newId : null;
    const member = this.#memberOf(newId);
    const deadline = Number(session.session_deadline); // NaN if another program overwrote it: then a new one is set
    const indexArgs = [
      member,
      deadline > 0 ? String(deadline) : "",
      String(this.steps.absoluteTtl),
      this.#memberOf(id),
    ];
    if (!(await this.#runOnIndex("add", user, indexArgs, timeLimit))) {
      await this.#endMarked(user, id, timeLimit);
      return null;
    }
    if (!(await rotate())) {
      await this.#removeEntries(user, [member], timeLimit);
      return null;
    }
    if (await this.#runOnIndex("confirm", user, indexArgs, timeLimit)) return newId;
    await this.#endMarked(user, newId, timeLimit);
    return null;
  }

  /** As in `RedisSessionStore`. Takes two round trips if the session has a user, else one. */
  override async deleteSession(id: string | undefined): Promise<boolean> {
    if (!isSessionId(id)) return false;
    const timeLimit = this.steps.scripts.startTimeLimit();
    const deleted = await this.steps.delete(this.keyOf(id), { timeLimit });
    if (deleted?.user) await this.#removeEntries(deleted.user, [this.#memberOf(id)], timeLimit);
    return deleted !== null;
  }

  /**
   * The sessions of a user, newest first. Does not reset their idle timeouts. `limit`: how many at most, those with the
   * latest deadlines. Set it if the list is shown on every page: a user with many sessions could make it slow. With a
   * limit, at most `limit` + 500 entries are read. If many of those sessions have expired, fewer than `limit` are
   * returned, and later calls return more.
   */
  async listSessions(user: string, { limit = Infinity }: { limit?: number } = {}): Promise<ListedSession<Fields>[]> {
    if (!(limit >= 1) || (limit !== Infinity && !Number.isInteger(limit))) {
      throw new RangeError(`limit must be a whole number from 1, or Infinity; got ${String(limit)}`);
    }
    const timeLimit = this.steps.scripts.startTimeLimit();
    // By member: a log-in between the two reads shifts the entries, so one of them may be read twice.
    const listed = new Map<string, ListedSession<Fields>>();
    const gone: Entry[] = [];
    let read = 0;
    for (const count of limit === Infinity ? [Infinity] : [limit, CHUNK_SIZE]) {
      const entries = await this.#entriesOf(user, timeLimit, read, count);
      read += entries.length;
      for (const chunk of chunksOf(entries, CHUNK_SIZE)) {
        const sessions = await Promise.all(
          chunk.map(([member]) => this.steps.read(this.prefix + member, "peek", timeLimit)),
        );
        for (const [i, entry] of chunk.entries()) {
          const [member] = entry;
          const session = sessions[i];
          if (session?.session_user === user) listed.set(member, { handle: handleOfMember(member), session });
          else gone.push(entry);
        }
      }
      if (listed.size >= limit || entries.length < count) break;
    }
    if (gone.length > 0) await this.#runOnIndex("prune", user, gone.flat(), timeLimit);
    const newest = [...listed.values()].slice(0, limit);
    newest.sort((a, b) => b.session.created_at.localeCompare(a.session.created_at));
    return newest;
  }

  /**
   * Ends one session of a user. `false` if this user has no session with this handle: it is gone, or it was rotated and
   * has another handle now.
   */
  async endSession(user: string, handle: string | undefined): Promise<boolean> {
    const timeLimit = this.steps.scripts.startTimeLimit();
    const entries = await this.#entriesOf(user, timeLimit);
    const [member] = entries.find(([each]) => handleOfMember(each) === handle) ?? [];
    if (member === undefined) return false;
    const isEnded = (await this.steps.delete(this.prefix + member, { user, timeLimit })) !== null;
    if (isEnded) await this.#removeEntries(user, [member], timeLimit);
    return isEnded;
  }

  /**
   * Ends all sessions of a user, but for the one with the ID `except`, and returns how many. When it resolves, no
   * session that the user had when it was called is alive, nor is one that such a session was rotated to. Log-ins under
   * way are ended too: they reject with a `SessionRevokedError`.
   *
   * If the kept session is being rotated at the same moment, it is ended as well: wait for the rotation, and keep the new
   * ID. If a node fails or does not reply in time, the sessions on the other nodes are ended, and the call rejects with a
   * `RedisUnavailableError`. What is left is marked: it cannot be rotated, and the next call ends it, unless it is
   * `except`.
   */
  async endSessions(user: string, { except }: { except?: string | undefined } = {}): Promise<number> {
    const timeLimit = this.steps.scripts.startTimeLimit();
    const kept = isSessionId(except) ? this.#memberOf(except) : "";
    const marked = (await this.#runOnIndex("mark", user, [kept], timeLimit)) as string[];
    let count = 0;
    const failures: unknown[] = [];
    for (const members of chunksOf(marked, CHUNK_SIZE)) {
      const deletions = members.map((member) => this.steps.delete(this.prefix + member, { user, timeLimit }));
      const outcomes = await Promise.allSettled(deletions);
      const gone = members.filter((_, i) => outcomes[i]?.status === "fulfilled");
      await this.#removeEntries(user, gone, timeLimit);
      for (const outcome of outcomes) {
        if (outcome.status === "rejected") failures.push(outcome.reason);
        else if (outcome.value !== null) count += 1;
      }
    }
    if (failures.length > 0) throw failures[0];
    return count;
  }

  /** The handle of the session with this ID, for example to find the session of a request in its user's list. */
  handleOf(id: string): string {
    return digestOf(id);
  }

  /** Deletes a session whose entry is marked, or gone because all sessions of the user were ended. */
  async #endMarked(user: string, id: string, timeLimit: TimeLimit): Promise<void> {
    await this.steps.delete(this.keyOf(id), { user, timeLimit });
    await this.#removeEntries(user, [this.#memberOf(id)], timeLimit);
  }

  async #entriesOf(user: string, timeLimit: TimeLimit, first = 0, count = Infinity): Promise<Entry[]> {
    const last = count === Infinity ? -1 : first + count - 1;
    const reply = (await this.#runOnIndex("list", user, [String(first), String(last)], timeLimit)) as unknown[];
    return pairsOf(reply);
  }

  /** Removes the entries of sessions that are gone. If that fails, the entries stay, which does no harm. */
  async #removeEntries(user: string, members: string[], timeLimit: TimeLimit): Promise<void> {
    if (members.length > 0) await this.#runOnIndex("remove", user, members, timeLimit).catch(() => null);
  }

  async #runOnIndex(operation: string, user: string, args: string[], timeLimit: TimeLimit): Promise<unknown> {
    assertUser(user);
    const key = `${this.prefix}user:${digestOf(user)}`;
    return this.steps.scripts.run(INDEX_SCRIPT, key, [operation, ...args], timeLimit);
  }

  #memberOf(id: string): string {
    return this.keyOf(id).slice(this.prefix.length);
  }
}

/** An entry of an index: member and score, as Redis returns them. */
type Entry = [member: string, score: string];

/** The steps on an index. KEYS: its key. ARGV: the operation, and what it takes. */
const INDEX_SCRIPT: Script = defineScript(`
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
`);

const digestOf = (text: string): string => createHash("sha256").update(text).digest("base64url");

/** With `hashIds`, a member is `sha256:` and the handle. */
function handleOfMember(member: string): string {
  return member.startsWith("sha256:") ? member.slice("sha256:".length) : digestOf(member);
}

function chunksOf<Item>(items: Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

/** The user of a session; undefined if it has none, or one that only another program can have written. */
export function userOf({ session_user: user = "" }: { session_user?: string }): string | undefined {
  return hasUserLength(user) ? user : undefined;
}

function hasUserLength(text: string): boolean {
  const bytes = Buffer.byteLength(text);
  return bytes >= 1 && bytes <= MAX_USER_BYTES;
}

function assertUser(user: string): void {
  if (typeof user !== "string") throw new TypeError(`user must be a string; got ${typeof user}`);
  assertWellFormed("user", user);
  if (hasUserLength(user)) return;
  throw new RangeError(`user must have 1 to ${String(MAX_USER_BYTES)} bytes; got ${String(Buffer.byteLength(user))}`);
}

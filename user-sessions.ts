/**
 * The sessions of a user: list them, end one, end all others, limit their number. One file, to be used with
 * `session-store.ts`.
 *
 * In short: a user's sessions are entries of an index, and the session itself decides whether it exists. A log-in or a
 * rotation adds an entry, creates the session and confirms the entry. To end sessions is to mark their entries, delete
 * the sessions and remove the entries; a marked entry cannot be confirmed or rotated. Whoever reads the index peeks at
 * the sessions. So whatever stops half-way, nobody has the ID of a session that is not in the index.
 *
 * A session that names its user is a member of that user's index, a sorted set:
 *
 *     session:user:{SHA-256 digest of the user in base64url}
 *       member = the session's key without the prefix
 *       score  = 1778243696.12301   the session's deadline (Unix time in seconds), and after the point the fraction of the
 *                                   second in which it was created: confirmed
 *                1001775651696      1e12 + Unix time: a log-in has been creating the session since then
 *                2001775651696      2e12 + Unix time: a rotation is creating it
 *                one of these, but negative: the session is marked, which means that it is about to be ended
 *
 * Reading and writing a session does not touch the index, so it costs the same as without one. In a Redis Cluster, the
 * index and the session may be on two nodes, and no command spans both. So the session's own hash decides, and the index
 * is only a superset: it may name sessions that are gone (expired, or left by a crash). Whoever reads it peeks at each
 * session. A live session that is not in the index could not be seen or ended. This must never happen to a session whose
 * ID somebody has. These rules prevent it, and keep log-ins and rotations from failing for no reason:
 *
 * - **Add the entry, create the session, confirm the entry.** (`addsBeforeCreating`, `confirms`) If the session were
 *   created before its entry, an "end all" in between would miss the session. An "end all" after the entry was added
 *   and before the session is created removes the entry and finds no session. So the entry is confirmed last: if it
 *   is marked or gone, the session is deleted, and nobody gets its ID.
 * - **Only an entry that was confirmed when it was read is removed because its session is gone.**
 *   (`sparesUnconfirmed`, `marksOverdue`) Any other is of a session that may still be created. One that is not
 *   confirmed within a minute is marked: whatever a crash left of its session is then ended.
 * - **A marked session is not rotated.** (`marks`) "End all" marks all entries in one step. If a rotation has already
 *   added its new entry, that is marked too, and cannot be confirmed. If it has not, it is refused, because the old
 *   entry is marked. So no session gets away under a new ID while the old ones are being deleted.
 * - **Delete the session, then remove its entry.** (`deletesBeforeRemoving`) If the process crashes or a node fails
 *   in between, the entry is still there, with its mark, and the next log-in, list or "end all" ends what is left.
 *
 * A list shows each session that exists until the list is complete, even if the session gets a new ID meanwhile:
 *
 * - **A list that finds a session gone reads the index again** (`readsAgain`, `readsUnconfirmedFirst`,
 *   `awaitsRotations`), until it has peeked at everything in it, because the new entry of a rotation may have been
 *   added later. It reads entries that are not confirmed first, because they move when they are. If a rotation has
 *   added its entry and not yet created its session, the list peeks again a moment later.
 * - **While a rotation is under way, no entry is removed because its session is gone.** (`keepsWhileRotating`) It may
 *   be the old entry of that rotation, and a list that reads page by page could miss both.
 *
 * With `maxSessions`, a log-in that exceeds the limit ends the sessions with the earliest deadlines when it confirms
 * its entry:
 *
 * - **Choose in the step that confirms.** (`choosesWhenConfirming`) Two log-ins that chose before it would count the
 *   same sessions, and one that crashed before it would have ended a session for nothing.
 * - **Peek before you choose.** (`peeksBeforeChoosing`) If an entry counted whose session is gone, a session would be
 *   ended for it. So those that would stay are peeked at: while the session is being created, or, if others have come
 *   in between, in one more round.
 * - **Only confirmed entries count.** (`countsConfirmedOnly`) The sessions of others may never be created, and a
 *   log-in must not end another that has just begun.
 * - **A log-in does not choose itself,** however early its deadline. (`logInSparesItself`)
 * - **A rotation checks the limit, too** (`countsRotations`, `rotationMayGo`), because a log-in at the same time may
 *   have counted neither its old session nor its new one. It may choose itself: otherwise a session with a later
 *   deadline would have to go.
 * - **Mark what you chose.** (`marksChosen`, `endsWhatOthersMarked`) The next log-in or list ends everything that is
 *   marked, whoever has marked it: a log-in may crash before it ends what it chose. An entry that was not confirmed
 *   within a minute is marked for the same reason.
 *
 * Nothing depends on how many sessions a user has had. Steps take a page of the index at a time, and a log-in peeks
 * at a few entries at random and removes those whose sessions are gone.
 *
 * `test/users/protocol.test.ts` explores all interleavings of these steps. The names above are those of its tests,
 * which show what goes wrong without each rule.
 */
import { setImmediate, setTimeout } from "node:timers/promises";
import {
  assertWellFormed,
  assertWhole,
  defineScript,
  digestOf,
  type FieldsIfTyped,
  type FieldTypes,
  isSessionId,
  newSessionId,
  pairsOf,
  RedisSessionStore,
  type RedisSessionStoreOptions,
  RedisUnavailableError,
  type Script,
  type Session,
  type SessionData,
  type SessionTimeouts,
  type TextFields,
  type TimeLimit,
} from "./session-store.ts";

export interface UserSessionsOptions<Fields extends FieldTypes = TextFields> extends RedisSessionStoreOptions<Fields> {
  /**
   * How many sessions a user may have. A log-in beyond it ends the sessions with the earliest deadlines, but never itself.
   * Deadlines are whole seconds: of sessions created within a second, any may be the one that goes.
   * Default: no limit. A lower limit than before takes effect with the user's next log-in.
   */
  maxSessions?: number | undefined;
}

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
const PAGE_SIZE = 250; // entries read, and sessions peeked at or deleted at a time, so that other requests get their turn
const CLEAN_UP_SIZE = 5; // entries that a log-in checks: with five, an index has about 1.5 times the sessions alive
const LONGEST_PAUSE_MS = 50; // before a list peeks again at a session that a rotation has not created yet

/** The operations of `RedisSessionStore`, for sessions that may name their user, and those on a user's sessions. */
export class UserSessions<Fields extends FieldTypes = TextFields> extends RedisSessionStore<Fields> {
  /** `maxSessions` as the index script takes it: `""` if there is no limit. */
  readonly #maxSessions: string;

  constructor(options: UserSessionsOptions<Fields> & FieldsIfTyped<Fields>) {
    super(options);
    const { maxSessions } = options;
    if (maxSessions !== undefined) assertWhole("maxSessions", maxSessions, Number.MAX_SAFE_INTEGER, "sessions");
    this.#maxSessions = String(maxSessions ?? "");
  }

  /**
   * Creates a session and returns its ID. Rejects with a `SessionRevokedError` if the user's sessions are ended
   * meanwhile. Takes three round trips if there is a user, else one. At the limit of `maxSessions`, it takes five, or more
   * if the user has more than 250 sessions. Another log-in at the same time may have ended the new session already.
   */
  override async createSession(
    data = {} as SessionData<Fields>,
    { user, ...timeouts }: NewSessionOptions = {},
  ): Promise<string> {
    if (user === undefined) return super.createSession(data, timeouts);
    const fields = this.newFields(data, timeouts).set("session_user", user);
    const fraction = fractionOf(fields.get("created_at")!);
    const timeLimit = this.steps.scripts.startTimeLimit();
    const id = newSessionId();
    const member = this.#memberOf(id);
    const reply = await this.#runOnIndex("add", user, [member, "", this.#maxSessions], timeLimit);
    const [isAtLimit, ...others] = reply as [0 | 1, ...string[]];
    try {
      const gone: string[] = [];
      const peeks = others.map(async (other) => (await this.#peek(user, other, timeLimit)) ?? gone.push(other));
      const allPeeks = Promise.all(peeks);
      allPeeks.catch(() => null); // Below the limit, a node that does not reply is only not cleaned up.
      const { absoluteTtl } = timeouts;
      const deadline = await this.steps.create(this.keyOf(id), fields, { absoluteTtl, timeLimit });
      await (isAtLimit ? allPeeks : setImmediate()); // Node first reads the replies that have arrived.
      const entry = { member, score: `${deadline!}.${fraction}`, oldMember: "" };
      const peeked = { gone: [...gone], alive: isAtLimit ? others.length - gone.length : 0 };
      if (await this.#confirm(user, entry, peeked, timeLimit)) return id;
      throw new SessionRevokedError("All sessions of the user were ended during the log-in");
    } catch (error) {
      await this.#end(user, id, timeLimit).catch(() => null);
      throw error;
    }
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
    const rotate = () => this.steps.rotate(this.keyOf(id), this.keyOf(newId), changes, timeLimit);
    const user = userOf(session);
    if (user === undefined) return (await rotate()) === null ? null : newId;
    const [member, oldMember] = [this.#memberOf(newId), this.#memberOf(id)];
    if (!(await this.#runOnIndex("add", user, [member, oldMember, ""], timeLimit))) {
      await this.#end(user, id, timeLimit);
      return null;
    }
    try {
      const score = await rotate();
      const peeked = { gone: [], alive: 0 };
      if (score !== null && (await this.#confirm(user, { member, score, oldMember }, peeked, timeLimit))) return newId;
    } catch (error) {
      await this.#end(user, newId, timeLimit).catch(() => null);
      throw error;
    }
    await this.#end(user, newId, timeLimit);
    return null;
  }

  /** As in `RedisSessionStore`. Takes two round trips if the session has a user, else one. */
  override async deleteSession(id: string | undefined): Promise<boolean> {
    if (!isSessionId(id)) return false;
    const timeLimit = this.steps.scripts.startTimeLimit();
    const deleted = await this.steps.delete(this.keyOf(id), { timeLimit });
    if (deleted?.user) await this.#removeEntry(deleted.user, this.#memberOf(id), timeLimit);
    return deleted !== null;
  }

  /**
   * The sessions of a user, newest first. Does not reset their idle timeouts. `limit`: how many at most, those with the
   * latest deadlines. Set it if the list is shown on every page: a user with many sessions could make it slow.
   */
  async listSessions(user: string, { limit = Infinity }: { limit?: number } = {}): Promise<ListedSession<Fields>[]> {
    if (!(limit >= 1) || (limit !== Infinity && !Number.isInteger(limit))) {
      throw new RangeError(`limit must be a whole number from 1, or Infinity; got ${String(limit)}`);
    }
    const timeLimit = this.steps.scripts.startTimeLimit();
    const peeks = new Map<string, Session<Fields> | null>(); // by member; `null`: gone for good
    const gone: string[] = []; // members that the next step on the index removes
    let listed = new Map<string, Entry>(); // by member, as the index was last read
    let marked: string[] = [];
    for (let pause = 1, isComplete = false; !isComplete;) {
      let isBeingRotated = false;
      isComplete = true;
      listed = new Map();
      marked = [];
      for await (const page of this.#pagesOf(user, timeLimit, gone, Math.min(limit, PAGE_SIZE))) {
        for (const { member, state } of page) if (state === "marked") marked.push(member);
        const unknown = page.filter(({ member, state }) => state !== "marked" && !peeks.has(member));
        const sessions = await Promise.all(unknown.map(({ member }) => this.#peek(user, member, timeLimit)));
        for (const [i, { member, state }] of unknown.entries()) {
          const session = sessions[i]!;
          if (session === null && state === "rotating") {
            isBeingRotated = true;
            continue;
          }
          peeks.set(member, session);
          if (session !== null || state === "creating") continue;
          gone.push(member);
          isComplete = false;
        }
        for (const entry of page) {
          if (entry.state !== "marked" && peeks.get(entry.member)) listed.set(entry.member, entry);
        }
        if (listed.size >= limit) break;
      }
      if (!isBeingRotated || timeLimit.left < 4 * pause) continue;
      isComplete = false;
      await setTimeout(pause);
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    }
    const { left } = await this.#endMarked(user, marked, timeLimit);
    for (const member of left) {
      peeks.set(member, await this.#peek(user, member, timeLimit));
      if (peeks.get(member)) listed.set(member, { member, state: "marked" });
      else listed.delete(member);
    }
    const newest = Array.from(listed.values(), ({ member, state }) => {
      const session = peeks.get(member)!;
      return { handle: handleOfMember(member), session, createdAt: session.created_at + state };
    }).slice(0, limit);
    newest.sort((a, b) => compare(b.createdAt, a.createdAt));
    return newest.map(({ handle, session }) => ({ handle, session }));
  }

  /**
   * Ends one session of a user. `false` if this user has no session with this handle: it is gone, or it was rotated and
   * has another handle now.
   */
  async endSession(user: string, handle: string | undefined): Promise<boolean> {
    const timeLimit = this.steps.scripts.startTimeLimit();
    for await (const page of this.#pagesOf(user, timeLimit)) {
      const member = page.find((entry) => handleOfMember(entry.member) === handle)?.member;
      if (member === undefined) continue;
      const isEnded = (await this.steps.delete(this.prefix + member, { user, timeLimit })) !== null;
      if (isEnded) await this.#removeEntry(user, member, timeLimit);
      return isEnded;
    }
    return false;
  }

  /**
   * Ends all sessions of a user, but for the one with the ID `except`, and returns how many. When it resolves, no
   * session that the user had when it was called is alive, nor is one that such a session was rotated to. Log-ins under
   * way are ended too: they reject with a `SessionRevokedError`.
   *
   * If the kept session is being rotated at the same moment, it is ended as well: wait for the rotation, and keep the new
   * ID. If any is left at the end of the time limit, because a node does not reply or because there are too many, the call
   * rejects with a `RedisUnavailableError` that says how many were ended. What is left is marked: it cannot be rotated, and
   * the next call ends it, or the user's next log-in or list.
   */
  async endSessions(user: string, { except }: { except?: string | undefined } = {}): Promise<number> {
    const timeLimit = this.steps.scripts.startTimeLimit();
    const kept = isSessionId(except) ? this.#memberOf(except) : "";
    const marked = (await this.#runOnIndex("mark", user, [kept], timeLimit)) as string[];
    const { ended, failure } = await this.#endMarked(user, marked, timeLimit, kept);
    if (failure === undefined) return ended;
    const message = `${String(ended)} sessions were ended, but not all: ${failure.message}`;
    throw new RedisUnavailableError(message, { cause: failure });
  }

  /** The handle of the session with this ID, for example to find the session of a request in its user's list. */
  handleOf(id: string): string {
    return digestOf(id);
  }

  /**
   * Confirms the entry of a session that was created, and ends the sessions that are then too many. `false` if it is the
   * new session that has to go. `peeked`: which sessions were found to be gone, and how many, those with the latest
   * deadlines, to be alive.
   */
  async #confirm(
    user: string,
    { member, score, oldMember }: { member: string; score: string; oldMember: string },
    peeked: { gone: string[]; alive: number },
    timeLimit: TimeLimit,
  ): Promise<boolean> {
    let { gone, alive } = peeked;
    for (;;) {
      const args = [member, oldMember, this.#maxSessions, score, String(alive), ...gone];
      const reply = (await this.#runOnIndex("confirm", user, args, timeLimit)) as [string, ...string[]] | null;
      if (reply === null) return false;
      const [outcome, ...members] = reply;
      if (outcome !== "peek") {
        await this.#endMarked(user, members, timeLimit); // What cannot be ended now stays marked.
        return outcome === "confirmed";
      }
      const sessions = await Promise.all(members.map((each) => this.#peek(user, each, timeLimit)));
      const found = members.filter((_, i) => sessions[i] === null);
      gone = [...gone, ...found].slice(-PAGE_SIZE);
      alive += members.length - found.length;
    }
  }

  /**
   * Ends the sessions of marked entries, page by page. `left`: those that could not be ended. A node that does not reply
   * holds up a page for a tenth of the time limit, so that the sessions on other nodes are ended, too.
   */
  async #endMarked(
    user: string,
    marked: string[],
    timeLimit: TimeLimit,
    kept = "",
  ): Promise<{ ended: number; left: string[]; failure: Error | undefined }> {
    let deletions: Promise<unknown> = Promise.resolve(); // all that have begun
    const left = new Set<string>();
    const gone: string[] = []; // members that the next step on the index removes
    let skipped = 0; // entries whose sessions are being deleted, or could not be
    let ended = 0;
    let failure: Error | undefined;
    const end = async (member: string) => {
      left.add(member);
      skipped += 1;
      try {
        if ((await this.steps.delete(this.prefix + member, { user, timeLimit })) !== null) ended += 1;
        left.delete(member);
        gone.push(member);
      } catch (error) {
        failure ??= error as Error;
      }
    };
    const nextPage = async () => {
      if (timeLimit.left <= 0)
        throw new RedisUnavailableError(`more than ${String(timeLimit.timeoutMs)} ms have passed`);
      const removed = gone.splice(0, PAGE_SIZE);
      skipped -= removed.length;
      return (await this.#runOnIndex("remove", user, [kept, String(skipped), ...removed], timeLimit)) as string[];
    };
    try {
      for (let page = marked; page.length > 0;) {
        deletions = Promise.all([deletions, ...page.map(end)]);
        await Promise.race([deletions, setTimeout(timeLimit.timeoutMs / 10, null, { ref: false })]);
        page = await nextPage();
        if (page.length === 0) await deletions;
        while (page.length === 0 && gone.length > 0) page = await nextPage();
      }
    } catch (error) {
      failure ??= error as Error;
    }
    return { ended, left: Array.from(left), failure };
  }

  /** Deletes a session whose entry is marked, or gone because all sessions of the user were ended. */
  async #end(user: string, id: string, timeLimit: TimeLimit): Promise<void> {
    if (timeLimit.left <= 0) return;
    await this.steps.delete(this.keyOf(id), { user, timeLimit });
    await this.#removeEntry(user, this.#memberOf(id), timeLimit);
  }

  /** A session that the index of a user names; `null` if it is gone, or not theirs. */
  async #peek(user: string, member: string, timeLimit: TimeLimit): Promise<Session<Fields> | null> {
    const session = await this.steps.read(this.prefix + member, "peek", timeLimit);
    return session?.session_user === user ? session : null;
  }

  /** Reads the index of a user. Each step first removes what is in `gone` then. Marked entries are on the first page. */
  async *#pagesOf(
    user: string,
    timeLimit: TimeLimit,
    gone: string[] = [],
    firstSize = PAGE_SIZE,
  ): AsyncGenerator<Entry[]> {
    for (let from = "+inf", size = firstSize; from !== ""; size = PAGE_SIZE) {
      const args = [from, String(size), ...gone.splice(0)];
      const [next, ...rest] = (await this.#runOnIndex("list", user, args, timeLimit)) as [string, ...string[]];
      yield pairsOf(rest).map(([member, state]) => ({ member, state }));
      from = next;
    }
  }

  /** Removes the entry of a session that is gone. If that fails, the entry stays, which does no harm. */
  async #removeEntry(user: string, member: string, timeLimit: TimeLimit): Promise<void> {
    await this.#runOnIndex("remove", user, ["", "0", member], timeLimit).catch(() => null);
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

/** An entry of an index. */
interface Entry {
  member: string;
  /** `creating`, `rotating`, `marked`, or, if it is confirmed, the fraction of the second in which it was created. */
  state: string;
}

/** The steps on an index. KEYS: its key. ARGV: the operation, and what it takes. */
const INDEX_SCRIPT: Script = defineScript(`
local key, operation, call = KEYS[1], ARGV[1], redis.call
local time = call("TIME")
local now, page_size, clean_up_size = tonumber(time[1]), ${String(PAGE_SIZE)}, ${String(CLEAN_UP_SIZE)}
local log_in, rotation = 1e12, 2e12 -- plus the time, the scores of entries that are not confirmed
local write = operation == "list" and redis.pcall or call -- if Redis refuses writes, a list goes on

-- The ranks of marked entries are those below first, of confirmed ones from first to first + count - 1, by deadline.
local function count_entries()
  return call("ZCOUNT", key, "-inf", "(0"), call("ZCOUNT", key, 0, "(" .. log_in)
end

-- Removes a member that is not ASCII: another program has written it. If it is not UTF-8, no client in JavaScript could.
local function is_ours(member)
  local is_foreign = member:find("[\\128-\\255]")
  if is_foreign then write("ZREM", key, member) end
  return not is_foreign
end

local function read_entries(kept, ...)
  local members = {}
  for _, member in ipairs(call("ZRANGE", key, ...)) do
    if is_ours(member) and member ~= kept then members[#members + 1] = member end
  end
  return members
end

-- A page of the confirmed entries with the latest deadlines, without the very latest ones
local function latest_confirmed(first, count, skipped)
  local last = first + count - 1 - skipped
  return last < first and {} or read_entries("", math.max(first, last - page_size + 1), last)
end

local function marked_entries(skipped, kept)
  return read_entries(kept, "-inf", "(0", "BYSCORE", "LIMIT", skipped, page_size)
end

-- The index expires a minute after the last deadline in it, because the clocks of two nodes differ.
local function set_expiry()
  local latest = call("ZRANGE", key, "(" .. log_in, 0, "BYSCORE", "REV", "LIMIT", 0, 1, "WITHSCORES")[2]
  local marked = call("ZRANGE", key, "(" .. -log_in, "(0", "BYSCORE", "LIMIT", 0, 1, "WITHSCORES")[2]
  local last = math.max(now, tonumber(latest) or 0, -(tonumber(marked) or 0))
  write("PEXPIREAT", key, string.format("%.0f", (last + 60) * 1000))
end

-- Removes entries whose deadline was a minute ago or more. Marks those that were not confirmed within a minute.
local function clean_up()
  write("ZREMRANGEBYSCORE", key, 0, now - 60)
  for _, start in ipairs({ log_in, rotation }) do
    local overdue = call("ZRANGE", key, start, start + now - 60, "BYSCORE", "LIMIT", 0, page_size)
    for _, member in ipairs(overdue) do write("ZADD", key, -start - now, member) end
  end
end

-- Scores that are further ahead of the clock are another program's.
local function count_rotations()
  return call("ZCOUNT", key, rotation, rotation + now + 60)
end

-- "add" and "confirm" take ARGV[2]: member, [3]: old member in a rotation, else "", [4]: the most sessions, or "".

-- Returns false if the old entry is marked. Else, for a log-in, entries to peek at while the session is created: after 1,
-- those that decide whose session has to go; after 0, a few at random, to remove what is gone.
if operation == "add" then
  local is_log_in, max_sessions = ARGV[3] == "", tonumber(ARGV[4])
  local old = tonumber(call("ZSCORE", key, ARGV[3]))
  if old and old < 0 then return false end
  -- If the ACL denies PEXPIREAT, ZADD would leave a key that never expires. ZADD has to be the first write: if memory is
  -- full, Redis refuses only the first write of a script.
  if not redis.acl_check_cmd("PEXPIREAT", key, 1) then
    return redis.error_reply("NOPERM this user may not run PEXPIREAT")
  end
  call("ZADD", key, (is_log_in and log_in or rotation) + now, ARGV[2])
  set_expiry()
  clean_up()
  local first, count = count_entries()
  local is_at_limit, peeks = 0, {}
  if is_log_in and max_sessions and max_sessions > 1 and count >= max_sessions then
    is_at_limit, peeks = 1, latest_confirmed(first, count, 0)
  elseif is_log_in and count > 0 then
    math.randomseed(tonumber(time[2]))
    local start = first + math.random(math.max(1, count - clean_up_size + 1)) - 1
    peeks = read_entries("", start, math.min(start + clean_up_size, first + count) - 1)
  end
  return { is_at_limit, unpack(peeks) }
end

-- ARGV[5]: deadline, with the fraction for a log-in, [6]: how many of the latest sessions are alive, [7] …: members whose
-- sessions are gone. Returns false if the new entry is marked or gone; "peek" and the entries to peek at if
-- there would be too many sessions, and others would stay that were not peeked at; else "confirmed", or "ended" if the new
-- session is one too many, and a page of the marked entries.
if operation == "confirm" then
  local is_log_in, max_sessions = ARGV[3] == "", tonumber(ARGV[4])
  local new, old = tonumber(call("ZSCORE", key, ARGV[2])), tonumber(call("ZSCORE", key, ARGV[3]))
  if not new or new < 0 then return false end
  -- The old session and those that are gone do not count. While others are rotated, their entries are put back below.
  local put_back = {}
  if count_rotations() > (is_log_in and 0 or 1) then
    for i = 7, #ARGV do put_back[ARGV[i]] = call("ZSCORE", key, ARGV[i]) or nil end
  end
  if #ARGV > 6 then call("ZREM", key, unpack(ARGV, 7)) end
  if old then call("ZREM", key, ARGV[3]) end

  local first, count = count_entries()
  local excess = max_sessions and count + 1 - max_sessions or 0
  local must_peek = excess > 0 and tonumber(ARGV[6]) < math.min(is_log_in and max_sessions - 1 or max_sessions, count)
  local outcome, members
  if must_peek then
    outcome, members = "peek", latest_confirmed(first, count, ARGV[6])
    put_back[ARGV[3]] = old
  else
    local fraction = old and math.abs(old) % 1 or is_log_in and 0 or 0.5
    call("ZADD", key, string.format("%.5f", ARGV[5] + fraction), ARGV[2])
    outcome = "confirmed"
    local earliest = excess > 0 and call("ZRANGE", key, first, first + excess, "WITHSCORES") or {}
    for i = 1, #earliest, 2 do
      if excess > 0 and not (is_log_in and earliest[i] == ARGV[2]) then
        call("ZADD", key, -earliest[i + 1], earliest[i])
        if earliest[i] == ARGV[2] then outcome = "ended" end
        excess = excess - 1
      end
    end
    members = marked_entries(0)
  end
  for member, score in pairs(put_back) do call("ZADD", key, score, member) end
  set_expiry()
  return { outcome, unpack(members) }
end

-- ARGV[2]: the score from which to read, towards lower ones, [3]: the most entries, [4] …: members to remove before.
-- Returns the score from which to go on, "" at the end, and member, state, member, state …
if operation == "list" then
  if #ARGV > 3 and count_rotations() == 0 then
    write("ZREM", key, unpack(ARGV, 4))
    set_expiry()
  end
  local reply = { "" }
  if ARGV[2] == "+inf" then
    clean_up()
    for _, member in ipairs(marked_entries(0)) do
      reply[#reply + 1], reply[#reply + 2] = member, "marked"
    end
  end
  local entries = call("ZRANGE", key, ARGV[2], 0, "BYSCORE", "REV", "LIMIT", 0, ARGV[3], "WITHSCORES")
  if #entries == 2 * ARGV[3] then
    reply[1] = entries[#entries]
    if reply[1] == ARGV[2] then -- more entries than a page have this score
      entries = call("ZRANGE", key, ARGV[2], ARGV[2], "BYSCORE", "REV", "WITHSCORES")
      reply[1] = "(" .. ARGV[2]
    end
  end
  for i = 1, #entries, 2 do
    local score = tonumber(entries[i + 1])
    local state = string.format("%.5f", score % 1)
    -- Servers with the previous version of this file use a minute from now as the score until the entry is confirmed.
    if score % 1 == 0 and math.abs(score - now) <= 60 then state = "creating" end
    if score >= log_in then state = score <= log_in + now + 60 and "creating" or "unknown" end
    if score >= rotation then state = score <= rotation + now + 60 and "rotating" or "unknown" end
    if is_ours(entries[i]) then reply[#reply + 1], reply[#reply + 2] = entries[i], state end
  end
  return reply
end

-- ARGV[2]: the member to leave as it is, or "". Returns a page of the marked entries, those of an earlier call included.
if operation == "mark" then
  -- If memory is full, Redis refuses the first write of a script, unless it takes no memory. Then it refuses no other.
  call("ZREM", key, "")
  local entries = call("ZRANGE", key, "(0", "+inf", "BYSCORE", "WITHSCORES")
  for i = 1, #entries, 2 do
    if is_ours(entries[i]) and entries[i] ~= ARGV[2] then call("ZADD", key, -entries[i + 1], entries[i]) end
  end
  return marked_entries(0, ARGV[2])
end

-- ARGV[2]: the member to leave out of the reply, or "", [3]: how many to skip, [4] …: members to remove. Returns a page of
-- the marked entries.
if operation == "remove" then
  if #ARGV > 3 then
    call("ZREM", key, unpack(ARGV, 4))
    set_expiry()
  end
  return marked_entries(ARGV[3], ARGV[2])
end
`);

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** With `hashIds`, a member is `sha256:` and the handle. */
function handleOfMember(member: string): string {
  return member.startsWith("sha256:") ? member.slice("sha256:".length) : digestOf(member);
}

const latest = { time: 0, logIns: 0 };
/**
 * The fraction of the second in which a session was created, five digits: milliseconds, and a number that tells apart the
 * log-ins within one. `createdAt` is the time to the second.
 */
function fractionOf(createdAt: string): string {
  const time = Date.now();
  latest.logIns = latest.time === time ? Math.min(latest.logIns + 1, 99) : 1;
  latest.time = time;
  const milliseconds = Math.max(0, Math.min(time - Date.parse(createdAt), 999));
  return String(milliseconds).padStart(3, "0") + String(latest.logIns).padStart(2, "0");
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

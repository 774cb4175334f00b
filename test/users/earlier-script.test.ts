import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { defineScript, newSessionId, RedisSessionStore, type RedisScripting } from "../../session-store.ts";
import { SessionRevokedError, UserSessions } from "../../user-sessions.ts";
import { openRedis } from "../redis-connection.ts";
import { assertExpiries, keysLike, newPrefix, NO_HURRY } from "../store-under-test.ts";
import { EARLIER_INDEX_SCRIPT } from "./earlier-script.ts";
import { randomFrom, runInterleaved, type Work } from "./scheduler.ts";

const { redis } = await openRedis();
const USER = "andrew";
const ROUNDS = 200;
const script = defineScript(EARLIER_INDEX_SCRIPT);
for (const server of redis.servers()) await server.scriptLoad(script.source);

/** Creates the session with an ID that is given, as the step of a log-in does. */
class Steps extends RedisSessionStore {
  create(id: string): Promise<unknown> {
    return this.steps.create(this.keyOf(id), this.newFields({}, {}).set("session_user", USER));
  }
  end(id: string): Promise<unknown> {
    return this.steps.delete(this.keyOf(id), { user: USER });
  }
}

/** The operations of a server with the earlier files, step by step. */
function earlier(connection: RedisScripting, prefix: string, indexKey: string) {
  const steps = new Steps({ redis: connection, prefix, timeoutMs: 600_000 });
  const run = (...args: string[]) => connection.evalSha(script.sha1, { keys: [indexKey], arguments: args });
  return { logIn, list, endAll };

  async function logIn(): Promise<string> {
    const id = newSessionId();
    await run("add", id, "", "600");
    await steps.create(id);
    if (await run("confirm", id, "", "600")) return id;
    await steps.end(id);
    await run("remove", id);
    throw new SessionRevokedError();
  }

  async function list(): Promise<void> {
    const entries = (await run("list", "0", "-1")) as string[];
    const gone: string[] = [];
    for (let i = 0; i < entries.length; i += 2) {
      if ((await steps.getTtl(entries[i])) === null) gone.push(entries[i]!, entries[i + 1]!);
    }
    if (gone.length > 0) await run("prune", ...gone);
  }

  async function endAll(): Promise<void> {
    const marked = (await run("mark", "")) as string[];
    for (const id of marked) await steps.end(id);
    if (marked.length > 0) await run("remove", ...marked);
  }
}

test(`${ROUNDS} random interleavings with servers that have the earlier files`, async (t) => {
  let refused = 0;
  const runRound = async (seed: number) => {
    const random = randomFrom(seed);
    const prefix = newPrefix();
    const indexKey = `${prefix}user:${createHash("sha256").update(USER).digest("base64url")}`;
    const direct = new UserSessions({ redis, prefix, ...NO_HURRY });
    const before = await direct.createSession({}, { user: USER });
    const given: string[] = [];
    const ended: string[] = [];
    const newer = (connection: RedisScripting) => new UserSessions({ redis: connection, prefix, timeoutMs: 600_000 });
    const endAll = (run: () => Promise<unknown>) => async () => {
      const found = [before, ...given];
      await run();
      ended.push(...found);
    };
    const give = async (id: Promise<string | null>) => {
      const newId = await id;
      if (newId !== null) given.push(newId);
    };
    const works: Work[] = [
      (connection) => give(earlier(connection, prefix, indexKey).logIn()),
      (connection) => give(newer(connection).createSession({}, { user: USER })),
      (connection) => give(newer(connection).rotateSession(before)),
      (connection) => earlier(connection, prefix, indexKey).list(),
      (connection) => newer(connection).listSessions(USER, { limit: 9 }),
      (connection) =>
        seed % 2 === 0
          ? endAll(() => earlier(connection, prefix, indexKey).endAll())()
          : endAll(() => newer(connection).endSessions(USER))(),
    ];
    const chosen = works.filter((_, i) => i < 5 || seed % 3 > 0);
    const errors = await runInterleaved(redis, chosen, {
      choose: (count) => Math.floor(random() * count),
      afterEach: async () => {
        const index = await redis.zRange(indexKey, 0, -1);
        for (const id of given) {
          if ((await redis.exists(direct.keyOf(id))) === 1) assert.ok(index.includes(id), `round ${seed}: not listed`);
        }
        for (const id of ended) assert.equal(await redis.exists(direct.keyOf(id)), 0, `round ${seed}: survives`);
      },
    });
    for (const error of errors) assert.ok(error instanceof SessionRevokedError, String(error));
    refused += errors.length;
    await assertExpiries(redis, prefix);
    await direct.endSessions(USER);
    assert.deepEqual(await keysLike(redis, `${prefix}*`), []);
  };
  await Promise.all(Array.from({ length: ROUNDS }, (_, i) => runRound(i + 1)));
  t.diagnostic(`${refused} log-ins were refused`);
});

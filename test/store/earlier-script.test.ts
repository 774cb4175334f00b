import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type RedisScripting, RedisSessionStore } from "../../session-store.ts";
import { openRedis } from "../redis-connection.ts";
import { assertExpiries, neglect, newPrefix, NO_HURRY } from "../store-under-test.ts";
import { EARLIER_SCRIPT } from "./earlier-script.ts";
import { onSession } from "./every-operation.ts";

const { redis, connect } = await openRedis();

const EARLIER_NAMES: Record<string, string> = { moveOut: "take", setTtl: "set_ttl" };

/** Sends the earlier script in place of today's. Two operations had other names, and fields were JSON, not in chunks. */
function earlier(client: RedisScripting): RedisScripting {
  const run: RedisScripting["eval"] = (
    _,
    { keys, arguments: [operation = "", time = "", absoluteTtl = "", ...args] },
  ) => {
    const input = operation === "update" ? toEarlierUpdate(args) : args;
    if (operation === "create") input[2] = JSON.stringify((JSON.parse(input[2]!) as string[][]).flat());
    const name = EARLIER_NAMES[operation] ?? operation;
    return client.eval(EARLIER_SCRIPT, { keys, arguments: [name, time, absoluteTtl, ...input] });
  };
  return { evalSha: run, eval: run };
}

function toEarlierUpdate(args: string[]): string[] {
  const lists = args.length > 1 ? [args, []] : (JSON.parse(args[0]!) as string[][][]).map((chunks) => chunks.flat());
  return lists.map((list) => JSON.stringify(list));
}

function openStores() {
  const options = { prefix: newPrefix(), ttl: 60, absoluteTtl: 600, ...NO_HURRY };
  return {
    prefix: options.prefix,
    today: new RedisSessionStore({ redis, ...options }),
    before: new RedisSessionStore({ redis: earlier(redis), ...options }),
  };
}

describe("a server with the earlier script shares sessions with one that has today's", () => {
  for (const creator of ["before", "today"] as const) {
    for (const [operation, run, none] of onSession) {
      test(`${operation}, of a session that the one of ${creator} created, at the other`, async () => {
        const { prefix, ...stores } = openStores();
        const [own, other] = creator === "before" ? [stores.before, stores.today] : [stores.today, stores.before];
        const id = await own.createSession({ username: "andrew", page_views: 1 });
        const deadline = await redis.hGet(own.keyOf(id), "session_deadline");
        await neglect(redis, own.keyOf(id), 30);
        const result = await run(other, id);
        assert.ok(result !== none);
        await assertExpiries(redis, prefix);
        const session = await own.getSession(typeof result === "string" ? result : id);
        if (operation === "deleteSession") return assert.equal(session, null);
        assert.deepEqual([session!["username"], session!.session_deadline], ["andrew", deadline]);
        await assertExpiries(redis, prefix);
      });
    }
  }

  test("a session that ends stays dead, in 100 rounds of both at once", async () => {
    const { prefix, today } = openStores();
    const before = new RedisSessionStore({ redis: earlier(await connect()), prefix, ttl: 60, ...NO_HURRY });
    for (let round = 0; round < 100; round++) {
      const id = await today.createSession({ username: "andrew" });
      const [old, next] = round % 2 === 0 ? [before, today] : [today, before];
      const [newId] = await Promise.all([
        old.rotateSession(id),
        next.incrementField(id, "count"),
        next.updateSession(id, { color: "red" }),
        old.getSession(id),
      ]);
      assert.deepEqual(await redis.keys(`${prefix}*`), [today.keyOf(newId!)]);
      await assertExpiries(redis, prefix);
      await Promise.all([next.deleteSession(newId!), old.updateSession(newId!, { color: "blue" })]);
      assert.deepEqual(await redis.keys(`${prefix}*`), []);
    }
  });
});

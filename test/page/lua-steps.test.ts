import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "redis";
import { isOperation, OPERATIONS, type Operation, scriptSteps } from "../../demo/explain/lua-steps.ts";
import { withConditions } from "../../demo/explain/costs.ts";
import { timeLeftOf } from "../../demo/page/session-view.ts";
import { DemoStore } from "../../demo/demo-store.ts";
import { CommandLog } from "../../demo/explain/command-log.ts";
import type { Condition } from "../../demo/explain/lua-call.ts";
import { createScriptView, lineOf } from "../../demo/explain/lua-page.ts";
import { RedisSessionStore, SESSION_SCRIPT } from "../../session-store.ts";
import { openServer } from "../redis-connection.ts";
import { newPrefix, NO_HURRY } from "../store-under-test.ts";

const { redis, host, port } = await openServer();
const monitor = await createClient({ socket: { host, port } })
  .on("error", () => {})
  .connect();
after(() => monitor.destroy());
const monitored: string[] = [];
await monitor.monitor((line) => monitored.push(line));

/** The commands that scripts ran while the action ran, each without its key: `PEXPIRE 15000`. */
async function commandsInside(action: () => Promise<unknown>): Promise<string[]> {
  await seen("start");
  monitored.length = 0;
  await action();
  await seen("end");
  return monitored
    .filter((line) => line.includes(" lua] "))
    .map((line) => {
      const [name = "", , ...args] = Array.from(line.matchAll(/"((?:[^"\\]|\\.)*)"/g), ([, word]) => word!);
      return [name, ...args].join(" ");
    });
}

/** Waits until MONITOR has shown everything so far. */
async function seen(what: string): Promise<void> {
  const marker = `${what} ${Math.random()}`;
  await redis.echo(marker);
  while (!monitored.some((line) => line.includes(marker))) await sleep(5);
}

function assertSame(commands: string[], steps: { command: string }[]) {
  const shown = steps.map(({ command }) => command);
  const message = `Redis ran ${commands.join(", ")}; the page shows ${shown.join(", ")}`;
  assert.equal(commands.length, shown.length, message);
  for (const [index, command] of commands.entries()) {
    const [name, ...rest] = shown[index]!.split("…").map((text) => text.trim());
    assert.ok(command.startsWith(name!) && command.endsWith(rest.at(-1) ?? ""), message);
  }
}

/** A store whose last run of each operation is kept, as for the page. */
function openStore({ absoluteTtl = 1000 } = {}) {
  const log = new CommandLog(redis);
  const store = new RedisSessionStore({ redis: log, prefix: newPrefix(), ttl: 100, absoluteTtl, ...NO_HURRY });
  return { log, store, key: (id: string) => store.keyOf(id) };
}

const run: Record<
  Exclude<Operation, "create" | "moveOut">,
  (store: RedisSessionStore, id: string) => Promise<unknown>
> = {
  read: (store, id) => store.getSession(id),
  peek: (store, id) => store.getSession(id, { refreshTtl: false }),
  increment: (store, id) => store.incrementField(id, "page_views"),
  update: (store, id) => store.updateSession(id, { username: "ada" }),
  setTtl: (store, id) => store.setSessionTtl(id, 100),
  delete: (store, id) => store.deleteSession(id),
};
const ALWAYS_RESET = new Set(["setTtl", "moveOut"]);
const NEVER_RESET = new Set(["peek", "delete"]);

describe("what the page says the script does is what Redis' MONITOR shows", () => {
  test("for create", async () => {
    const { log, store } = openStore();
    await store.createSession({ username: "ada" }); // EVAL, so that the next one is EVALSHA alone
    log.commands.length = 0;
    const commands = await commandsInside(() => store.createSession({ username: "ada" }));
    assertSame(commands, scriptSteps(log.commands.at(-1)!));
  });

  for (const [operation, action] of Object.entries(run)) {
    test(`for ${operation} of a session that was reset just now`, async () => {
      const { log, store } = openStore();
      const id = await store.createSession({ page_views: 1 });
      const key = store.keyOf(id);
      const commands = await commandsInside(async () => {
        await redis.multi().hSet(key, "last_accessed_at", "2001-02-03T04:05:06Z").expire(key, 100).exec();
        await action(store, id);
      });
      const conditions: Condition[] = ALWAYS_RESET.has(operation) ? ["reset"] : [];
      assertSame(commands, scriptSteps({ ...log.commands.at(-1)!, conditions }, 100));
    });

    test(`for ${operation} of a session that was last reset a while ago`, async () => {
      const { log, store } = openStore();
      const id = await store.createSession({ page_views: 1 });
      await redis
        .multi()
        .hSet(store.keyOf(id), "last_accessed_at", "2001-02-03T04:05:06Z")
        .expire(store.keyOf(id), 50)
        .exec();
      const commands = await commandsInside(() => action(store, id));
      const conditions: Condition[] = NEVER_RESET.has(operation) ? [] : ["reset"];
      assertSame(commands, scriptSteps({ ...log.commands.at(-1)!, conditions }, 100));
    });

    test(`for ${operation} of a session whose absolute timeout comes first`, async () => {
      const { log, store } = openStore();
      const id = await store.createSession({ page_views: 1 }, { absoluteTtl: 150 });
      const key = store.keyOf(id);
      const deadline = Math.ceil(Date.now() / 1000) + 80;
      await redis.hSet(key, { last_accessed_at: "2001-02-03T04:05:06Z", session_deadline: String(deadline) });
      await redis.expire(key, 50);
      const commands = await commandsInside(() => action(store, id));
      const conditions: Condition[] = NEVER_RESET.has(operation) ? [] : ["reset", "capped"];
      assertSame(commands, scriptSteps({ ...log.commands.at(-1)!, conditions }, 100));
    });

    test(`for ${operation} of a session that ends with its absolute timeout anyway, and was used this second`, async () => {
      const { log, store } = openStore();
      const id = await store.createSession({ page_views: 1 });
      const key = store.keyOf(id);
      const deadline = Math.ceil(Date.now() / 1000) + 80;
      await redis.hSet(key, { last_accessed_at: "9001-02-03T04:05:06Z", session_deadline: String(deadline) });
      await redis.expireAt(key, deadline);
      const commands = await commandsInside(() => action(store, id));
      const always: Condition[] = ALWAYS_RESET.has(operation) ? ["reset", "capped"] : [];
      const conditions: Condition[] = NEVER_RESET.has(operation) ? [] : ["same second", ...always];
      assertSame(commands, scriptSteps({ ...log.commands.at(-1)!, conditions }, 100));
    });

    test(`for ${operation} without such a session`, async () => {
      const { log, store } = openStore();
      const commands = await commandsInside(() => action(store, "A".repeat(43)));
      assertSame(commands, scriptSteps(log.commands.at(-1)!));
    });
  }

  test("for an update that removes a field", async () => {
    const { log, store } = openStore();
    const id = await store.createSession({ page_views: 1, theme: "dark" });
    const commands = await commandsInside(() => store.updateSession(id, { page_views: 2, theme: null }));
    assertSame(commands, scriptSteps({ ...log.commands.at(-1)!, conditions: ["removes"] }, 100));
  });

  test("for the two halves of a rotation", async () => {
    const { log, store } = openStore();
    const id = await store.createSession();
    await redis.hSet(store.keyOf(id), "last_accessed_at", "2001-02-03T04:05:06Z");
    log.commands.length = 0;
    const commands = await commandsInside(() => store.rotateSession(id));
    const steps = log.commands.flatMap((command) => scriptSteps({ ...command, conditions: ["reset"] }, 100));
    assertSame(commands, steps);
  });

  test("for each kind of read, from its reply alone", async () => {
    const { log, store } = openStore();
    const id = await store.createSession();
    const key = store.keyOf(id);
    const deadline = Math.ceil(Date.now() / 1000) + 80;
    const scenarios = [
      () => redis.expire(key, 50),
      () => redis.hSet(key, "last_accessed_at", "2001-02-03T04:05:06Z"),
      () => redis.multi().hSet(key, { last_accessed_at: "2001-02-03T04:05:06Z" }).expire(key, 50).exec(),
      () => redis.hSet(key, { session_deadline: String(deadline) }),
      () => redis.multi().hSet(key, { last_accessed_at: "2001-02-03T04:05:06Z" }).expire(key, 50).exec(),
      () => redis.multi().hSet(key, { last_accessed_at: "9001-02-03T04:05:06Z" }).expireAt(key, deadline).exec(),
      () => redis.multi().hSet(key, { last_accessed_at: "9001-02-03T04:05:06Z" }).expire(key, 50).exec(),
    ];
    for (const prepare of scenarios) {
      for (const refreshTtl of [true, false]) {
        await prepare();
        log.commands.length = 0;
        const commands = await commandsInside(() => store.getSession(id, { refreshTtl }));
        assertSame(commands, scriptSteps(log.commands.at(-1)!));
      }
    }
  });

  test("for an increment, from the time left after it alone", { timeout: 60_000 }, async () => {
    const log = new CommandLog(redis);
    const store = new DemoStore({ redis: log, prefix: newPrefix(), ttl: 100, absoluteTtl: 1000 });
    const id = await store.createSession({ page_views: 1 });
    const key = store.keyOf(id);
    for (const [ttlBefore, expected] of [
      [50_000, ["reset"]],
      [99_500, []],
    ] as const) {
      let shown;
      do {
        await redis.multi().hSet(key, "last_accessed_at", "2001-02-03T04:05:06Z").pExpire(key, ttlBefore).exec();
        log.commands.length = 0;
        const commands = await commandsInside(() => store.incrementField(id, "page_views"));
        const increment = log.commands[0]!;
        const session = await store.getSession(id, { refreshTtl: false });
        assert.ok(session);
        shown = withConditions(increment, timeLeftOf(session, await store.readClock(id)));
        if (shown.conditions !== null) assertSame(commands, scriptSteps(shown, 100));
      } while (String(shown.conditions) !== String(expected)); // if Redis or this process is slow, it is not known
    }
  });

  test("and it says nothing of a script that Redis had not cached", async () => {
    const { log, store } = openStore();
    await redis.scriptFlush();
    log.commands.length = 0;
    const commands = await commandsInside(() => store.createSession());
    const [refused, sent] = log.commands;
    assert.deepEqual(scriptSteps(refused!), []);
    assertSame(commands, scriptSteps(sent!));
  });
});

test("names every operation of the store", () => {
  assert.deepEqual(Object.keys(OPERATIONS).toSorted(), ["create", "moveOut", ...Object.keys(run)].toSorted());
  assert.ok(!isOperation("constructor"));
});

describe("the page that shows the script", () => {
  for (const operation of Object.keys(OPERATIONS)) {
    test(`marks the lines that hold the commands of ${operation}`, () => {
      const { lines, operations } = createScriptView(operation);
      const steps = scriptSteps({ operation, args: [], outcome: "done", conditions: null });
      const marked = lines
        .filter(({ isMarked }) => isMarked)
        .map(({ words }) => words.map(({ text }) => text).join(""));
      for (const { command } of steps) {
        const [name = ""] = command.split(" ");
        assert.ok(
          marked.some((line) => line.includes(`call("${name}"`)),
          `no marked line has ${name}`,
        );
      }
      const places = steps.map((step) => lineOf(step));
      assert.ok(!places.includes(-1));
      assert.equal(marked.length, new Set(places).size);
      assert.deepEqual(
        operations.filter(({ isChosen }) => isChosen).map(({ name }) => name),
        [operation],
      );
    });
  }

  test("shows the script as it is, and getSession where no operation is named", () => {
    const { lines, operations } = createScriptView(null);
    const text = lines.map(({ words }) => words.map((word) => word.text).join("")).join("\n");
    assert.equal(text, SESSION_SCRIPT.source.trim());
    assert.equal(operations.find(({ isChosen }) => isChosen)?.name, "read");
    assert.equal(createScriptView("__proto__").operations.find(({ isChosen }) => isChosen)?.name, "read");
  });
});

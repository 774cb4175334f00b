import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "redis";
import { CommandLog } from "../../demo/explain/command-log.ts";
import { createScriptView, placesOf } from "../../demo/explain/script-view.ts";
import { isOperation, OPERATIONS, type ScriptStep, stepsOf } from "../../demo/explain/script-steps.ts";
import { RedisSessionStore, SESSION_SCRIPT, type SessionOperation as Operation } from "../../session-store.ts";
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

/** Each command is one of the steps, in their order, and none is missing but those that run only if due. */
function assertExplained(commands: string[], steps: ScriptStep[]) {
  const left = [...commands];
  const missing = steps.filter(({ command, isIfDue }) => {
    const isRun = left[0] !== undefined && isShownAs(command, left[0]);
    if (isRun) left.shift();
    return !isRun && !isIfDue;
  });
  const shown = steps.map(({ command, isIfDue }) => (isIfDue ? `(${command})` : command)).join(", ");
  assert.deepEqual([left, missing], [[], []], `Redis ran ${commands.join(", ")}; the page shows ${shown}`);
}

function isShownAs(shown: string, command: string): boolean {
  const [start = "", ...rest] = shown.split("…").map((text) => text.trim());
  return command.startsWith(start) && command.endsWith(rest.at(-1) ?? "");
}

/** A store whose calls are logged, as for the page. */
function openStore() {
  const log = new CommandLog(redis);
  const store = new RedisSessionStore({ redis: log, prefix: newPrefix(), ttl: 100, absoluteTtl: 1000, ...NO_HURRY });
  return { log, store };
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
const SINCE = "2001-02-03T04:05:06Z";
/** Changes a session of 100 seconds before the operation, and tells which operations then refresh it. */
const scenarios: Record<string, { prepare: (key: string) => Promise<unknown>; refreshes: Operation[] }> = {
  "that was refreshed just now": {
    prepare: (key) => redis.multi().hSet(key, "last_accessed_at", SINCE).expire(key, 100).exec(),
    refreshes: ["setTtl"],
  },
  "that was last refreshed a while ago": {
    prepare: (key) => redis.multi().hSet(key, "last_accessed_at", SINCE).expire(key, 50).exec(),
    refreshes: ["read", "increment", "update", "setTtl"],
  },
  "whose absolute timeout comes first": {
    prepare: (key) =>
      redis
        .multi()
        .hSet(key, { last_accessed_at: SINCE, session_deadline: inSeconds(80) })
        .expire(key, 50)
        .exec(),
    refreshes: ["read", "increment", "update", "setTtl"],
  },
  "that ends with its absolute timeout anyway, and was used this second": {
    prepare(key) {
      const deadline = inSeconds(80);
      const fields = { last_accessed_at: "9001-02-03T04:05:06Z", session_deadline: deadline };
      return redis.multi().hSet(key, fields).expireAt(key, deadline).exec();
    },
    refreshes: ["setTtl"],
  },
};
const inSeconds = (seconds: number) => Math.ceil(Date.now() / 1000) + seconds;

describe("what the page says the script does is what Redis' MONITOR shows", () => {
  test("for create", async () => {
    const { log, store } = openStore();
    await store.createSession({ username: "ada" }); // EVAL, so that the next one is EVALSHA alone
    const commands = await commandsInside(() => store.createSession({ username: "ada" }));
    assertExplained(commands, stepsOf(log.commands.at(-1)!));
  });

  for (const [operation, action] of Object.entries(run) as [Operation, (typeof run)["read"]][]) {
    for (const [what, { prepare, refreshes }] of Object.entries(scenarios)) {
      test(`for ${operation} of a session ${what}`, async () => {
        const { log, store } = openStore();
        const id = await store.createSession({ page_views: 1 });
        const commands = await commandsInside(async () => {
          await prepare(store.keyOf(id));
          await action(store, id);
        });
        assertExplained(commands, stepsOf(log.commands.at(-1)!));
        const isRefreshed = commands.some((command) => command.startsWith("PEXPIRE "));
        assert.equal(isRefreshed, refreshes.includes(operation), commands.join(", "));
      });
    }

    test(`for ${operation} without such a session`, async () => {
      const { log, store } = openStore();
      const commands = await commandsInside(() => action(store, "A".repeat(43)));
      assertExplained(commands, stepsOf(log.commands.at(-1)!));
    });
  }

  test("for an update that removes a field", async () => {
    const { log, store } = openStore();
    const id = await store.createSession({ page_views: 1, theme: "dark" });
    const commands = await commandsInside(() => store.updateSession(id, { page_views: 2, theme: null }));
    assert.ok(commands.includes("HDEL theme"), commands.join(", "));
    assertExplained(commands, stepsOf(log.commands.at(-1)!));
  });

  test("for the two halves of a rotation", async () => {
    const { log, store } = openStore();
    const id = await store.createSession();
    log.commands.length = 0;
    const commands = await commandsInside(() => store.rotateSession(id));
    assertExplained(commands, log.commands.flatMap(stepsOf));
  });

  test("and it says nothing of a script that Redis had not cached", async () => {
    const { log, store } = openStore();
    await redis.scriptFlush();
    const commands = await commandsInside(() => store.createSession());
    const [refused, sent] = log.commands;
    assert.deepEqual(stepsOf(refused!), []);
    assertExplained(commands, stepsOf(sent!));
  });
});

test("names every operation of the store", () => {
  assert.deepEqual(Object.keys(OPERATIONS).toSorted(), ["create", "moveOut", ...Object.keys(run)].toSorted());
  assert.ok(!isOperation("constructor"));
});

describe("the page that shows the script", () => {
  for (const operation of Object.keys(OPERATIONS) as Operation[]) {
    test(`marks the lines that hold the commands of ${operation}`, () => {
      const { lines, operations } = createScriptView(operation);
      const steps = stepsOf({ operation, args: [], outcome: "done" });
      const marked = lines
        .filter(({ isMarked }) => isMarked)
        .map(({ words }) => words.map(({ text }) => text).join(""));
      for (const { command } of steps) {
        const [name = ""] = command.split(" ");
        assert.ok(
          marked.some((line) => line.includes(`("${name}"`)),
          `no marked line has ${name}`,
        );
      }
      const places = placesOf(steps);
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

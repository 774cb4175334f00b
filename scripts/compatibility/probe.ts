/** One client in a process of its own, in any runtime: takes a command on each line of its input, and replies with JSON. */
import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { headerJar, RequestSession, SessionCookie } from "../../session-cookie.ts";
import type { RedisScripting } from "../../session-store.ts";
import { UserSessions } from "../../user-sessions.ts";

const RACES = 300;
const [, , adapter, url] = process.argv as [string, string, string, string];
const { connect } = (await import(adapter)) as { connect: (url: string) => Promise<RedisScripting> };
const fields = { username: String, page_views: Number, admin: Boolean, cart: JSON };
const store = new UserSessions({ redis: await connect(url), fields });

const commands: Record<string, (id: string) => Promise<unknown>> = {
  operations,
  races,
  create: () => store.createSession({ page_views: 0 }),
  /** `failed` if the caller is told so. */
  increment: (id) => store.incrementField(id, "page_views").catch(failed),
};

/** A client may write to the output, too. */
const say = (reply: unknown) => process.stdout.write(`reply ${JSON.stringify(reply)}\n`);
say("ready");
for await (const line of createInterface({ input: process.stdin })) {
  const [number, name, id = ""] = line.split(" ") as [string, string, string?];
  void commands[name]!(id).then(
    (result) => say([Number(number), result]),
    (error: Error) => say([Number(number), `${error.name}: ${error.message}`]),
  );
}
process.exit();

async function operations(): Promise<string> {
  const id = await store.createSession({ username: "andrew", page_views: 0, admin: false, cart: ["apple"] });
  const counts = await Promise.all(Array.from({ length: 10 }, () => store.incrementField(id, "page_views")));
  assert.deepEqual(counts, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.equal(await store.updateSession(id, { username: "grace", cart: null }), true);
  assert.equal(await store.setSessionTtl(id, 600), true);
  assert.deepEqual([await store.getConfiguredTtl(id), typeof (await store.getTtl(id))], [600, "number"]);
  const newId = (await store.rotateSession(id, { admin: true }))!;
  assert.equal(await store.getSession(id), null);
  const { username, page_views, admin, cart } = (await store.getSession(newId))!;
  assert.deepEqual([username, page_views, admin, cart], ["grace", 10, true, undefined]);
  assert.equal(await store.deleteSession(newId), true);

  const jar = headerJar(undefined, () => {});
  const session = new RequestSession(store, new SessionCookie(), jar);
  await session.write({ cart: ["pear"] });
  await session.logIn({ username: "andrew" }, { user: "andrew", keep: ["cart"] });
  const other = await store.createSession({ username: "andrew" }, { user: "andrew" });
  assert.equal((await store.listSessions("andrew")).length, 2);
  assert.equal(await store.endSession("andrew", store.handleOf(other)), true);
  await store.createSession({ username: "andrew" }, { user: "andrew" });
  assert.equal(await store.endSessions("andrew", { except: session.id }), 1);
  await session.logOut();
  assert.deepEqual(await store.listSessions("andrew"), []);
  return "yes";
}

/** A log-out on one connection against two writes on another. Returns how many sessions came back. */
async function races(): Promise<number> {
  const other = new UserSessions({ redis: await connect(url), fields });
  let revived = 0;
  for (let round = 0; round < RACES; round++) {
    const id = await store.createSession({ page_views: 0 });
    const writes = [other.incrementField(id, "page_views"), other.updateSession(id, { username: "andrew" })];
    await Promise.all(round % 2 === 0 ? [store.deleteSession(id), ...writes] : [...writes, store.deleteSession(id)]);
    if ((await store.getTtl(id)) !== null) revived += 1;
  }
  return revived;
}

function failed(): string {
  return "failed";
}

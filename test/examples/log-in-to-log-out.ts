/**
 * Runs the operations of all three files to copy. For any runtime that takes TypeScript, for example:
 *
 *     REDIS_URL=redis://localhost:6379 bun test/examples/log-in-to-log-out.ts
 */
import assert from "node:assert/strict";
import { createClient } from "redis";
import { headerJar, RequestSession, SessionCookie } from "../../session-cookie.ts";
import { RedisSessionStore } from "../../session-store.ts";
import { UserSessions } from "../../user-sessions.ts";

const redis = createClient({ url: process.env["REDIS_URL"] ?? "redis://localhost:6379" });
await redis.connect();

const fields = { username: String, page_views: Number, admin: Boolean, cart: JSON };
const plain = new RedisSessionStore({ redis, fields, hashIds: true });
const id = await plain.createSession({ username: "andrew", page_views: 0, admin: false, cart: ["apple"] });
const counts = await Promise.all(Array.from({ length: 10 }, () => plain.incrementField(id, "page_views")));
assert.deepEqual(counts, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
const newId = await plain.rotateSession(id, { admin: true });
assert.equal(await plain.getSession(id), null);
const { username, page_views, admin, cart } = (await plain.getSession(newId ?? undefined)) ?? {};
assert.deepEqual([username, page_views, admin, cart], ["andrew", 10, true, ["apple"]]);
assert.equal(await plain.deleteSession(newId ?? undefined), true);

const store = new UserSessions({ redis, fields });
const setCookies: string[] = [];
const cookie = new SessionCookie();
const session = new RequestSession(
  store,
  cookie,
  headerJar(undefined, (setCookie) => setCookies.push(setCookie)),
);
await session.write({ cart: ["apple"] });
await session.logIn({ username: "andrew" }, { user: "andrew", keep: ["cart"] });
assert.deepEqual((await session.read())?.cart, ["apple"]);
assert.ok((await store.listSessions("andrew")).some(({ handle }) => handle === store.handleOf(session.id ?? "")));
await session.logOut();
assert.equal(await session.read(), null);
assert.equal(setCookies.length, 3);

redis.destroy();
await assert.rejects(store.getSession(id), { code: "REDIS_UNAVAILABLE" });
console.log("All operations did what they should.");

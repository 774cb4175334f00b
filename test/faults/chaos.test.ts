import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import * as fc from "fast-check";
import { Browser, type Reply } from "../browser.ts";
import { spawnServerWith } from "../demo-process.ts";
import { DURABLE, type SpawnedRedis, spawnRedis } from "../redis-process.ts";
import { BUSY_SECOND_MS, until } from "../wait.ts";

const SEED = Number(process.env["CHAOS_SEED"] ?? Date.now() % 1_000_000);
const DURATION_MS = process.env["FULL"] === "1" ? 60_000 : 6000;
const CLIENTS = 20;

interface Fault {
  kind: "kill" | "hang" | "pause" | "cut";
  ms: number;
  peace: number;
}

const faults = fc.sample<Fault>(
  fc.record({
    kind: fc.constantFrom("kill", "hang", "pause", "cut"),
    ms: fc.integer({ min: 0, max: 2000 }),
    peace: fc.integer({ min: 100, max: 800 }),
  }),
  { seed: SEED, numRuns: 1000 },
);

async function inflict({ kill, start, hang, resume, send }: SpawnedRedis, { kind, ms }: Fault): Promise<void> {
  if (kind === "cut") await send("CLIENT", "KILL", "TYPE", "normal");
  if (kind === "pause") await send("CLIENT", "PAUSE", String(ms), "ALL");
  if (kind === "kill") await kill();
  if (kind === "hang") hang();
  if (kind !== "cut") await sleep(ms);
  if (kind === "kill") await start();
  if (kind === "hang") resume();
}

type Operation = "login" | "session" | "increment" | "ttl" | "rotate" | "logout";

const operation = fc.oneof(
  { weight: 45, arbitrary: fc.constant<Operation>("increment") },
  { weight: 25, arbitrary: fc.constant<Operation>("session") },
  { weight: 12, arbitrary: fc.constant<Operation>("ttl") },
  { weight: 8, arbitrary: fc.constant<Operation>("rotate") },
  { weight: 5, arbitrary: fc.constant<Operation>("logout") },
  { weight: 5, arbitrary: fc.constant<Operation>("login") },
);
const step = fc.record({ operation, pause: fc.integer({ min: 0, max: 15 }), ttl: fc.integer({ min: 300, max: 900 }) });

/** What is known of a session. Its username is unique. */
class Known {
  readonly username: string;
  state: "alive" | "perhaps" | "dead" = "alive";
  /** Page views with a reply, and page views that were requested. */
  acknowledged = 1;
  attempted = 1;

  constructor(username: string) {
    this.username = username;
  }

  assertViews(views: number, smallest = this.acknowledged): void {
    const range = `${smallest} to ${this.attempted}`;
    assert.ok(views >= smallest && views <= this.attempted, `${this.username} has ${views} page views, not ${range}`);
  }
}

class Client {
  readonly sessions: Known[] = [];
  readonly wrong: string[] = [];
  readonly counts = new Map<number, number>();
  slowest = 0;
  readonly #browser: Browser;
  readonly #name: string;
  #current: Known | undefined;

  constructor(url: string, name: string) {
    this.#browser = new Browser(url);
    this.#name = name;
  }

  /** Sends requests until `stop` is aborted, and keeps a message for every reply that is not right. */
  async run(seed: number, stop: AbortSignal): Promise<void> {
    const steps = fc.sample(step, { seed, numRuns: 1000 });
    for (let i = 0; !stop.aborted; i++) {
      const { operation: next, pause, ttl } = steps[i % steps.length]!;
      try {
        await this.#do(this.#current ? next : "login", ttl);
      } catch (error) {
        this.wrong.push(`${this.#name}, ${next}: ${error instanceof Error ? error.message : String(error)}`);
      }
      await sleep(pause);
    }
  }

  async #do(what: Operation, ttl: number): Promise<void> {
    if (what === "login") return this.#logIn();
    const session = this.#current!;
    const before = this.#browser.sessionId;
    if (what === "increment") session.attempted += 1;
    const isLooking = what === "session";
    const reply = await this.#timed(() =>
      isLooking ? this.#browser.get("/session") : this.#browser.post(`/${what}`, { ttl: String(ttl) }),
    );
    const isUnavailable = this.#isUnavailable(reply);
    if (isUnavailable && (what === "rotate" || what === "logout") && session.state === "alive")
      session.state = "perhaps";
    if (isUnavailable) return;
    if (what === "logout") {
      assert.deepEqual([reply.status, reply.json], [200, { authenticated: false }]);
      // A rotation that got 503 may have left the session under an ID that nobody knows, out of reach of a log-out.
      if (session.state === "alive") session.state = "dead";
      this.#current = undefined;
      return;
    }
    if (reply.json.authenticated !== true) {
      assert.equal(reply.status, isLooking ? 200 : 401, reply.text);
      assert.deepEqual(reply.setCookies, []);
      this.#current = undefined;
      assert.equal(session.state, "perhaps", `${session.username} is lost`);
      return;
    }
    assert.equal(reply.status, 200);
    assert.equal(reply.json.session_id, this.#browser.sessionId);
    assert.equal(before === this.#browser.sessionId, what !== "rotate");
    assert.equal(reply.json.session?.["username"], session.username);
    if (what === "ttl") assert.equal(reply.json.configured_ttl, ttl);
    const views = Number(reply.json.session?.["page_views"]);
    if (what === "increment") assert.equal(reply.json.page_views, views);
    session.assertViews(views, session.acknowledged + (what === "increment" ? 1 : 0));
    session.acknowledged = views;
  }

  async #logIn(): Promise<void> {
    const session = new Known(`${this.#name}-${this.sessions.length}`);
    const previous = this.#current;
    this.sessions.push(session);
    const reply = await this.#timed(() => this.#browser.post("/login", { username: session.username, ttl: "600" }));
    if (this.#isUnavailable(reply)) {
      session.state = "perhaps";
      if (previous?.state === "alive") previous.state = "perhaps";
      return;
    }
    assert.equal(reply.status, 200, reply.text);
    assert.equal(reply.json.session?.["username"], session.username);
    assert.equal(reply.json.session_id, this.#browser.sessionId);
    if (previous?.state === "alive") previous.state = "dead";
    this.#current = session;
  }

  #isUnavailable({ status, headers, setCookies }: Reply): boolean {
    this.counts.set(status, (this.counts.get(status) ?? 0) + 1);
    if (status !== 503) return false;
    assert.match(headers.get("retry-after") ?? "", /^[1-9]\d*$/);
    assert.deepEqual(setCookies, []);
    return true;
  }

  async #timed(action: () => Promise<Reply>): Promise<Reply> {
    const start = performance.now();
    try {
      return await action();
    } finally {
      this.slowest = Math.max(this.slowest, performance.now() - start);
    }
  }
}

test(
  "whatever happens to Redis, every reply is right or 503, and no page view with a reply is lost",
  { timeout: 900_000 },
  async (t) => {
    t.diagnostic(`seed ${SEED}: repeat it with CHAOS_SEED=${SEED}`);
    const redis = await spawnRedis(t, DURABLE);
    const { server, url, browser } = await spawnServerWith(t, redis);
    const clients = Array.from({ length: CLIENTS }, (_, i) => new Client(url, `client-${i}`));
    const stopping = new AbortController();
    t.after(() => stopping.abort());
    const traffic = Promise.all(clients.map((client, i) => client.run(SEED + i, stopping.signal)));

    const end = Date.now() + DURATION_MS;
    const inflicted: Fault[] = [];
    const recoveries: number[] = [];
    for (const fault of faults) {
      if (Date.now() > end) break;
      await inflict(redis, fault);
      inflicted.push(fault);
      const start = performance.now();
      assert.ok(await until(async () => (await browser.get("/healthz")).status === 200));
      recoveries.push(performance.now() - start);
      await sleep(fault.peace);
    }
    stopping.abort();
    await traffic;

    const sessions = clients.flatMap((client) => client.sessions);
    const kept = await sessionsIn(redis);
    const lost = sessions.filter(
      ({ username, state, acknowledged }) => state === "alive" && !(kept.get(username)! >= acknowledged),
    );
    const count = (status: number) => clients.reduce((sum, { counts }) => sum + (counts.get(status) ?? 0), 0);
    const [slowest, slowestRecovery] = [Math.max(...clients.map((client) => client.slowest)), Math.max(...recoveries)];
    const kinds = ["kill", "hang", "pause", "cut"].map((kind) => [
      kind,
      inflicted.filter((fault) => fault.kind === kind).length,
    ]);
    t.diagnostic(
      `${count(200) + count(401) + count(503)} requests, ${sessions.length} sessions, ` +
        `${inflicted.length} faults (${kinds.map((pair) => pair.join(" ")).join(", ")}), ${count(503)} × 503, ` +
        `slowest reply ${slowest.toFixed()} ms, slowest recovery ${slowestRecovery.toFixed()} ms, lost ${lost.length}`,
    );

    await t.test("every reply is right, or 503 with the cookie left alone", () => {
      assert.deepEqual(
        clients.flatMap((client) => client.wrong),
        [],
      );
    });

    await t.test("Redis has every page view with a reply, and none without a request", () => {
      assert.deepEqual(lost, []);
      for (const session of sessions) {
        const views = kept.get(session.username);
        if (views !== undefined) session.assertViews(views);
      }
    });

    await t.test("no session that was ended comes back", () => {
      assert.deepEqual(
        sessions.filter(({ username, state }) => state === "dead" && kept.has(username)),
        [],
      );
    });

    await t.test("the server is healthy again soon after every fault", () => {
      assert.ok(slowestRecovery < BUSY_SECOND_MS, `${slowestRecovery} ms`);
    });

    await t.test("no request waits long for its reply", () => {
      assert.ok(slowest < BUSY_SECOND_MS, `${slowest} ms`);
    });

    await t.test("the log shows no session ID, and the server exits with 0", async () => {
      const { code, stderr } = await server.stop("SIGTERM");
      assert.equal(code, 0);
      assert.match(stderr, /^(Redis is (unavailable: .+|back)\n)*$/);
      assert.doesNotMatch(stderr, /[\w-]{43}/);
    });
  },
);

/**
 * Page views by username. Two sessions with the same username mean that one came back or was doubled. A session without a
 * username is that of a health check.
 */
async function sessionsIn(redis: SpawnedRedis): Promise<Map<string, number>> {
  const script = `local found = {}
    for _, key in ipairs(redis.call("KEYS", "session:" .. string.rep("?", 43))) do
      local username, page_views = unpack(redis.call("HMGET", key, "username", "page_views"))
      if username then found[#found + 1] = username .. " " .. page_views end
    end
    return found`;
  const found = (await redis.send("EVAL", script, "0")) as string[];
  const sessions = new Map(found.map((line) => line.split(" ")).map(([username, views]) => [username!, Number(views)]));
  assert.equal(sessions.size, found.length, found.join("\n"));
  return sessions;
}

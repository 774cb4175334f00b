import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Browser, type Reply } from "../browser.ts";
import { BUSY_SECOND_MS, until } from "../wait.ts";

export const WORKERS = 10;
export const PAUSE_MS = 5;

/** A session that nobody else uses, and what is known of it. */
export class Visitor {
  readonly username: string;
  readonly browser: Browser;
  /** Page views that Redis certainly has, and page views that were requested. */
  kept = 1;
  tried = 1;

  constructor(url: string, username: string) {
    this.username = username;
    this.browser = new Browser(url);
  }

  get key(): string {
    return `session:${this.browser.sessionId}`;
  }

  async logIn(): Promise<void> {
    const { status, text } = await this.browser.post("/login", { username: this.username, ttl: "3600" });
    assert.equal(status, 200, text);
  }

  async assertThere(browser = this.browser): Promise<number> {
    return this.#assertMine(await browser.get("/session?refresh=false"), this.kept);
  }

  async read(isLossy: boolean): Promise<number> {
    return this.#judge(await this.browser.get("/session"), this.kept, isLossy);
  }

  async count(isLossy: boolean): Promise<number> {
    this.tried += 1;
    return this.#judge(await this.browser.post("/increment"), this.kept + (isLossy ? 0 : 1), isLossy);
  }

  #judge(reply: Reply, smallest: number, isLossy: boolean): number {
    if (reply.status === 503) {
      assert.match(reply.headers.get("retry-after") ?? "", /^[1-9]\d*$/);
      assert.deepEqual(reply.setCookies, []);
      return 503;
    }
    const views = this.#assertMine(reply, smallest);
    if (!isLossy) this.kept = views;
    return reply.status;
  }

  #assertMine({ status, json, setCookies, text }: Reply, smallest: number): number {
    assert.equal(status, 200, text);
    assert.deepEqual(setCookies, []);
    assert.equal(json.session_id, this.browser.sessionId, text);
    assert.equal(json.session?.["username"], this.username);
    const views = Number(json.session["page_views"]);
    assert.ok(views >= smallest && views <= this.tried, `${views} page views, not ${smallest} to ${this.tried}`);
    assert.equal(json.page_views ?? views, views);
    return views;
  }
}

/** Creates this many visitors, each with a session. */
export async function logIn(url: string, count: number): Promise<Visitor[]> {
  const visitors = Array.from({ length: count }, (_, i) => new Visitor(url, `visitor-${i}`));
  for (let i = 0; i < count; i += WORKERS) {
    await Promise.all(visitors.slice(i, i + WORKERS).map((visitor) => visitor.logIn()));
  }
  return visitors;
}

/** Increments and reads all of the sessions until stop() is called. */
export class Traffic {
  readonly wrong: string[] = [];
  readonly statuses = new Map<number, number>();
  slowest = 0;
  /** Page views that were counted. */
  counted = 0;
  /** Set before a master is lost: from then on a page view may be lost, if no replica has it yet. */
  isLossy = false;
  readonly #stopping = new AbortController();
  readonly #workers: Promise<unknown>;

  constructor(t: TestContext, visitors: Visitor[]) {
    t.after(() => this.#stopping.abort());
    const shares = Array.from({ length: WORKERS }, (_, i) => visitors.filter((_visitor, j) => j % WORKERS === i));
    this.#workers = Promise.all(shares.map((share) => this.#work(share)));
  }

  /** Waits until this many more page views are counted. */
  async goesOn(pageViews = 500): Promise<void> {
    const enough = this.counted + pageViews;
    assert.ok(await until(() => this.counted >= enough), "The traffic has come to a halt");
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#workers;
  }

  async #work(visitors: Visitor[]): Promise<void> {
    for (let i = 0; !this.#stopping.signal.aborted; i++) {
      const visitor = visitors[i % visitors.length]!;
      const isCounting = i % 3 > 0;
      const start = performance.now();
      try {
        const status = await (isCounting ? visitor.count(this.isLossy) : visitor.read(this.isLossy));
        this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
        if (isCounting && status === 200) this.counted += 1;
      } catch (error) {
        this.wrong.push(String(error));
      }
      this.slowest = Math.max(this.slowest, performance.now() - start);
      await sleep(PAUSE_MS);
    }
  }

  assertRight(t: TestContext): void {
    const counts = Array.from(this.statuses, ([status, count]) => `${count} × ${status}`).join(", ");
    t.diagnostic(`${counts}; slowest reply ${this.slowest.toFixed()} ms`);
    assert.deepEqual(this.wrong, []);
    assert.ok(this.slowest < BUSY_SECOND_MS, `${this.slowest} ms`);
  }

  get refused(): number {
    return this.statuses.get(503) ?? 0;
  }
}

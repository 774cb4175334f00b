/** What is measured: a store in a process of its own, or an application over HTTP. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { Browser } from "../../test/browser.ts";
import { killAtExit } from "../../test/child-process.ts";

const RACES = 300;
const START_LIMIT_MS = 60_000;

export interface Subject {
  /** `yes`, or what went wrong. */
  operations(): Promise<string>;
  /** How many of 300 sessions came back after their log-out. */
  races(): Promise<number>;
  /** Creates a session and returns its ID. */
  create(): Promise<string>;
  /** Adds 1 to `field` of that session. Resolves to `failed` if the caller was told so. */
  increment(id: string): Promise<unknown>;
  readonly field: string;
  end(): void;
}

/** Resolves with the first line of its output that matches; rejects if it ends before, with the last line of its errors. */
async function start(command: string[], environment: Record<string, string>, isReady: RegExp): Promise<ChildProcess> {
  const [program, ...args] = command as [string, ...string[]];
  const env = { ...process.env, ...environment };
  const child = killAtExit(spawn(program, args, { env, stdio: ["pipe", "pipe", "pipe"] }));
  let errors = "";
  child.stderr.on("data", (data) => (errors += String(data)));
  const timer = setTimeout(() => child.kill("SIGKILL"), START_LIMIT_MS);
  const ended = once(child, "close").then(() => {
    const [reason = "it ends"] = /^\w*Error.*$/m.exec(errors) ?? [];
    throw new Error(reason);
  });
  ended.catch(() => {}); // when it ends later, nobody waits for it
  const ready = new Promise<void>((resolve) => {
    child.stdout.on("data", (data) => isReady.test(String(data)) && resolve());
  });
  await Promise.race([ready, ended]).finally(() => clearTimeout(timer));
  return child;
}

/** The store, driven by probe.ts. */
export async function openStore(command: string[]): Promise<Subject> {
  const child = await start(command, {}, /"ready"/);
  const waiting = new Map<number, (result: unknown) => void>();
  let asked = 0;
  createInterface(child.stdout!).on("line", (line) => {
    if (!line.startsWith("reply [")) return;
    const [number, result] = JSON.parse(line.slice("reply ".length)) as [number, unknown];
    waiting.get(number)?.(result);
  });
  const ask = (name: string, id = "") =>
    new Promise<unknown>((resolve) => {
      asked += 1;
      waiting.set(asked, resolve);
      child.stdin!.write(`${asked} ${name} ${id}\n`);
    });
  return {
    operations: async () => String(await ask("operations")),
    races: async () => Number(await ask("races")),
    create: async () => String(await ask("create")),
    increment: (id) => ask("increment", id),
    field: "page_views",
    end: () => void child.kill("SIGKILL"),
  };
}

/** One of the examples. */
export async function openApplication(file: string, port: number, redisUrl: string): Promise<Subject> {
  const environment = { PORT: String(port), REDIS_URL: redisUrl };
  const child = await start([process.execPath, "--import", "tsx", file], environment, /^Listening/m);
  const url = `http://127.0.0.1:${port}`;
  const logIn = async () => {
    const browser = new Browser(url);
    const { status } = await browser.post("/login", { username: "andrew", password: "secret" });
    return status === 200 ? browser : undefined;
  };
  const increment = async (id: string) => {
    const { status } = await new Browser(url, id).post("/cart");
    return status === 503 ? "failed" : status;
  };
  return {
    async operations() {
      const browser = (await logIn()) ?? new Browser(url);
      const { status, text } = await browser.get("/account");
      const other = await logIn();
      const ended = await browser.post("/sessions/end-others");
      const { status: ofOther } = await (other ?? browser).get("/account");
      await browser.post("/logout");
      const { status: afterLogOut } = await browser.get("/account");
      const seen = [status, JSON.parse(text).page_views, ended.status, ofOther, afterLogOut].join();
      return seen === "200,1,200,401,401" ? "yes" : `no: ${seen}`;
    },
    async races() {
      let revived = 0;
      for (let round = 0; round < RACES; round++) {
        const browser = (await logIn())!;
        const id = browser.sessionId;
        const requests = [increment(id), browser.post("/logout"), increment(id)];
        await Promise.all(round % 2 === 0 ? requests : requests.toReversed());
        if ((await new Browser(url, id).get("/account")).status === 200) revived += 1;
      }
      return revived;
    },
    async create() {
      return (await logIn())?.sessionId ?? "";
    },
    increment,
    field: "cart_items",
    end: () => void child.kill("SIGKILL"),
  };
}

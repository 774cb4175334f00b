/** What is measured: a store in a process of its own, or an application over HTTP. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { Browser, type RequestOptions } from "../../test/browser.ts";
import { killAtExit } from "../../test/child-process.ts";
import { NextBrowser, readPage } from "../../test/scale/next-browser.ts";

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

type Action = "cart" | "login" | "logout" | "sessions/end-others";

/** An example over HTTP. */
interface Application {
  newBrowser: (sessionId?: string) => Browser;
  /** Resolves to the status, 200 if it was done and 503 if the user is told that it failed. */
  perform: (browser: Browser, action: Action) => Promise<number>;
  isLoggedIn: (browser: Browser) => Promise<boolean>;
}

const USER = { username: "andrew", password: "secret" };

function ofRoutes(url: string): Application {
  return {
    newBrowser: (sessionId) => new Browser(url, sessionId),
    perform: async (browser, action) => (await browser.post(`/${action}`, action === "login" ? USER : {})).status,
    isLoggedIn: async (browser) => (await browser.get("/account")).status === 200,
  };
}

/** Next has a page of forms. What a form sends is the same for each session, so they are filled in once. */
async function ofForms(url: string): Promise<Application> {
  const filler = new NextBrowser(url);
  const forms: Partial<Record<Action, RequestOptions>> = {};
  forms.cart = await filler.fillIn("Add an item");
  forms.login = await filler.fillIn("Log in", USER);
  await filler.send("/", forms.login);
  forms["sessions/end-others"] = await filler.fillIn("End all other sessions");
  forms.logout = await filler.fillIn("Log out");
  await filler.send("/", forms.logout);
  return {
    newBrowser(sessionId) {
      const browser = new NextBrowser(url);
      if (sessionId !== undefined) browser.cookies.set("__Host-sid", sessionId);
      return browser;
    },
    async perform(browser, action) {
      const { status, text } = await browser.send("/", forms[action]);
      if (status === 303) return 200; // to the page that shows what was done
      return status === 500 || text.includes("Try again shortly.") ? 503 : status;
    },
    isLoggedIn: async (browser) => readPage(await browser.get("/")).username !== undefined,
  };
}

/** One of the examples. */
export async function openApplication(name: string, port: number, redisUrl: string): Promise<Subject> {
  const isNext = name === "next";
  const environment = { PORT: String(port), REDIS_URL: redisUrl };
  const next = ["examples/next/node_modules/next/dist/bin/next", "start", "examples/next", "--hostname", "127.0.0.1"];
  const args = isNext ? next : ["--import", "tsx", `examples/${name}.ts`];
  const child = await start([process.execPath, ...args], environment, isNext ? /Ready in/ : /^Listening/m);
  const url = `http://127.0.0.1:${port}`;
  const { newBrowser, perform, isLoggedIn } = isNext ? await ofForms(url) : ofRoutes(url);
  const logIn = async () => {
    const browser = newBrowser();
    await perform(browser, "login");
    return browser;
  };
  const increment = async (id: string) => {
    const status = await perform(newBrowser(id), "cart");
    return status === 503 ? "failed" : status;
  };
  return {
    async operations() {
      const [browser, other] = [await logIn(), await logIn()];
      const before = await isLoggedIn(browser);
      const ended = await perform(browser, "sessions/end-others");
      const [kept, ofOther] = [await isLoggedIn(browser), await isLoggedIn(other)];
      await perform(browser, "logout");
      const seen = [before, ended, kept, ofOther, await isLoggedIn(browser)].join();
      return seen === "true,200,true,false,false" ? "yes" : `no: ${seen}`;
    },
    async races() {
      let revived = 0;
      for (let round = 0; round < RACES; round++) {
        const browser = await logIn();
        const id = browser.sessionId;
        const requests = [() => increment(id), () => perform(browser, "logout"), () => increment(id)];
        await Promise.all((round % 2 === 0 ? requests : requests.toReversed()).map((send) => send()));
        if (await isLoggedIn(newBrowser(id))) revived += 1;
      }
      return revived;
    },
    create: async () => (await logIn()).sessionId,
    increment,
    field: "cart_items",
    end: () => void child.kill("SIGKILL"),
  };
}

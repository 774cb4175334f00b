/**
 * The package as others use it: installed from its tarball in a new project, with packages from npm, in JavaScript and in
 * TypeScript, on several runtimes.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { Browser } from "../browser.ts";
import { killAtExit } from "../child-process.ts";
import { spawnRedis } from "../redis-process.ts";
import { reservedPort } from "../reserved-port.ts";
import { NextBrowser, spawnNext } from "./next-browser.ts";

const run = promisify(execFile);
const NODES = ["20.19.6", "22.23.3", "24.21.0", "26.10.0"];
const TARBALL = "redis-session-store-1.0.0.tgz";

const folder = await mkdtemp(join(tmpdir(), "test-installed-"));
after(() => rm(folder, { recursive: true }));
const redis = await spawnRedis({ after });
const REDIS_URL = `redis://127.0.0.1:${redis.port}`;

await run(process.execPath, ["scripts/package.mjs", folder]);
const readme = await readFile("scripts/package-readme.md", "utf8");
const [program] = blocksOf("js") as [string];

function blocksOf(language: string): string[] {
  return Array.from(readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)).flatMap(([, name, code]) =>
    name === language ? [code!] : [],
  );
}

/** A new folder with these packages and the tarball. */
async function newProject(...packages: string[]): Promise<string> {
  const project = await mkdtemp(join(folder, "project-"));
  await cp(join(folder, TARBALL), join(project, TARBALL));
  await run("npm", ["init", "-y"], { cwd: project });
  await install(project, `./${TARBALL}`, ...packages);
  return project;
}

const install = (project: string, ...packages: string[]) =>
  run("npm", ["install", "--no-audit", "--no-fund", "--prefer-offline", ...packages], { cwd: project });

/** Starts a server, drives it from log-in to log-out, and ends it. */
async function drive(project: string, command: string[], password = "secret"): Promise<void> {
  const port = String(await reservedPort());
  const env = { PATH: process.env["PATH"], HOME: process.env["HOME"], PORT: port, REDIS_URL };
  const [file, ...args] = command as [string, ...string[]];
  const child: ChildProcess = killAtExit(
    spawn(file, args, { cwd: project, env, stdio: ["ignore", "pipe", "inherit"] }),
  );
  try {
    const ended = once(child, "exit").then(([code]) => assert.fail(`It ended with ${code}`));
    ended.catch(() => {});
    await Promise.race([once(child.stdout!, "data"), ended]);
    const browser = new Browser(`http://127.0.0.1:${port}`);
    assert.equal((await browser.get("/account")).status, 401);
    assert.equal((await browser.post("/login", { username: "andrew", password })).text, '{"username":"andrew"}');
    for (const views of [1, 2])
      assert.equal((await browser.get("/account")).text, `{"username":"andrew","page_views":${views}}`);
    const stolen = new Browser(`http://127.0.0.1:${port}`, browser.sessionId);
    assert.equal((await browser.post("/logout")).text, '{"username":null}');
    assert.equal((await stolen.get("/account")).status, 401);
  } finally {
    child.kill("SIGKILL");
  }
}

describe("a project in JavaScript", async () => {
  let project: string;
  before(async () => {
    project = await newProject("redis@6.3.1", "express@5.3.0", ...NODES.map((version) => nodeAlias(version)));
    await writeFile(join(project, "server.mjs"), program);
  });

  test("the program of its README runs from log-in to log-out, on each Node", async () => {
    for (const version of NODES) await drive(project, [nodePath(project, version), "server.mjs"]);
  });

  test("CommonJS loads every entry with require, on each Node", async () => {
    const names = ["", "/user-sessions", "/session-cookie", "/session-watch", "/redis-connection"];
    const code = names.map((name) => `require("redis-session-store${name}")`).join("; ");
    for (const version of NODES) {
      const { stderr } = await run(nodePath(project, version), ["--eval", code], { cwd: project });
      assert.doesNotMatch(stderr, /Error/);
    }
  });

  test("the lines of the project's README make an application with CommonJS and Express 4, on each Node", async () => {
    const lines = /^npm run package(.*?)^node server.cjs$/ms.exec(await readFile("README.md", "utf8"))![1]!;
    const application = join(folder, "my-app");
    const commands = lines.replaceAll("../my-app", application).replace(TARBALL, join(folder, TARBALL));
    await run("bash", ["-ec", `true ${commands}`]);
    for (const version of NODES) await drive(application, [nodePath(project, version), "server.cjs"]);
  });

  test("Bun and Deno run the operations of every file", async () => {
    await install(project, "bun@1.4.5", "deno@2.9.6");
    const source = await readFile("test/examples/log-in-to-log-out.ts", "utf8");
    const code = source
      .replaceAll(/"..\/..\/session-store.ts"/g, '"redis-session-store"')
      .replaceAll(/"..\/..\/([\w-]+).ts"/g, '"redis-session-store/$1"');
    await writeFile(join(project, "operations.ts"), code);
    const env = { PATH: process.env["PATH"], HOME: process.env["HOME"], REDIS_URL };
    const programs = [
      ["node_modules/.bin/bun", "operations.ts"],
      ["node_modules/.bin/deno", "run", "--quiet", "--node-modules-dir=manual", "--allow-all", "operations.ts"],
    ];
    for (const [file, ...args] of programs as [string, ...string[]][]) {
      const { stdout } = await run(resolve(project, file), args, { cwd: project, env });
      assert.match(stdout, /All operations did what they should\./);
    }
  });
});

const nodeAlias = (version: string) => `node-${version.split(".")[0]}@npm:node@${version}`;
const nodePath = (project: string, version: string) =>
  join(project, `node_modules/node-${version.split(".")[0]}/bin/node`);

describe("a project in TypeScript", async () => {
  const IMPORTS = `
    import { RedisSessionStore } from "redis-session-store";
    import { UserSessions } from "redis-session-store/user-sessions";
    import { connectRedis } from "redis-session-store/redis-connection";
    import { ExpressSessionStore } from "redis-session-store/express-session";
    import { SessionWatch } from "redis-session-store/session-watch";
    import { SessionCookie } from "redis-session-store/session-cookie";
    export async function main(): Promise<number | undefined> {
      const redis = await connectRedis("redis://localhost:6379");
      const store = new UserSessions({ redis, fields: { views: Number } });
      new RedisSessionStore({ redis });
      new ExpressSessionStore({ redis });
      new SessionWatch(store);
      new SessionCookie();
      return (await store.getSession("id"))?.views;
    }`;
  const COMPILERS = ["typescript-5", "typescript-7"];
  const types = ["@types/node@20.19.43", "@types/express@5.0.6", "@types/express-session@1.19.0"];
  let project: string;
  before(async () => {
    const compilers = ["typescript-5@npm:typescript@5.8.3", "typescript-7@npm:typescript@7.0.2"];
    project = await newProject("redis@6.3.1", "express@5.3.0", "express-session@1.19.0", ...types, ...compilers);
    const [typed] = /const handleError: .* =/.exec(readme) as unknown as [string];
    await writeFile(join(project, "server.mts"), program.replace("const handleError =", typed));
    for (const name of ["module.mts", "common.cts"]) await writeFile(join(project, name), IMPORTS);
  });

  /** Returns what it prints, which is nothing if all is well. */
  async function compile(compiler: string, files: string[], ...options: string[]): Promise<string> {
    const tsc = join(project, "node_modules", compiler, "bin/tsc");
    const args = [tsc, "--strict", "--target", "es2022", "--types", "node", ...options, ...files];
    return run(process.execPath, args, { cwd: project }).then(
      ({ stdout }) => stdout,
      ({ stdout }: { stdout: string }) => stdout,
    );
  }

  for (const compiler of COMPILERS) {
    test(`${compiler} compiles the program of its README, which then runs`, async () => {
      assert.equal(await compile(compiler, ["server.mts"], "--module", "nodenext"), "");
      await drive(project, [process.execPath, "server.mjs"]);
    });

    test(`${compiler} finds the types of every entry with nodenext and bundler`, async () => {
      const files = ["module.mts", "common.cts"];
      assert.equal(await compile(compiler, files, "--noEmit", "--module", "nodenext"), "");
      const bundler = ["--noEmit", "--module", "preserve", "--moduleResolution", "bundler"];
      assert.equal(await compile(compiler, files, ...bundler), "");
    });

    test(`${compiler} refuses what the README says that it does not find`, async () => {
      assert.match(await compile(compiler, ["common.cts"], "--noEmit", "--module", "node16"), /TS1479/);
      const node10 = ["--noEmit", "--module", "commonjs", "--moduleResolution", "node10", "--skipLibCheck"];
      assert.match(await compile(compiler, ["common.cts"], ...node10), /TS2307|node10' has been removed/);
    });
  }
});

test("Next 16 builds its example with the package in place of the copied files, and runs it", async (t) => {
  const project = join(folder, "next");
  await cp("examples/next", project, { recursive: true, filter: (path) => !/node_modules|\.next/.test(path) });
  await replaceIn(join(project, "session.ts"), /"..\/..\/([\w-]+)(\/index)?.ts"/g, '"redis-session-store/$1"');
  await replaceIn(join(project, "next.config.ts"), '"../.."', '"."'); // it needs no file outside its folder any more
  await install(project, join(folder, TARBALL));
  await run("npm", ["run", "build"], { cwd: project });
  const browser = new NextBrowser(await spawnNext(t, project, redis));
  await browser.submit("Add an item");
  const { username, cartItems, devices } = await browser.submit("Log in", { username: "andrew", password: "secret" });
  assert.deepEqual([username, cartItems, devices.length], ["andrew", 1, 1]);
  assert.equal((await browser.submit("Log out")).username, undefined);
  assert.equal(browser.cookies.size, 0);
});

async function replaceIn(file: string, from: RegExp | string, to: string): Promise<void> {
  const text = await readFile(file, "utf8");
  const changed = text.replaceAll(from, to);
  assert.notEqual(changed, text);
  await writeFile(file, changed);
}

describe("the package itself", () => {
  test("installs nothing but its peer redis", async () => {
    const project = await newProject("redis@6.3.1");
    const { stdout } = await run("npm", ["ls", "--json"], { cwd: project });
    assert.deepEqual(Object.keys(JSON.parse(stdout).dependencies).toSorted(), ["redis", "redis-session-store"]);
    const { stdout: all } = await run("npm", ["ls", "--all", "--parseable"], { cwd: project });
    const others = all.split("\n").filter((path) => /node_modules/.test(path) && !/node_modules\/(@?redis)/.test(path));
    assert.deepEqual(others, []);
  });

  test("without its peer, the error of Node names it", async () => {
    const project = await mkdtemp(join(folder, "project-"));
    await run("npm", ["init", "-y"], { cwd: project });
    await install(project, "--legacy-peer-deps", join(folder, TARBALL));
    const code = 'import("redis-session-store/redis-connection")';
    await assert.rejects(run(process.execPath, ["--eval", code], { cwd: project }), /Cannot find package 'redis'/);
  });

  test("publint and @arethetypeswrong/cli find nothing wrong", async () => {
    const project = await mkdtemp(join(folder, "project-"));
    await run("npm", ["init", "-y"], { cwd: project });
    await install(project, "publint@0.3.25", "@arethetypeswrong/cli@0.18.5");
    const tarball = join(folder, TARBALL);
    await run("npx", ["publint", "--strict", tarball], { cwd: project });
    await run("npx", ["attw", tarball, "--profile", "esm-only"], { cwd: project });
  });
});

/**
 * Tries the store with servers, clients, runtimes and frameworks, and writes what it saw to `docs/compatibility.md`:
 *
 *     npm run compatibility                                   the server that is on the PATH
 *     npm run compatibility -- ./redis-server ./valkey-server more servers, by their paths; several of a kind may be named
 *     npm run compatibility -- --only ioredis                 prints the rows whose name contains this, and writes nothing
 *
 * All but the servers comes from npm, at the versions of package-lock.json.
 */
import { execFileSync, execSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createClient } from "redis";
import { findProgram } from "../../demo/process/find-program.mjs";
import { killAtExit } from "../../test/child-process.ts";
import { reservedPort } from "../../test/reserved-port.ts";
import { until } from "../../test/wait.ts";
import { type Cells, writeDocument } from "./document.ts";
import { Proxy } from "./proxy.ts";
import { aServer, clients, defaults, frameworks, type Row, runtimes } from "./rows.ts";
import { openApplication, openStore, type Subject } from "./subjects.ts";

const AT_ONCE = 2; // rows that are measured at the same time
const SILENCE_LIMIT_MS = 5000;
const TRIES = 3; // on a busy machine
const LOAD_MS = 100; // from one operation to the next while the connection is silent
const DOWN_WRITES = 3; // while there is no connection; a client notices that after the first
const DOWN_MS = 500;
const SETTLE_MS = 500; // for what a client still has to send
const START_LIMIT_MS = 10_000;
const BACK_LIMIT_MS = 30_000;

const here = fileURLToPath(new URL(".", import.meta.url));
const root = resolve(here, "../..");
const build = join(here, ".build");

const { values, positionals } = parseArgs({ allowPositionals: true, options: { only: { type: "string" } } });
process.exitCode = await main().then(
  () => 0,
  (error: Error) => {
    console.error(error.message);
    return 1;
  },
);
process.exit();

async function main(): Promise<void> {
  const onPath = findProgram("redis-server", "valkey-server");
  const programs = [...(onPath === undefined ? [] : [onPath]), ...positionals.map((path) => resolve(path))];
  const [first] = programs;
  if (first === undefined) throw new Error("There is no redis-server on the PATH: name one.");
  const names = await Promise.all(programs.map((program) => nameOf(program)));
  compileAdapters([...clients, ...defaults, ...runtimes]);

  const servers = programs.map((program, index) => ({ row: aServer(names[index]!), program }));
  const groups: Record<string, { row: Row; program: string }[]> = {
    servers,
    clients: clients.map((row) => ({ row, program: first })),
    defaults: defaults.map((row) => ({ row, program: first })),
    runtimes: runtimes.map((row) => ({ row, program: first })),
    frameworks: frameworks.map((row) => ({ row, program: first })),
  };
  const results: Record<string, Cells[]> = {};
  const waiting: { group: string; index: number; row: Row; program: string }[] = [];
  for (const [group, entries] of Object.entries(groups)) {
    const chosen = entries.filter(({ row }) => values.only === undefined || row.name.includes(values.only));
    for (const [index, { row, program }] of chosen.entries()) waiting.push({ group, index, row, program });
  }
  // It cannot run before it is built.
  if (waiting.some(({ row }) => row.adapter === "next"))
    execSync("npm run --silent build", { cwd: join(root, "examples/next") });
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { group, index, row, program } = next;
      const cells = await measure(row, program, group === "frameworks");
      console.log(`${group}: ${Object.values(cells).join(" | ")}`);
      (results[group] ??= [])[index] = cells;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  if (values.only === undefined) writeDocument(results, names[0]!);
}

/** Starts a server and returns its name and version. */
async function nameOf(program: string): Promise<string> {
  const server = await startServer(program, await reservedPort(), false);
  try {
    const info = String(await server.send("INFO", "server"));
    for (const [name, field] of Object.entries({ Valkey: "valkey", Redict: "redict", Redis: "redis" })) {
      const version = new RegExp(`^${field}_version:(\\S+)`, "m").exec(info)?.[1];
      if (version !== undefined) return `${name} ${version}`;
    }
    return program;
  } finally {
    server.stop();
  }
}

async function startServer(program: string, port: number, isCluster: boolean, announcedPort = port) {
  const folder = mkdtempSync(join(tmpdir(), "compatibility-"));
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder];
  const busPort = String(await reservedPort());
  const announce = ["--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", String(announcedPort)];
  if (isCluster) args.push("--cluster-enabled", "yes", "--cluster-port", busPort, ...announce);
  const child = killAtExit(spawn(program, args, { stdio: "ignore" }).on("error", () => {}));
  const send = (...command: string[]) => ask(port, command);
  const isUp = await until(async () => (await send("PING").catch(() => "")) === "PONG", START_LIMIT_MS);
  if (!isUp) throw new Error(`${program} does not start, or does not reply.`);
  if (isCluster) {
    await send("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
    await until(async () => String(await send("CLUSTER", "INFO")).includes("cluster_state:ok"));
  }
  return {
    send,
    stop() {
      child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function ask(port: number, command: string[]): Promise<unknown> {
  const client = createClient({ socket: { host: "127.0.0.1", port, reconnectStrategy: false } });
  client.on("error", () => {}); // the command rejects with the same error
  try {
    return await (await client.connect()).sendCommand(command);
  } finally {
    client.destroy();
  }
}

/** All adapters with strict TypeScript, each against the types of each client that it is used with. */
function compileAdapters(rows: Row[]): void {
  rmSync(build, { recursive: true, force: true });
  mkdirSync(build);
  for (const file of ["session-store.ts", "user-sessions.ts", "session-cookie.ts", "redis-connection"])
    cpSync(join(root, file), join(build, file), { recursive: true });
  writeFileSync(join(build, "probe.ts"), readFileSync(join(here, "probe.ts"), "utf8").replaceAll("../../", "./"));
  for (const row of rows) {
    const [name, alias] = row.packages ?? ["", ""];
    const adapter = readFileSync(join(here, "adapters", `${row.adapter}.ts`), "utf8");
    writeFileSync(join(build, `${fileOf(row)}.ts`), adapter.replace(`from "${name}"`, `from "${alias}"`));
  }
  const configuration = {
    extends: join(root, "tsconfig.json"),
    compilerOptions: {
      noEmit: false,
      rootDir: ".",
      outDir: "out",
      allowImportingTsExtensions: false,
      rewriteRelativeImportExtensions: true,
      exactOptionalPropertyTypes: false, // some clients' own types do not hold with it
      types: ["node", "bun"],
      typeRoots: [join(here, "node_modules/@types")],
    },
    include: ["*.ts", "redis-connection"],
    exclude: [],
  };
  writeFileSync(join(build, "tsconfig.json"), JSON.stringify(configuration));
  execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "--project", build], {
    stdio: "inherit",
  });
}

function fileOf({ adapter, packages }: Row): string {
  return `${adapter}${packages === undefined ? "" : `--${packages[1].replaceAll(/\W/g, "-")}`}`;
}

async function measure(row: Row, program: string, isApplication: boolean): Promise<Cells> {
  const port = await reservedPort();
  const proxy = new Proxy(port);
  const proxyPort = await proxy.listen();
  const server = await startServer(program, port, row.isCluster ?? false, proxyPort);
  const cells: Cells = { name: row.name, operations: "", races: "", lost: "", down: "", silence: "", needs: row.needs };
  let subject: Subject | undefined;
  try {
    if (row.runtime !== undefined && !existsSync(row.runtime[0]!)) return { ...cells, operations: "not tried" };
    const url = `redis://127.0.0.1:${proxyPort}`;
    const out = (file: string) => join(build, "out", `${file}.js`);
    subject = isApplication
      ? await openApplication(row.adapter, await reservedPort(), url)
      : await openStore([...(row.runtime ?? [process.execPath]), out("probe"), out(fileOf(row)), url]);
    cells.operations = await subject.operations();
    if (cells.operations !== "yes") return cells;
    const revived = await subject.races();
    cells.races = revived === 0 ? "yes" : `no: ${revived} of 300 came back`;
    Object.assign(cells, await breakConnection(subject, proxy, server.send));
  } catch (error) {
    cells.operations ||= `no: ${(error as Error).message}`;
  } finally {
    subject?.end();
    proxy.close();
    server.stop();
  }
  return cells;
}

async function breakConnection(subject: Subject, proxy: Proxy, send: (...command: string[]) => Promise<unknown>) {
  const { field } = subject;
  const [id, other] = [await subject.create(), await subject.create()];
  const count = async () => Number(await send("HGET", `session:${id}`, field));
  const isBack = () => until(async () => (await subject.increment(other)) !== "failed", BACK_LIMIT_MS);
  const settle = async () => {
    if (!(await isBack())) throw new Error("the client does not come back");
    await sleep(SETTLE_MS);
  };
  await subject.increment(id);

  let times = 0;
  let reply: unknown;
  for (let tries = 0; tries < TRIES && times === 0; tries++) {
    const before = await count();
    [reply] = await Promise.all([subject.increment(id), proxy.loseReply()]);
    await settle();
    times = (await count()) - before; // 0 if a busy client had just lost its connection and sent nothing
  }
  const lost = `${times === 1 ? "done once" : `done ${times} times`}${reply === "failed" ? "" : ", reported as done"}`;

  const beforeDown = await count();
  proxy.close();
  const replies: unknown[] = [];
  for (let write = 0; write < DOWN_WRITES; write++) {
    replies.push(await subject.increment(id));
    await sleep(DOWN_MS);
  }
  await proxy.listen();
  await settle();
  const later = (await count()) - beforeDown;
  const wasReported = replies.every((each) => each === "failed");
  const down = later === 0 ? "not done" : wasReported ? "done later" : "done later, reported as done";

  const load = setInterval(() => {
    subject.increment(other).catch(() => {}); // it may still be under way at the end
  }, LOAD_MS);
  let ms = await proxy.freeze(SILENCE_LIMIT_MS);
  for (let tries = 1; tries < TRIES && ms >= 1000 && ms < 2000; tries++) {
    await settle();
    ms = Math.min(ms, await proxy.freeze(SILENCE_LIMIT_MS)); // on a busy machine it takes longer
  }
  clearInterval(load);
  const silence = ms < 1000 ? "under 1 s" : ms < Infinity ? "under 5 s" : "not in 5 s";
  return { lost, down, silence };
}

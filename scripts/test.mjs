/**
 * What `npm test` runs: the checks, then `test/` (node:test) and `e2e/` (Playwright).
 *
 *     npm test                   all tests for which one Redis is enough
 *     npm test -- test/store     only the tests in this folder or file; several may be named
 *     npm test -- --scale        all tests: also clusters and Sentinels, on a cluster the store, the race lab and the HTTP
 *                                contract, the Next example, and the package installed in new projects
 *
 * The environment variable REDIS_PROGRAM names the server to test with, as a name or a path. Without it, all tests run on
 * Redis, and if Valkey is installed too, those of the store on both. The last line counts the tests of both runners. The
 * exit code is 1 if a test failed, or if a runner or a test file ran no test.
 */
import { execFileSync, execSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { findProgram } from "../demo/process/find-program.mjs";

const FILE_LIMIT_MS = 1_800_000; // a test file that takes longer is killed and counts as failed
const CONCURRENCY = 2 * availableParallelism(); // most tests wait more than they compute
const LONGEST_TESTS = ["test/users/", "test/faults/", "test/docs/", "test/examples/"];
const STORE_TESTS = ["test/store/", "test/users/", "test/express-session/"];
const CLUSTER_TESTS = [
  ...STORE_TESTS,
  "test/http/contract.test.ts",
  "test/http/race.test.ts",
  "test/page/race-lab.test.ts",
];

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const { values, positionals: paths } = parseArgs({ allowPositionals: true, options: { scale: { type: "boolean" } } });
const folder = mkdtempSync(join(tmpdir(), "test-run-"));
const counts = { passed: 0, failed: 0, skipped: 0 };
/** @type {string[]} */
const failures = []; // of node:test, whose own list stands far above the last line
try {
  execSync("npm run --silent check", { stdio: "inherit" });
  await runTests();
} catch (error) {
  console.error(String(error));
  counts.failed += 1;
}
rmSync(folder, { recursive: true });
for (const failure of failures) console.log(`\n✖ ${failure}`);
console.log(`${counts.passed} passed, ${counts.failed} failed${counts.skipped ? `, ${counts.skipped} skipped` : ""}`);
process.exitCode = counts.failed > 0 ? 1 : 0;

async function runTests() {
  const nodeTests = findTests("test", ".test.ts");
  const pageTests = findTests("e2e", ".spec.ts");
  if (nodeTests.length + pageTests.length === 0) throw new Error(`There is no test in ${paths.join(", ")}`);
  compile();

  const testsIn = (/** @type {string[]} */ ...places) =>
    nodeTests.filter((file) => places.some((place) => file.startsWith(place)));
  const scaleTests = testsIn("test/scale/");
  // The longest first, so that at the end none of them runs alone.
  const inOrder = new Set([...testsIn(...LONGEST_TESTS), ...nodeTests]);
  await runNodeTests([...inOrder].filter((file) => !scaleTests.includes(file)));
  if (!process.env["REDIS_PROGRAM"] && findProgram("redis-server") && findProgram("valkey-server")) {
    process.env["REDIS_PROGRAM"] = "valkey-server";
    await runNodeTests(testsIn(...STORE_TESTS));
    delete process.env["REDIS_PROGRAM"];
  }
  if (values.scale || paths.length > 0) {
    if (scaleTests.includes("test/scale/next.test.ts")) prepareNext();
    await runNodeTests(scaleTests, { concurrency: 1 });
  }
  if (values.scale) await runNodeTests(testsIn(...CLUSTER_TESTS), { server: "cluster", concurrency: 1 });
  runPageTests(pageTests);
}

/** @type {(root: string, extension: string) => string[]} */
function findTests(root, extension) {
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(extension))
    .map((name) => `${root}/${name}`)
    .filter((file) => paths.length === 0 || paths.some((path) => !relative(path, file).startsWith("..")));
}

/** Has a tsconfig.json and packages of its own. `next build` checks its types. */
function prepareNext() {
  for (const args of [
    ["ci", "--no-audit", "--no-fund"],
    ["run", "build"],
  ]) {
    execFileSync("npm", args, { cwd: "examples/next", stdio: "inherit", shell: process.platform === "win32" });
  }
}

/** Compiles everything, and runs what is compiled: through tsx, each start of a process takes twice the CPU time. */
function compile() {
  const options = ["--noCheck", "--noEmit", "false", "--rewriteRelativeImportExtensions", "--inlineSourceMap"];
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", ...options, "--outDir", folder]);
  cpSync("views", join(folder, "views"), { recursive: true });
  cpSync("examples/chat.html", join(folder, "examples/chat.html"));
  for (const name of ["node_modules", "package.json"]) symlinkSync(resolve(name), join(folder, name));
  process.env["COMPILED"] = folder;
}

/** @type {(files: string[], how?: { server?: string, concurrency?: number }) => Promise<void>} */
async function runNodeTests(files, { server = "", concurrency = CONCURRENCY } = {}) {
  if (files.length === 0) return;
  process.env["TEST_SERVER"] = server;
  const compiled = files.map((file) => join(folder, file.replace(/\.ts$/, ".js")));
  const events = run({ files: compiled, concurrency, timeout: FILE_LIMIT_MS });
  events.on("test:pass", ({ name, file, details, skip }) => {
    const isEmptyFile = file === resolve(name); // node:test reports a file without tests as a test
    if (isEmptyFile) counts.failed += 1;
    else if (skip !== undefined) counts.skipped += 1;
    else if (details.type !== "suite") counts.passed += 1;
  });
  events.on("test:fail", ({ name, details: { error } }) => {
    const isOnlySum = "failureType" in error && error.failureType === "subtestsFailed";
    if (isOnlySum) return;
    counts.failed += 1;
    failures.push(`${name}: ${String(error.cause ?? error)}`);
  });
  for await (const line of events.compose(new spec())) process.stdout.write(line);
}

/** @type {(files: string[]) => void} */
function runPageTests(files) {
  if (files.length === 0) return;
  const report = join(folder, "playwright.json");
  const args = ["node_modules/playwright/cli.js", "test", "--config", "e2e/playwright.config.ts", ...files];
  const env = { ...process.env, PLAYWRIGHT_JSON_OUTPUT_FILE: report };
  const { status } = spawnSync(process.execPath, [...args, "--reporter=list,json"], { stdio: "inherit", env });
  const { expected, unexpected, skipped } = JSON.parse(readFileSync(report, "utf8")).stats;
  counts.passed += expected;
  counts.skipped += skipped;
  counts.failed += status === 0 ? 0 : Math.max(unexpected, 1);
}

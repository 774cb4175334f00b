/**
 * What `npm test` runs: the checks, then the store and the server (node:test), the store once more on Valkey where that
 * is installed beside Redis, and the page (Playwright). `npm test -- --scale` adds what takes several Redis: clusters
 * and Sentinels that lose a node, and the store and the HTTP contract on a cluster. The last line counts the test cases
 * of both runners; the exit code is 1 if anything failed.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findProgram } from "../demo/redis/find-program.mjs";

/** @typedef {{ passed: number, failed: number, skipped: number }} Counts */

const FILE_LIMIT_MS = 300_000; // a test file that hangs is ended and counts as failed
const ON_CLUSTER = /(store\/operations|store\/races|page\/race-lab|http\/contract)\.test\.ts$/;
const FAILED = { passed: 0, failed: 1, skipped: 0 };

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const reports = mkdtempSync(join(tmpdir(), "test-reports-"));
const results = run("npm run --silent check") ? runAll() : [FAILED];
rmSync(reports, { recursive: true });

const sum = (/** @type {keyof Counts} */ key) => results.reduce((total, counts) => total + counts[key], 0);
const andSkipped = sum("skipped") > 0 ? `, ${sum("skipped")} skipped` : "";
console.log(`${sum("passed")} passed, ${sum("failed")} failed${andSkipped}`);
process.exitCode = sum("failed") > 0 ? 1 : 0;

function runAll() {
  const counts = [runNodeTests(/^test\/(store|http|faults|page)\//)];
  if (findProgram("redis-server") && findProgram("valkey-server")) {
    counts.push(runNodeTests(/^test\/store\//, { environment: { TEST_SERVER: "valkey-server" } }));
  }
  if (process.argv.includes("--scale")) {
    counts.push(
      runNodeTests(/^test\/scale\//, { concurrency: 1 }),
      runNodeTests(ON_CLUSTER, { concurrency: 1, environment: { TEST_SERVER: "cluster" } }),
    );
  }
  return [...counts, runPlaywright()];
}

/**
 * @param {RegExp} paths
 * @param {{ concurrency?: number, environment?: Record<string, string> }} [how]
 */
function runNodeTests(paths, { concurrency = 2, environment = {} } = {}) {
  const report = join(reports, "node.tap");
  const files = readdirSync("test", { recursive: true, encoding: "utf8" })
    .map((name) => `test/${name.replaceAll("\\", "/")}`)
    .filter((path) => path.endsWith(".test.ts") && paths.test(path));
  if (files.length === 0) return FAILED; // without files it would look for some, and find this script
  const isPassed = run(
    `node --import tsx --test --test-concurrency=${concurrency} --test-timeout=${FILE_LIMIT_MS} --test-reporter=spec --test-reporter-destination=stdout ` +
      `--test-reporter=tap --test-reporter-destination="${report}" ${files.join(" ")}`,
    environment,
  );
  return count(isPassed, () => {
    const lines = readFileSync(report, "utf8").matchAll(/^# (\w+) (\d+)$/gm);
    /** @type {any} the summary is at the end, so the last line of a name counts */
    const summary = Object.fromEntries(Array.from(lines, ([, name, number]) => [name, Number(number)]));
    const { pass, fail, cancelled, skipped } = summary;
    return { passed: pass, failed: fail + cancelled, skipped };
  });
}

function runPlaywright() {
  const report = join(reports, "playwright.json");
  const isPassed = run("npx playwright test --config e2e/playwright.config.ts --reporter=list,json", {
    PLAYWRIGHT_JSON_OUTPUT_FILE: report,
  });
  return count(isPassed, () => {
    const { expected, flaky, unexpected, skipped } = JSON.parse(readFileSync(report, "utf8")).stats;
    return { passed: expected + flaky, failed: unexpected, skipped };
  });
}

/**
 * What a report says. A runner that writes none, runs nothing, or fails without a failed test counts as a failure.
 *
 * @type {(isPassed: boolean, readReport: () => Counts) => Counts}
 */
function count(isPassed, readReport) {
  try {
    const counts = readReport();
    if (!(counts.passed + counts.failed > 0)) return FAILED;
    return isPassed ? counts : { ...counts, failed: Math.max(counts.failed, 1) };
  } catch {
    return FAILED;
  }
}

/**
 * Runs a command line before everyone's eyes; true if it succeeded.
 *
 * @param {string} line
 */
function run(line, environment = {}) {
  /** @type {NodeJS.ProcessEnv} */
  const env = { ...process.env, ...environment };
  delete env["NODE_TEST_CONTEXT"]; // set where a test runs us, and then node:test prints no report
  return spawnSync(line, { shell: true, stdio: "inherit", env }).status === 0;
}

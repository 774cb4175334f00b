/**
 * Brings what a fresh machine lacks: the packages, Redis and, for the tests (`--browser`), a Chromium.
 * Says what it does, and is silent where nothing is missing. It never asks and never uses sudo.
 *
 * The syntax is that of Node 12, and our other modules are imported late, so that an old Node gets as far as the
 * sentence about its age.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";

/** @typedef {{ version: string, dev?: boolean, optional?: boolean, devOptional?: boolean }} Package */

const STEP_LIMIT_MINUTES = 10; // enough over a slow line; what cannot work fails much earlier
const STALL_LIMIT_MS = 10_000; // of a download of which nothing arrives any more
const PING_LIMIT_MS = 300;

const LOCKFILE = "package-lock.json";
const INSTALLED = "node_modules/.package-lock.json"; // npm's note of what it has installed
const SERVICE_POLICY = "/usr/sbin/policy-rc.d"; // Debian asks it before it starts a service
const FONTS = "fonts-dejavu-core fonts-noto-color-emoji"; // Debian's Chromium brings none

const isForTests = process.argv.includes("--browser");
process.chdir(fileURLToPath(new URL("..", import.meta.url)));
requireNode();
void setUp();

async function setUp() {
  if (!arePackagesInstalled()) installPackages();
  if (!(await isRedisAtHand())) await provideRedis();
  if (isForTests) await provideBrowser();
}

function requireNode() {
  const { engines } = JSON.parse(readFileSync("package.json", "utf8"));
  if (rank(process.version) >= rank(engines.node)) return;
  fail(`Node ${engines.node} is needed, and this is ${process.version}: see https://nodejs.org`);
}

/** The server needs the `dependencies` only, as `npm ci --omit=dev` installs them. */
function arePackagesInstalled() {
  if (!existsSync(INSTALLED)) return false;
  const installed = new Set(Object.entries(packagesIn(INSTALLED)).map(describePackage));
  return Object.entries(packagesIn(LOCKFILE))
    .filter(
      ([folder, { dev, optional, devOptional }]) => folder !== "" && !optional && !devOptional && (isForTests || !dev),
    )
    .every((entry) => installed.has(describePackage(entry)));
}

function installPackages() {
  const command = `npm ci${isForTests ? " --include=dev" : ""}`;
  say(`installing the packages of ${LOCKFILE} (${command})`);
  const problem = run(`${command} --no-audit --no-fund --fetch-retry-mintimeout=1000`);
  if (problem) fail(`npm ci failed:\n${problem}`);
}

/** The tests start a Redis of their own, so they need the program; the demo is content with a Redis that runs. */
async function isRedisAtHand() {
  if (await has("redis-server", "valkey-server")) return true;
  if (isForTests) return false;
  const isNamed = ["REDIS_URL", "REDIS_HOST", "REDIS_PORT"].some((name) => process.env[name]);
  return isNamed || (await answersPing("localhost", 6379));
}

/** Where we may not install one, redis-memory-server builds one when it is first needed, if there is a compiler. */
async function provideRedis() {
  if (await mayInstall()) {
    say("installing Redis, without its service (apt-get install redis-server)");
    const problem = installRedis();
    if (!problem) return;
    say(`apt-get could not install redis-server: ${reasonIn(problem)}`);
  }
  const canBuild = process.platform === "win32" || ((await has("cc", "gcc")) && (await has("make")));
  if (!canBuild) say("there is no redis-server, and no make and C compiler to build one: install Redis");
}

/** Only the program is wanted: a Redis service at port 6379, now or at the next boot, would come as a surprise. */
function installRedis() {
  const isOurs = !existsSync(SERVICE_POLICY);
  // It says "do not start" only while this process lives: if we are killed, it does no harm.
  const policy = `#!/bin/sh\nif kill -0 ${process.pid} 2>/dev/null; then exit 101; fi\n`;
  if (isOurs) writeFileSync(SERVICE_POLICY, policy, { mode: 0o755 });
  try {
    return aptGetInstall("redis-server") || run("update-rc.d redis-server disable");
  } finally {
    if (isOurs) unlinkSync(SERVICE_POLICY);
  }
}

async function provideBrowser() {
  const { findBrowser } = await import("./find-browser.mjs");
  if (findBrowser()) return;
  const mayUseApt = await mayInstall();
  downloadBrowser();
  if (findBrowser()) {
    if (mayUseApt) installBrowserLibraries();
  } else if (mayUseApt) installBrowser();
  if (!findBrowser()) fail("the tests need a browser: install Chromium or Chrome so that it is on the PATH");
}

function downloadBrowser() {
  say("downloading a Chromium for the tests (npx playwright install chromium)");
  const problem = run("npx --no-install playwright install chromium", {
    PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT: String(STALL_LIMIT_MS),
  });
  if (problem) say(`Playwright could not download it: ${reasonIn(problem)}`);
}

/** After the download and not with it (`--with-deps`): they take a minute, for nothing where the download fails. */
function installBrowserLibraries() {
  say("installing the libraries it needs (npx playwright install-deps chromium)");
  const problem = run("npx --no-install playwright install-deps chromium");
  if (problem) say(`Playwright could not install them: ${reasonIn(problem)}`);
}

function installBrowser() {
  say("installing Chromium and fonts (apt-get install chromium)");
  const problem = aptGetInstall(`chromium ${FONTS}`);
  if (problem) say(`apt-get could not install chromium: ${reasonIn(problem)}`);
}

/** @param {string} packages */
function aptGetInstall(packages) {
  const options = "-o Acquire::Retries=1 -o Acquire::http::Timeout=10 -o DPkg::Lock::Timeout=60";
  run(`apt-get update ${options}`); // one source of many may fail and the packages still be found
  return run(`apt-get install -y --no-install-recommends ${options} ${packages}`, {
    DEBIAN_FRONTEND: "noninteractive",
  });
}

/** May we install packages of Debian or Ubuntu? */
async function mayInstall() {
  return process.getuid !== undefined && process.getuid() === 0 && (await has("apt-get"));
}

/** @param {...string} programs */
async function has(...programs) {
  const { findProgram } = await import("../demo/redis/find-program.mjs");
  return findProgram(...programs) !== undefined;
}

/**
 * @param {string} host
 * @param {number} port
 * @returns {Promise<boolean>}
 */
function answersPing(host, port) {
  return new Promise((resolve) => {
    const socket = connect({ host, port }, () => socket.write("PING\r\n"));
    const answer = (/** @type {boolean} */ isRedis) => {
      socket.destroy();
      resolve(isRedis);
    };
    socket.once("data", (data) => answer(data.toString().startsWith("+PONG")));
    socket.once("error", () => answer(false));
    socket.setTimeout(PING_LIMIT_MS, () => answer(false));
  });
}

/**
 * Runs a command line out of sight. Answers what it complained of if it failed, else nothing.
 *
 * @param {string} commandLine
 * @param {Record<string, string>} environment
 */
function run(commandLine, environment = {}) {
  // exec: the limit is to end the command, and not only the shell around it.
  const exec = process.platform === "win32" ? "" : "exec ";
  const { status, stderr, error } = spawnSync(exec + commandLine, {
    shell: true,
    stdio: ["ignore", "ignore", "pipe"],
    encoding: "utf8",
    env: { ...process.env, ...environment },
    timeout: STEP_LIMIT_MINUTES * 60_000,
  });
  if (error) return `Error: it was not done within ${STEP_LIMIT_MINUTES} minutes`;
  return status === 0 ? "" : stderr.trim() || `Error: exit code ${status}`;
}

/** @param {string} output */
function reasonIn(output) {
  const lines = output.split("\n");
  return lines.find((line) => /^(E|Error): /.test(line)) || lines[lines.length - 1];
}

/**
 * By the folder it is installed in.
 *
 * @param {string} lockfile
 * @returns {Record<string, Package>}
 */
function packagesIn(lockfile) {
  return JSON.parse(readFileSync(lockfile, "utf8")).packages;
}

/** @param {[string, Package]} entry */
function describePackage([folder, { version }]) {
  return `${folder} ${version}`;
}

/**
 * A number that grows with the version: 20019 for "v20.19.0" and for ">=20.19".
 *
 * @param {string} version
 */
function rank(version) {
  const [major = 0, minor = 0] = (version.match(/\d+/g) || []).map(Number);
  return major * 1000 + minor;
}

/** @param {string} sentence */
function say(sentence) {
  console.log(`setup: ${sentence}`);
}

/** @param {string} sentence */
function fail(sentence) {
  console.error(`setup: ${sentence}`);
  process.exit(1);
}

/**
 * Installs what is missing on a fresh machine: the packages, Redis and, for the tests (`--browser`), a Chromium. With
 * `--packages`, it installs only packages, those for development too, and those of the folders that are named. Prints what it
 * does, and nothing if nothing is missing. It never asks and never uses sudo.
 *
 * It uses the syntax of Node 12 and imports our other modules late, so that an old Node can run it far enough to print which
 * version is needed.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** @typedef {{ version: string, dev?: boolean, optional?: boolean, devOptional?: boolean }} Package */

const STEP_LIMIT_MINUTES = 10; // enough for a slow network
const STALL_LIMIT_MS = 10_000; // for a download that receives nothing any more
const PING_LIMIT_MS = 300;

const LOCKFILE = "package-lock.json";
const INSTALLED = "node_modules/.package-lock.json"; // npm writes there what it has installed
const NPM_DETAILS = "code|errno|syscall|type|path|dest"; // lines of its error output that are no sentences
const SERVICE_POLICY = "/usr/sbin/policy-rc.d"; // Debian asks it before it starts a service
const FONTS = "fonts-dejavu-core fonts-noto-color-emoji"; // Debian's Chromium brings none

const folders = ["."].concat(process.argv.slice(2).filter((argument) => !argument.startsWith("--")));
const isForTests = process.argv.includes("--browser");
const needsOnlyPackages = process.argv.includes("--packages");
const isForDevelopment = isForTests || needsOnlyPackages;
process.chdir(fileURLToPath(new URL("..", import.meta.url)));
requireNode();
void setUp();

async function setUp() {
  for (const folder of folders) if (!arePackagesInstalled(folder)) installPackages(folder);
  // `npm start` uses exec, so that a signal to npm reaches the server and not a shell. The shell of Windows has no exec.
  if (process.platform === "win32") writeFileSync("node_modules/.bin/exec.cmd", "@%*\r\n");
  if (needsOnlyPackages) return;
  if (!(await isRedisThere())) await provideRedis();
  if (isForTests) await provideBrowser();
}

function requireNode() {
  const { engines } = JSON.parse(readFileSync("package.json", "utf8"));
  if (rank(process.version) >= rank(engines.node)) return;
  fail(`Node ${engines.node} is needed, and this is ${process.version}: see https://nodejs.org`);
}

/**
 * The server needs the `dependencies` only, as `npm ci --omit=dev` installs them.
 *
 * @param {string} root
 */
function arePackagesInstalled(root) {
  if (!existsSync(join(root, INSTALLED))) return false;
  const installed = new Set(Object.entries(packagesIn(join(root, INSTALLED))).map(describePackage));
  return Object.entries(packagesIn(join(root, LOCKFILE)))
    .filter(
      ([folder, { dev, optional, devOptional }]) =>
        folder !== "" && !optional && !devOptional && (isForDevelopment || !dev),
    )
    .every((entry) => installed.has(describePackage(entry)));
}

/** @param {string} folder */
function installPackages(folder) {
  const command = `npm ci${isForDevelopment ? " --include=dev" : ""}`;
  say(`installing the packages of ${join(folder, LOCKFILE)} (${command})`);
  const problem = run(`${command} --no-audit --no-fund --loglevel=error --fetch-retry-mintimeout=1000`, {}, folder);
  if (problem) fail(`npm ci failed: ${reasonIn(problem)}`);
}

/** The tests start a Redis of their own, so they need the program. For the demo, a running Redis is enough. */
async function isRedisThere() {
  if (await has("redis-server", "valkey-server")) return true;
  if (isForTests) return Boolean(process.env["REDIS_PROGRAM"]);
  const isNamed = ["REDIS_URL", "REDIS_HOST", "REDIS_PORT"].some((name) => process.env[name]);
  return isNamed || (await repliesToPing("localhost", 6379));
}

/** If it cannot be installed, redis-memory-server builds it when it is first needed, if there is a compiler. */
async function provideRedis() {
  if (await canInstall()) {
    say("installing Redis, without its service (apt-get install redis-server)");
    const problem = installRedis();
    if (!problem) return;
    say(`apt-get could not install redis-server: ${reasonIn(problem)}`);
  }
  const canBuild = process.platform === "win32" || ((await has("cc", "gcc")) && (await has("make")));
  if (!canBuild) say("there is no redis-server, and no make and C compiler to build one: install Redis");
}

/** Installs only the program: nobody expects that a Redis service starts at port 6379, now or at the next boot. */
function installRedis() {
  const isOurs = !existsSync(SERVICE_POLICY);
  // It forbids to start services only while this process runs: if we are killed, the file that is left does no harm.
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
  const canUseApt = await canInstall();
  downloadBrowser();
  if (findBrowser()) {
    if (canUseApt) installBrowserLibraries();
  } else if (canUseApt) installBrowser();
  if (!findBrowser()) fail("the tests need a browser: install Chromium or Chrome so that it is on the PATH");
}

function downloadBrowser() {
  say("downloading a Chromium for the tests (npx playwright install chromium)");
  const problem = run("npx --no-install playwright install chromium", {
    PLAYWRIGHT_DOWNLOAD_CONNECTION_TIMEOUT: String(STALL_LIMIT_MS),
  });
  if (problem) say(`Playwright could not download it: ${reasonIn(problem)}`);
}

/** Not with the download (`--with-deps`): they take a minute, which is wasted if the download fails. */
function installBrowserLibraries() {
  say("installing the libraries it needs (npx playwright install-deps chromium)");
  const problem = run("npx --no-install playwright install-deps chromium");
  if (problem) say(`Playwright could not install them: ${reasonIn(problem)}`);
}

function installBrowser() {
  say("installing Chromium and fonts (apt-get install chromium-headless-shell)");
  const problem = aptGetInstall(`chromium-headless-shell ${FONTS}`) && aptGetInstall(`chromium ${FONTS}`);
  if (problem) say(`apt-get could not install chromium: ${reasonIn(problem)}`);
}

/** @param {string} packages */
function aptGetInstall(packages) {
  const options = "-o Acquire::Retries=1 -o Acquire::http::Timeout=10 -o DPkg::Lock::Timeout=60";
  run(`apt-get update ${options}`); // if it fails for one source, another may still have the packages
  return run(`apt-get install -y --no-install-recommends ${options} ${packages}`, {
    DEBIAN_FRONTEND: "noninteractive",
  });
}

/** Whether we can install packages of Debian or Ubuntu. */
async function canInstall() {
  return process.getuid !== undefined && process.getuid() === 0 && (await has("apt-get"));
}

/** @param {...string} programs */
async function has(...programs) {
  const { findProgram } = await import("../demo/process/find-program.mjs");
  return findProgram(...programs) !== undefined;
}

/**
 * @param {string} host
 * @param {number} port
 * @returns {Promise<boolean>}
 */
function repliesToPing(host, port) {
  return new Promise((resolve) => {
    const socket = connect({ host, port }, () => socket.write("PING\r\n"));
    const settle = (/** @type {boolean} */ isRedis) => {
      socket.destroy();
      resolve(isRedis);
    };
    socket.once("data", (data) => settle(data.toString().startsWith("+PONG")));
    socket.once("error", () => settle(false));
    socket.setTimeout(PING_LIMIT_MS, () => settle(false));
  });
}

/**
 * Runs a command line and prints nothing of it. Returns its error output if it failed, else an empty string.
 *
 * @param {string} commandLine
 * @param {Record<string, string>} environment
 * @param {string} folder
 */
function run(commandLine, environment = {}, folder = ".") {
  // With exec, the time limit ends the command itself and not only its shell.
  const exec = process.platform === "win32" ? "" : "exec ";
  const { status, stderr, error } = spawnSync(exec + commandLine, {
    shell: true,
    cwd: folder,
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
  const sentence = new RegExp(`^(E: |Error: |npm error (?!${NPM_DETAILS}).)`);
  const reason = lines.find((line) => sentence.test(line)) || lines[lines.length - 1] || "";
  return reason.replace("npm error ", "");
}

/**
 * The packages by the folder that each is installed in.
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

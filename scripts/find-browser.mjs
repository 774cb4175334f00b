import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findProgram } from "../demo/process/find-program.mjs";

const PLAYWRIGHT = fileURLToPath(new URL("../node_modules/playwright-core", import.meta.url));

/** The shell has no user interface, and takes half the CPU time of a browser that has one and does not show it. */
const ON_THE_PATH = [
  "chromium-headless-shell",
  "chromium",
  "chromium-browser",
  "google-chrome",
  "google-chrome-stable",
  "microsoft-edge",
];

const ELSEWHERE = [
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
  ...["PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"]
    .map((name) => process.env[name] ?? "")
    .filter(Boolean)
    .flatMap((folder) => [
      join(folder, "Google", "Chrome", "Application", "chrome.exe"),
      join(folder, "Microsoft", "Edge", "Application", "msedge.exe"),
    ]),
];

/**
 * The launch options with which Playwright finds a Chromium on this machine: empty for the one it downloaded itself,
 * which comes first, else the path of another. Undefined if there is none.
 *
 * @returns {{ executablePath?: string } | undefined}
 */
export function findBrowser() {
  if (hasDownloadedBrowser()) return {};
  const executablePath = findProgram(...ON_THE_PATH) ?? ELSEWHERE.find((path) => existsSync(path));
  return executablePath === undefined ? undefined : { executablePath };
}

/** Looks where Playwright's guide says it keeps browsers: importing Playwright to ask it takes half a second. */
function hasDownloadedBrowser() {
  /** @type {{ browsers: { name: string, revision: string }[] }} */
  const { browsers } = JSON.parse(readFileSync(join(PLAYWRIGHT, "browsers.json"), "utf8"));
  const revision = browsers.find(({ name }) => name === "chromium-headless-shell")?.revision;
  const folder = join(downloadFolder(), `chromium_headless_shell-${revision}`);
  return existsSync(join(folder, "INSTALLATION_COMPLETE"));
}

function downloadFolder() {
  const named = process.env["PLAYWRIGHT_BROWSERS_PATH"];
  if (named === "0") return join(PLAYWRIGHT, ".local-browsers");
  return named || join(cacheFolder(), "ms-playwright");
}

function cacheFolder() {
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches");
  if (process.platform === "win32") return process.env["LOCALAPPDATA"] || join(homedir(), "AppData", "Local");
  return process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
}

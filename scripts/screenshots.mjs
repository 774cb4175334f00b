/**
 * Takes the pictures of the README from the real page: `npm run screenshots`.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright";
import { findBrowser } from "./find-browser.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = fileURLToPath(new URL("../screenshots/", import.meta.url));
mkdirSync(folder, { recursive: true });

const browser = await chromium.launch(findBrowser());
try {
  await Promise.all([withServer((url) => takePictures(url, "light")), withServer((url) => takePictures(url, "dark"))]);
} finally {
  await browser.close();
}

/**
 * A server and a private Redis for each: otherwise the two races could not run at the same time.
 *
 * @param {(url: string) => Promise<void>} use
 */
async function withServer(use) {
  const server = spawn(process.execPath, ["--import", "tsx", "server.ts", "--port", "0"], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    await use(await urlOf(server));
  } finally {
    server.kill();
    await once(server, "exit");
  }
}

/**
 * A session of 15 seconds: used, and given a new ID. Then the end, and a race.
 *
 * @param {string} url
 * @param {"light" | "dark"} colorScheme
 */
async function takePictures(url, colorScheme) {
  const page = await browser.newPage({ colorScheme, viewport: { width: 1280, height: 900 }, deviceScaleFactor: 1.25 });
  const press = (/** @type {string | RegExp} */ name) => page.getByRole("button", { name }).click();
  const wait = (/** @type {number} */ seconds) => page.waitForTimeout(seconds * 1000);

  await page.goto(url);
  await page.getByLabel("Username").fill("andrew");
  await press("Log in for 15 s");
  await wait(7);
  await press("Count a page view");
  await wait(5);
  await press(/^Get a new session ID/);
  await wait(4);
  await press("Count a page view");
  await page.getByRole("cell", { name: "3", exact: true }).waitFor();
  await wait(3);
  await page.screenshot({ path: `${folder}live-${colorScheme}.png` });

  await page.getByText("Session expired.", { exact: true }).waitFor();
  await wait(2);
  await page.screenshot({ path: `${folder}expired-${colorScheme}.png` });

  await press("Run the race");
  await page.getByText("of 100 came back").first().waitFor();
  await page.locator("#race").screenshot({ path: `${folder}race-${colorScheme}.png` });
}

/** @param {{ stdout: import("node:stream").Readable }} server */
async function urlOf({ stdout }) {
  for await (const line of createInterface(stdout)) {
    const url = /http:\S+/.exec(line)?.[0];
    if (url) return url;
  }
  throw new Error("the server ended before it listened");
}

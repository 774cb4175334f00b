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

const TTL = 4; // seconds
const root = fileURLToPath(new URL("..", import.meta.url));
const folder = fileURLToPath(new URL("../screenshots/", import.meta.url));
mkdirSync(folder, { recursive: true });

const server = spawn(process.execPath, ["--import", "tsx", "server.ts", "--port", "0"], {
  cwd: root,
  stdio: ["ignore", "pipe", "inherit"],
});
const browser = await chromium.launch(findBrowser());
try {
  const url = await urlOf(server);
  await Promise.all([takePictures(url, "light"), takePictures(url, "dark")]);
} finally {
  await browser.close();
  server.kill();
  await once(server, "exit");
}

/**
 * @param {string} url
 * @param {"light" | "dark"} colorScheme
 */
async function takePictures(url, colorScheme) {
  const page = await browser.newPage({
    colorScheme,
    viewport: { width: 1280, height: 900 },
    deviceScaleFactor: 1.25,
  });
  await page.goto(url);
  await page.getByLabel("Username").fill("andrew");
  await page.getByLabel("Idle timeout (TTL) in seconds").fill(String(TTL));
  await page.getByRole("button", { name: "Log in", exact: true }).click();
  await page.getByRole("button", { name: "Count a page view" }).click();
  await page.getByRole("cell", { name: "2", exact: true }).waitFor();
  await page.waitForTimeout((TTL / 2) * 1000);
  await page.screenshot({ path: `${folder}live-${colorScheme}.png` });
  await page.getByText("It opens nothing now").waitFor();
  await page.screenshot({ path: `${folder}expired-${colorScheme}.png` });
}

/** @param {{ stdout: import("node:stream").Readable }} server */
async function urlOf({ stdout }) {
  for await (const line of createInterface(stdout)) {
    const url = /http:\S+/.exec(line)?.[0];
    if (url) return url;
  }
  throw new Error("the server ended before it listened");
}

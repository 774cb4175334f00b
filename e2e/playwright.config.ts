import { defineConfig, devices } from "playwright/test";
import { findBrowser } from "../scripts/find-browser.mjs";

export default defineConfig({
  outputDir: "../test-results",
  fullyParallel: true,
  forbidOnly: Boolean(process.env["CI"]),
  workers: 2,
  timeout: 300_000, // guards against hanging, as does the limit of each expectation: the machine may be busy
  expect: { timeout: 60_000 },
  use: { launchOptions: findBrowser() ?? {} },
  projects: [
    { name: "desktop", use: devices["Desktop Chrome"] },
    // What depends on the size of the screen and does not set it, is seen on a phone too.
    { name: "phone", use: devices["Pixel 7"], testMatch: "page.spec.ts", grep: /accessibility|keyboard|a mistake in/ },
  ],
});

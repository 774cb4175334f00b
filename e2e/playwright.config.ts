import { defineConfig, devices } from "playwright/test";
import { findBrowser } from "../scripts/find-browser.mjs";

export default defineConfig({
  outputDir: "../test-results",
  fullyParallel: true,
  forbidOnly: Boolean(process.env["CI"]),
  workers: 4,
  timeout: 900_000, // guards against hanging, as does the limit of each expectation: the machine may be busy
  expect: { timeout: 60_000 },
  use: {
    launchOptions: findBrowser() ?? {},
    contextOptions: { reducedMotion: "reduce" }, // the page then draws once a second: without a GPU each drawing costs much
  },
  projects: [
    { name: "desktop", use: devices["Desktop Chrome"] },
    // What somebody does with a keyboard or a form, is done on a phone too.
    { name: "phone", use: devices["Pixel 7"], testMatch: "page.spec.ts", grep: /keyboard|a mistake in/ },
  ],
});

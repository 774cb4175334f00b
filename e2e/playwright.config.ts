import { defineConfig, devices } from "playwright/test";
import { findBrowser } from "../scripts/find-browser.mjs";

export default defineConfig({
  outputDir: "../test-results",
  fullyParallel: true,
  forbidOnly: Boolean(process.env["CI"]),
  workers: 2,
  use: { launchOptions: findBrowser() ?? {} },
  projects: [
    { name: "desktop", use: devices["Desktop Chrome"] },
    // What sets its own size, or does not depend on any, is seen once.
    { name: "phone", use: devices["Pixel 7"], testMatch: "page.spec.ts", grepInvert: /320|weighs|hidden|types/ },
  ],
});

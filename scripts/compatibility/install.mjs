/** Installs what `run.ts` tries. Prints one line if it cannot. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const { status, stderr } = spawnSync("npm ci --no-audit --no-fund --fetch-retries=1", {
  shell: true,
  cwd: fileURLToPath(new URL(".", import.meta.url)),
  encoding: "utf8",
  stdio: ["ignore", "ignore", "pipe"],
});
if (status !== 0) {
  const reason = /^npm error (?!code|errno|syscall|type).+$/m.exec(stderr)?.[0] ?? stderr.split("\n", 1)[0];
  console.error(`npm ci of scripts/compatibility failed: ${reason}`);
  process.exitCode = 1;
}

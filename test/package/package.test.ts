import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";

const run = promisify(execFile);
const folder = await mkdtemp(join(tmpdir(), "test-package-"));
after(() => rm(folder, { recursive: true }));

const TARBALL = join(folder, "redis-session-store-1.0.0.tgz");
const pack = () => run(process.execPath, ["scripts/package.mjs", folder]);
await pack();

test("the package holds JavaScript, declarations and source maps of what can be imported, an example, and nothing else", async () => {
  const modules = (await readdir(join(folder, "dist"), { recursive: true })).filter((name) => name.endsWith(".js"));
  const entries = ["session-store.js", "user-sessions.js", "session-cookie.js", "session-watch.js"];
  for (const entry of [...entries, "redis-connection/index.js", "express-session-store.js"])
    assert.ok(modules.includes(entry), entry);
  const sources = await readdir("redis-connection");
  assert.equal(modules.length, 5 + sources.length);
  const { stdout } = await run("npm", ["pack", "--dry-run", "--json", "--offline"], { cwd: join(folder, "dist") });
  const [{ files: listed, size }] = JSON.parse(stdout);
  const packed = (listed as { path: string }[]).map(({ path }) => path).toSorted();
  const files = modules.flatMap((module) => [module, module.replace(/js$/, "d.ts"), `${module}.map`]);
  assert.deepEqual(packed, ["LICENSE", "README.md", "express-4.cjs", "package.json", ...files].toSorted());
  assert.ok(size < 150_000, `${size} bytes`);
});

test("the JavaScript keeps the comments of the source", async () => {
  for (const name of ["session-store", "user-sessions", "session-cookie"]) {
    const source = await readFile(`${name}.ts`, "utf8");
    const [header] = /^\/\*\*[^]*?\*\//.exec(source)!;
    assert.ok((await readFile(join(folder, `dist/${name}.js`), "utf8")).startsWith(header), name);
  }
});

test("a second run replaces the first, with the same bytes", async () => {
  const first = await readFile(TARBALL);
  await pack();
  assert.deepEqual(await readFile(TARBALL), first);
  assert.deepEqual((await readdir(folder)).toSorted(), ["dist", "redis-session-store-1.0.0.tgz"]);
});

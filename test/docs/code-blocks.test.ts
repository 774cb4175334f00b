import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, test, type TestContext } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { parseOptions } from "../../demo/process/options.ts";
import { findProgram } from "../../demo/process/find-program.mjs";
import { spawnExample, spawnServerWith } from "../demo-process.ts";
import { spawnCluster } from "../redis-cluster.ts";
import { spawnRedis } from "../redis-process.ts";
import { spawnSentinels } from "../redis-sentinel.ts";

const run = promisify(execFile);
const root = process.cwd();
const folder = await mkdtemp(join(tmpdir(), "test-docs-"));
after(() => rm(folder, { recursive: true }));

const names = [...(await readdir(root)), ...(await readdir(join(root, "docs"))).map((name) => `docs/${name}`)];
const texts = new Map<string, string>();
for (const name of names.filter((each) => each.endsWith(".md")))
  texts.set(name, await readFile(join(root, name), "utf8"));

interface Block {
  page: string;
  language: string;
  code: string;
}
const blocks: Block[] = Array.from(texts).flatMap(([page, text]) =>
  Array.from(text.matchAll(/^```(\w+)\n(.*?)^```$/gms), ([, language, code]) => ({
    page,
    language: language!,
    code: code!,
  })),
);
const blocksIn = (language: string) => blocks.filter((block) => block.language === language);

const withoutComment = (line: string) => line.replace(/ *\/\/ .*$/, "").trim();
const example = await readFile(join(root, "examples/express.ts"), "utf8");
const exampleLines = new Set(example.split("\n").map((line) => withoutComment(line)));

test("every code block is of a kind that is tested here", () => {
  const kinds = new Set(blocks.map(({ language }) => language));
  assert.deepEqual([...kinds].toSorted(), ["console", "js", "json", "sh", "text", "ts"]);
});

/** snippets.test.ts runs these, and `npm run compatibility` those of its page. */
function isSnippet(page: string, code: string): boolean {
  return (
    page === "docs/faq.md" ||
    page === "docs/compatibility.md" ||
    /await store\.rotateSession\(|ifUnavailable: "continue"|^const store = new RedisSessionStore/.test(code)
  );
}

/** For frameworks that are not installed here. They were tried by hand: the page says with which versions. */
function isRecipe(page: string, code: string): boolean {
  return page === "docs/frameworks.md" && !code.startsWith("import { connectRedis }");
}

/** The port of what a program connects to: one Redis, a node of a cluster, or a Sentinel. */
async function portFor(t: TestContext, code: string): Promise<number> {
  if (/createSentinel|sentinel:/.test(code)) return (await spawnSentinels(t)).sentinels[0]!.port;
  if (/createCluster|cluster:/.test(code)) return (await spawnCluster(t, { replicas: 0 })).nodes[0]!.port;
  return (await spawnRedis(t)).port;
}

describe("TypeScript in README and docs", () => {
  for (const { page, code } of blocksIn("ts")) {
    const [firstLine] = code.split("\n");
    if (isSnippet(page, code) || isRecipe(page, code)) continue;
    if (firstLine!.startsWith("import ")) {
      test(`runs, and prints no error: ${page}, ${firstLine}`, async (t) => {
        const port = await portFor(t, code);
        const file = join(await mkdtemp(join(folder, "program-")), "program.mts");
        const program = code
          .replaceAll('"./', `"${pathToFileURL(root).href}/`)
          .replaceAll(/from "([a-z-]+)"/g, (_, name: string) => `from "${import.meta.resolve(name)}"`)
          .replaceAll(/(localhost|10\.0\.0\.\d):6379/g, `127.0.0.1:${port}`)
          .replaceAll(/"10\.0\.0\.\d", port: \d+/g, `"127.0.0.1", port: ${port}`);
        await writeFile(file, code.includes("redis.close()") ? program : `${program}\nawait redis.close();\n`);
        const { stderr } = await run(process.execPath, ["--import", import.meta.resolve("tsx"), file]);
        assert.equal(stderr, "");
      });
    } else {
      test(`consists of lines of the Express example: ${page}, ${firstLine}`, () => {
        for (const line of code.split("\n")) assert.ok(exampleLines.has(withoutComment(line)), line);
      });
    }
  }
});

test("the lines of README make a new application, and those of the questions turn it into JavaScript", async (t) => {
  const application = join(folder, "my-app");
  const lines = blocksIn("sh")
    .find(({ code }) => code.includes("src/server.ts"))!
    .code.replaceAll("../my-app", application);
  const setup = lines.split("\n").filter((line) => !line.includes("npm install") && !line.startsWith("npx tsx"));
  await run("bash", ["-ec", `${setup.join("\n")}\nnpm init -y && npm pkg set type=module`], { cwd: root });
  await symlink(join(root, "node_modules"), join(application, "node_modules"));
  const imports = Array.from((await readFile(join(application, "src/server.ts"), "utf8")).matchAll(/from "([^".]+)"/g));
  for (const [, name] of imports) assert.match(lines, new RegExp(`npm install .*\\b${name}\\b`));

  const redis = await spawnRedis(t);
  const environment = { REDIS_URL: `redis://127.0.0.1:${redis.port}` };
  const fromSource = await spawnExample(t, join(application, "src/server.ts"), environment);
  await fromSource.listening();

  const toJavaScript = blocksIn("sh").find(({ code }) => code.includes("--noCheck"))!.code;
  await run("bash", ["-ec", toJavaScript], { cwd: application });
  await run(process.execPath, ["user-sessions.js"], { cwd: application });
  await run(process.execPath, ["redis-connection/index.js"], { cwd: application });

  await writeFile(join(application, "tsconfig.json"), blocksIn("json")[0]!.code);
  await run(process.execPath, [join(root, "node_modules/typescript/bin/tsc")], { cwd: application });
  const compiled = await spawnExample(t, join(application, "dist/src/server.js"), environment);
  await compiled.listening();
});

describe("the demo's command lines in README and docs", () => {
  const lines = blocksIn("sh").flatMap(({ page, code }) => code.split("\n").map((line) => ({ page, line })));
  for (const { page, line } of lines.filter((each) => each.line.includes("npx tsx server.ts"))) {
    if (line.includes("--help")) continue;
    test(`are understood: ${page}, ${line}`, () => {
      const [assignments = "", options = ""] = line.split("npx tsx server.ts");
      const environment = Object.fromEntries(assignments.split(" ").map((each) => each.split("=")));
      assert.ok(parseOptions(options.split(" ").filter(Boolean), environment as NodeJS.ProcessEnv));
    });
  }
});

describe("terminal sessions in README and docs", () => {
  const skip = findProgram("curl") === undefined && "curl is not installed";
  for (const { page, code } of blocksIn("console")) {
    test(`give the output that is shown: ${page}`, { skip }, async (t) => {
      const redis = await spawnRedis(t);
      const environment = { REDIS_URL: `redis://127.0.0.1:${redis.port}` };
      const { url } = code.includes("localhost:3000")
        ? { url: await (await spawnExample(t, "examples/express.ts", environment)).listening() }
        : await spawnServerWith(t, redis);
      const sessionId = /"session_id":"([\w-]+)"/.exec(code)?.[1] ?? "no session ID";
      let realId = sessionId;
      for (const [, command, output] of code.matchAll(/^\$ (.+)\n((?:[^$\n].*\n)*)/gm)) {
        const line = command!
          .replaceAll(/localhost:(8080|3000)/g, url)
          .replaceAll("-p 6379", `-p ${redis.port}`)
          .replaceAll("curl", "curl -s")
          .replaceAll(sessionId, realId);
        const { stdout } = await run("bash", ["-c", line], { cwd: folder });
        realId = /"session_id":"([\w-]+)"/.exec(stdout)?.[1] ?? realId;
        assert.match(comparable(stdout.replaceAll(realId, sessionId)), patternOf(output!), command);
      }
    });
  }
});

/** Times, and the seconds left, differ from one run to the next. */
function comparable(text: string): string {
  return text
    .trim()
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:]+Z/g, "TIME")
    .replaceAll(/"session_deadline":"\d+"/g, '"session_deadline":"SECONDS"')
    .replaceAll(/"ttl":"?\d+"?/g, '"ttl":SECONDS');
}

function patternOf(output: string): RegExp {
  const literal = comparable(output).replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(`^${literal.replaceAll(/\s*…\s*/g, "[^]*")}$`);
}

describe("links in README and docs", () => {
  for (const [page, text] of texts) {
    test(`lead to files that exist: ${page}`, async () => {
      const targets = Array.from(text.matchAll(/\]\(([^)#]+)\)|(?:src|srcset)="([^"]+)"/g), ([, a, b]) => a ?? b!);
      for (const target of targets.filter((each) => !each.startsWith("http"))) {
        const path = join(dirname(page), target);
        await assert.doesNotReject(
          readFile(path).catch(() => readdir(path)),
          `${page}: ${target}`,
        );
      }
    });
  }
});

/**
 * Makes the package: `npm run package` writes `dist/` and, beside it, a tarball of it; `npm run package -- FOLDER` writes both
 * to another folder. They replace earlier ones, and only when both are complete. The same sources give the same bytes.
 */
import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** What an application can import, and the file that it is made of. */
const ENTRIES = {
  ".": "session-store.ts",
  "./user-sessions": "user-sessions.ts",
  "./session-cookie": "session-cookie.ts",
  "./session-watch": "session-watch.ts",
  "./redis-connection": "redis-connection/index.ts",
  "./express-session": "express-session-store.ts",
};

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const target = resolve(process.argv[2] ?? ".");
const folder = mkdtempSync(join(target, ".dist-")); // on the disk of the target, so that it can be moved there
try {
  const dist = join(folder, "dist");
  compile(dist);
  cpSync("scripts/package-readme.md", join(dist, "README.md"));
  cpSync("LICENSE", join(dist, "LICENSE"));
  cpSync("examples/express-4.cjs", join(dist, "express-4.cjs"));
  writeFileSync(join(dist, "package.json"), `${JSON.stringify(describePackage(), null, 2)}\n`);
  const tarball = pack(dist);
  rmSync(join(target, "dist"), { recursive: true, force: true });
  renameSync(dist, join(target, "dist"));
  renameSync(join(folder, tarball), join(target, tarball));
  console.log(`${tarball}: ${(statSync(join(target, tarball)).size / 1024).toFixed(0)} KB`);
} catch (error) {
  console.error(`The package was not made: ${String(error).split("\n", 1)[0]}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true });
}

/** @param {string} dist */
function compile(dist) {
  const configuration = {
    extends: resolve("tsconfig.json"),
    compilerOptions: {
      target: "es2022",
      lib: ["es2022"],
      rootDir: process.cwd(),
      outDir: dist,
      noEmit: false,
      allowImportingTsExtensions: false,
      rewriteRelativeImportExtensions: true,
      declaration: true,
      isolatedDeclarations: true, // so that the copied files compile in a project that has it, too
      allowJs: false,
      checkJs: false,
      sourceMap: true,
      inlineSources: true,
      stripInternal: true,
      typeRoots: [resolve("node_modules/@types")],
    },
    include: [],
    files: Object.values(ENTRIES).map((file) => resolve(file)),
  };
  const file = join(folder, "tsconfig.json");
  writeFileSync(file, JSON.stringify(configuration));
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "--project", file], { stdio: "inherit" });
}

/** Its package.json. */
function describePackage() {
  const project = JSON.parse(readFileSync("package.json", "utf8"));
  const { name, version, description, keywords, license, engines, dependencies, devDependencies } = project;
  const exports = Object.entries(ENTRIES).map(([entry, file]) => {
    const path = `./${file.replace(/\.ts$/, "")}`;
    return [entry, { types: `${path}.d.ts`, default: `${path}.js` }];
  });
  const optional = {
    "express-session": devDependencies["express-session"],
    "@types/express-session": devDependencies["@types/express-session"],
    "@types/express": "4 || 5",
  };
  return {
    name,
    version,
    description,
    keywords,
    license,
    type: "module",
    sideEffects: false,
    exports: Object.fromEntries(exports),
    engines,
    peerDependencies: { redis: dependencies.redis, ...optional },
    peerDependenciesMeta: Object.fromEntries(Object.keys(optional).map((peer) => [peer, { optional: true }])),
  };
}

/**
 * Returns the name of the tarball.
 *
 * @param {string} dist
 */
function pack(dist) {
  const args = ["pack", dist, "--pack-destination", folder, "--json", "--offline", "--ignore-scripts"];
  const output = execFileSync("npm", args, { encoding: "utf8", shell: process.platform === "win32" });
  const [{ filename }] = JSON.parse(output);
  return filename;
}

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { frameworksChart } from "./chart.ts";
import { BUSY_LIMIT, describeMachine } from "./machine.ts";
import { markdownTable, rounded, type Row } from "./table.ts";

export interface Results {
  redisVersion: string;
  /** Cores that other programs used, at most. */
  coresBusy: number;
  tables: Record<string, Row[]>;
}

const RESULTS = fileURLToPath(new URL("results.json", import.meta.url));
const CHART = fileURLToPath(new URL("chart.svg", import.meta.url));
const DOCUMENT = fileURLToPath(new URL("../docs/performance.md", import.meta.url));

/** Writes `results.json` and `chart.svg`, and in `docs/performance.md` what stands between the comments that name a table. */
export function publish({ redisVersion, coresBusy, tables }: Results): void {
  const date = new Date().toISOString().slice(0, 10);
  const machine = describeMachine();
  const results = { date, machine, nodeVersion: process.versions.node, redisVersion, coresBusy, tables };
  writeFileSync(RESULTS, `${JSON.stringify(results, roundNumbers, 2)}\n`);
  writeFileSync(CHART, frameworksChart(tables["frameworks"] ?? []));
  const busy = coresBusy < BUSY_LIMIT ? "" : ` Other programs used up to ${coresBusy.toFixed(1)} cores meanwhile.`;
  const run = `Measured on ${date}: ${machine}, Node ${process.versions.node}, Redis ${redisVersion}.${busy}`;
  let text = replaceBlock(readFileSync(DOCUMENT, "utf8"), "run", run);
  for (const [name, rows] of Object.entries(tables)) text = replaceBlock(text, name, markdownTable(rows));
  writeFileSync(DOCUMENT, text);
}

function replaceBlock(text: string, name: string, content: string): string {
  const block = new RegExp(`(<!-- ${name} -->\n).*?(<!-- /${name} -->)`, "s");
  if (!block.test(text)) throw new Error(`docs/performance.md has no <!-- ${name} -->`);
  return text.replace(block, (_, begin: string, end: string) => `${begin}\n${content}\n\n${end}`);
}

const roundNumbers = (_: string, value: unknown) => (typeof value === "number" ? rounded(value) : value);

/** Tables in Markdown, for the terminal and for `docs/performance.md`. */
import { readFileSync, writeFileSync } from "node:fs";

/** The keys are the column headings. */
export type Row = Record<string, string | number>;

const DOCUMENT = new URL("../docs/performance.md", import.meta.url);

/** Padded as oxfmt does it, with columns of numbers aligned to the right. */
export function markdownTable(rows: Row[]): string {
  const columns = Object.keys(rows[0] ?? {}).map((heading) => {
    const values = rows.map((row) => row[heading] ?? "");
    const cells = [heading, ...values.map(shown)];
    const width = Math.max(3, ...cells.map((cell) => cell.length));
    const isText = values.every((value) => typeof value === "string");
    const rule = isText ? "-".repeat(width) : `${"-".repeat(width - 1)}:`;
    const padded = cells.map((cell) => (isText ? cell.padEnd(width) : cell.padStart(width)));
    return padded.toSpliced(1, 0, rule);
  });
  const lines = columns[0]?.map((_, line) => columns.map((column) => column[line]).join(" | ")) ?? [];
  return lines.map((line) => `| ${line} |`).join("\n");
}

/** Three significant digits: more would be noise. */
function shown(value: string | number): string {
  if (typeof value === "string") return value;
  return Number.isFinite(value) ? value.toLocaleString("en", { maximumSignificantDigits: 3 }) : "–";
}

/** Replaces what stands between the two comments of each name. */
export function writeDocument(blocks: Record<string, string>): void {
  let text = readFileSync(DOCUMENT, "utf8");
  for (const [name, content] of Object.entries(blocks)) {
    const block = new RegExp(`(<!-- ${name} -->\n).*?(<!-- /${name} -->)`, "s");
    if (!block.test(text)) throw new Error(`docs/performance.md has no <!-- ${name} -->`);
    text = text.replace(block, (_, begin: string, end: string) => `${begin}\n${content}\n\n${end}`);
  }
  writeFileSync(DOCUMENT, text);
}

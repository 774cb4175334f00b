/** Tables in Markdown, for the terminal and for the documentation. */

/** The keys are the column headings. */
export type Row = Record<string, string | number>;

/** Padded as oxfmt does it. Columns of numbers are aligned to the right. */
export function markdownTable(rows: Row[]): string {
  const headings = Object.keys(rows[0] ?? {});
  const isNumber = headings.map((heading) => rows.some((row) => typeof row[heading] === "number"));
  const cells = [headings, ...rows.map((row) => headings.map((heading) => shown(row[heading] ?? "")))];
  const widths = headings.map((_, column) => Math.max(3, ...cells.map((line) => line[column]?.length ?? 0)));
  const padded = cells.map((line) =>
    line.map((cell, column) =>
      isNumber[column] ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
    ),
  );
  const rule = widths.map((width, column) => (isNumber[column] ? `${"-".repeat(width - 1)}:` : "-".repeat(width)));
  padded.splice(1, 0, rule);
  return padded.map((line) => `| ${line.join(" | ")} |`).join("\n");
}

/** Three significant digits: more would be noise. */
export const rounded = (value: number): number => Number(value.toPrecision(3));

function shown(value: string | number): string {
  if (typeof value === "string") return value;
  return Number.isFinite(value) ? rounded(value).toLocaleString("en", { maximumSignificantDigits: 3 }) : "–";
}

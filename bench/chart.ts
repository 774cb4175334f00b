/** The comparison in the same framework, as an SVG that follows the reader's light or dark color scheme. */
import { rounded, type Row } from "./table.ts";

const WIDTH = 720;
const BARS_START = 150;
const LONGEST_BAR = 490;
const BAR_HEIGHT = 16;
const ROUTE_HEIGHT = 46;
const HEADING_HEIGHT = 30;
const BARS_TOP = 78;

export function frameworksChart(rows: Row[]): string {
  const largest = Math.max(...rows.flatMap((row) => [Number(row["this store"]), Number(row["connect-redis"])]));
  const parts: string[] = [];
  let y = BARS_TOP;
  let framework: string | number | undefined;
  for (const row of rows) {
    if (row["framework"] !== framework) {
      framework = row["framework"];
      parts.push(`<text class="heading" x="20" y="${y + 18}">${framework}</text>`);
      y += HEADING_HEIGHT;
    }
    parts.push(`<text x="${BARS_START - 12}" y="${y + BAR_HEIGHT + 5}" text-anchor="end">${row["route"]}</text>`);
    parts.push(...bar(y, "store", Number(row["this store"]), largest));
    parts.push(...bar(y + BAR_HEIGHT + 2, "other", Number(row["connect-redis"]), largest));
    y += ROUTE_HEIGHT;
  }
  return svg(y + 6, parts.map((part) => `\n  ${part}`).join(""));
}

function bar(y: number, className: string, value: number, largest: number): string[] {
  const width = (value / largest) * LONGEST_BAR;
  return [
    `<rect class="${className}" x="${BARS_START}" y="${y}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}" rx="2"/>`,
    `<text class="value" x="${(BARS_START + width + 8).toFixed(1)}" y="${y + 13}">${rounded(value).toLocaleString("en")}</text>`,
  ];
}

const svg = (
  height: number,
  content: string,
): string => `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title">
  <title id="title">Requests a second that one core serves: this store beside connect-redis, in Express and in Fastify</title>
  <style>
    text { font: 14px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
    .title { font-size: 17px; font-weight: 600; }
    .heading { font-weight: 600; }
    .value { font-size: 13px; }
    .paper { fill: #ffffff; }
    .store { fill: #c6302b; }
    .other { fill: #8c959f; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .paper { fill: #0d1117; }
      .store { fill: #ff6b5e; }
      .other { fill: #6e7681; }
    }
  </style>
  <rect class="paper" width="${WIDTH}" height="${height}"/>
  <text class="title" x="20" y="30">Requests a second that one core serves</text>
  <rect class="store" x="20" y="48" width="12" height="12" rx="2"/>
  <text x="38" y="59">this store</text>
  <rect class="other" x="126" y="48" width="12" height="12" rx="2"/>
  <text x="144" y="59">connect-redis</text>${content}
</svg>
`;

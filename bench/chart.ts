/** Two charts as SVG by hand, each for light and for dark pages. */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type GrowthResult, isRaw, RAW_READ } from "./growth.ts";
import { type HttpResult, OURS } from "./http.ts";
import { rounded } from "./statistics.ts";

interface Theme {
  name: string;
  paper: string;
  ink: string;
  faint: string;
  grid: string;
  accent: string;
  other: string;
  lines: string[];
}

const THEMES: Theme[] = [
  {
    name: "light",
    paper: "#ffffff",
    ink: "#1f2328",
    faint: "#59636e",
    grid: "#d1d9e0",
    accent: "#c6302b",
    other: "#8c959f",
    lines: ["#c6302b", "#0969da", "#1a7f37", "#9a6700", "#8250df"],
  },
  {
    name: "dark",
    paper: "#0d1117",
    ink: "#f0f6fc",
    faint: "#9198a1",
    grid: "#3d444d",
    accent: "#ff6b5e",
    other: "#6e7681",
    lines: ["#ff6b5e", "#58a6ff", "#3fb950", "#d29922", "#bc8cff"],
  },
];

const WIDTH = 760;
const FONT = "font-family=\"system-ui, -apple-system, 'Segoe UI', sans-serif\"";

export function drawCharts(http: HttpResult[], growth: GrowthResult[]): void {
  const shown = growth.filter((result) => !isRaw(result) || result.operation === RAW_READ);
  for (const theme of THEMES) {
    write(`chart-requests-${theme.name}.svg`, requestsChart(http, theme));
    write(`chart-growth-${theme.name}.svg`, growthChart(shown, theme));
  }
}

function requestsChart(http: HttpResult[], theme: Theme): string {
  const results = http.filter(({ endpoint }) => endpoint === "GET /session");
  const sorted = results.toSorted((one, other) => other.requestsPerSecond - one.requestsPerSecond);
  const largest = sorted[0]?.requestsPerSecond ?? 1;
  const [left, top, step, widest] = [220, 64, 42, 420];
  const bars = sorted.map(({ contender, requestsPerSecond }, index) => {
    const y = top + index * step;
    const width = (requestsPerSecond / largest) * widest;
    const isOurs = contender === OURS;
    const weight = isOurs ? "600" : "400";
    return `
  <text x="${left - 12}" y="${y + 19}" text-anchor="end" font-size="14" font-weight="${weight}" fill="${theme.ink}">${contender}</text>
  <rect x="${left}" y="${y}" width="${width.toFixed(1)}" height="28" rx="3" fill="${isOurs ? theme.accent : theme.other}"/>
  <text x="${(left + width + 10).toFixed(1)}" y="${y + 19}" font-size="14" font-weight="${weight}" fill="${theme.ink}">${number(requestsPerSecond)}</text>`;
  });
  const title = "GET /session: requests a second";
  const note = "One Node process on one core, one Redis. Longer is better.";
  return svg(title, note, top + sorted.length * step + 12, theme, bars.join(""));
}

/** Speed by number of sessions, in percent of that with the fewest, measured side by side; tenfold from mark to mark. */
function growthChart(growth: GrowthResult[], theme: Theme): string {
  const sizes = Array.from(new Set(growth.map(({ sessions }) => sessions)));
  const operations = Array.from(new Set(growth.map(({ operation }) => operation)));
  const gridStep = 20;
  const highest = Math.ceil(Math.max(...growth.map(percentOf)) / gridStep) * gridStep;
  const [left, top, width, height] = [70, 76, 450, 260];
  const x = (sessions: number) => left + (sizes.indexOf(sessions) / Math.max(1, sizes.length - 1)) * width;
  const y = (percent: number) => top + height - (percent / highest) * height;
  const grid = Array.from({ length: highest / gridStep + 1 }, (_, index) => index * gridStep).map(
    (percent) => `
  <line x1="${left}" y1="${y(percent)}" x2="${left + width}" y2="${y(percent)}" stroke="${theme.grid}"/>
  <text x="${left - 10}" y="${y(percent) + 5}" text-anchor="end" font-size="13" fill="${theme.faint}">${percent}%</text>`,
  );
  const marks = sizes.map(
    (sessions) => `
  <text x="${x(sessions)}" y="${top + height + 24}" text-anchor="middle" font-size="13" fill="${theme.faint}">${number(sessions)}</text>`,
  );
  const last = sizes.at(-1);
  const atLast = growth.filter(({ sessions }) => sessions === last);
  const fromTheTop = atLast.toSorted((one, other) => percentOf(other) - percentOf(one));
  let labelBelow = Number.NEGATIVE_INFINITY;
  const lines = fromTheTop.map((result) => {
    const name = result.operation;
    const color = isRaw(result) ? theme.other : theme.lines[operations.indexOf(name) % theme.lines.length];
    const points = growth.filter(({ operation }) => operation === name);
    const path = points.map((point) => `${x(point.sessions).toFixed(1)},${y(percentOf(point)).toFixed(1)}`);
    labelBelow = Math.max(labelBelow + 18, y(percentOf(result)) + 5); // labels do not lie on each other
    return `
  <polyline points="${path.join(" ")}" fill="none" stroke="${color}" stroke-width="2.5" stroke-linejoin="round"/>
  <text x="${left + width + 12}" y="${labelBelow.toFixed(1)}" font-size="14" fill="${color}">${name}</text>`;
  });
  const title = "Speed by number of sessions in Redis";
  const note = "Operations a second, in percent of those with the fewest sessions. 64 in flight on one client.";
  return svg(title, note, top + height + 48, theme, [...grid, ...marks, ...lines].join(""));
}

function svg(title: string, note: string, height: number, theme: Theme, content: string): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ${FONT} role="img" aria-labelledby="title">
  <title id="title">${title}</title>
  <rect width="${WIDTH}" height="${height}" fill="${theme.paper}"/>
  <text x="20" y="28" font-size="17" font-weight="600" fill="${theme.ink}">${title}</text>
  <text x="20" y="48" font-size="13" fill="${theme.faint}">${note}</text>${content}
</svg>
`;
}

const percentOf = ({ ratioToSmallest }: GrowthResult) => ratioToSmallest * 100;
const number = (value: number) => rounded(value).toLocaleString("en");

function write(name: string, content: string): void {
  writeFileSync(fileURLToPath(new URL(name, import.meta.url)), content);
}

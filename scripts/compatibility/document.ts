/** Writes docs/compatibility.md. */
import { readFileSync, writeFileSync } from "node:fs";
import { markdownTable } from "../../bench/tables.ts";
import { clients, redisConnection } from "./rows.ts";

export type Cells = Record<"name" | "operations" | "races" | "lost" | "down" | "silence" | "needs", string>;

const DOCUMENT = new URL("../../docs/compatibility.md", import.meta.url);

/** Servers that people use. The page also names those that were not there. */
const SERVERS = ["Redis 7.0", "Redis 7.2", "Redis 7.4", "Redis 8.0", "Redis 8.2", "Valkey 8", "Valkey 9", "Redict 7"];
const MORE_SERVERS = ["KeyDB", "Dragonfly", "Garnet", "Kvrocks"];

export function writeDocument(results: Record<string, Cells[]>, server: string): void {
  let text = readFileSync(DOCUMENT, "utf8");
  const servers = results["servers"] ?? [];
  const missing = [...SERVERS, ...MORE_SERVERS].filter((name) => !servers.some((cells) => cells.name.startsWith(name)));
  const tables: Record<string, string> = {
    servers: [tableOf("server", servers), ...(missing.length > 0 ? [`Not tried: ${missing.join(", ")}.`] : [])].join(
      "\n\n",
    ),
    clients: tableOf("client", results["clients"]!),
    defaults: tableOf("client with its defaults", results["defaults"]!),
    runtimes: tableOf("runtime", results["runtimes"]!),
    frameworks: tableOf("framework", results["frameworks"]!),
    adapters: adapters(),
    conditions: `Where nothing else is said, the server is ${server}, the client ${redisConnection}, and the runtime Node ${process.versions.node}.`,
  };
  for (const [name, content] of Object.entries(tables)) {
    const block = new RegExp(`(<!-- ${name} -->\n).*?(<!-- /${name} -->)`, "s");
    if (!block.test(text)) throw new Error(`docs/compatibility.md has no <!-- ${name} -->`);
    text = text.replace(block, (_, begin: string, end: string) => `${begin}\n${content}\n\n${end}`);
  }
  writeFileSync(DOCUMENT, text);
}

function tableOf(what: string, rows: Cells[]): string {
  return markdownTable(
    rows.map(({ name, operations, races, lost, down, silence, needs }) => ({
      [what]: name,
      "all operations work": operations,
      "a log-out holds in 300 races": races,
      "a write whose reply was lost": lost,
      "a write without a connection": down,
      "a silent connection is given up": silence,
      "what must be set": needs,
    })),
  );
}

/** The code that was measured, once for all clients that it is for. */
function adapters(): string {
  const files = Array.from(new Set(clients.map(({ adapter }) => adapter)));
  return files
    .map((file) => {
      const names = clients.filter(({ adapter }) => adapter === file).map(({ name }) => name);
      const code = readFileSync(new URL(`adapters/${file}.ts`, import.meta.url), "utf8");
      return `### ${names.join(", ")}\n\n\`\`\`ts\n${code}\`\`\``;
    })
    .join("\n\n");
}

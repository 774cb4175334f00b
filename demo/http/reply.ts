import type { Header } from "./headers.ts";

/** What a route returns. The headers that every reply has are added when it is sent. */
export interface Reply {
  status: number;
  /** `Set-Cookie` may be there twice. */
  headers: Header[];
  body: string | Buffer;
}

const NO_STORE: Header = ["Cache-Control", "no-store"];
const ONE_HOUR: Header = ["Cache-Control", "public, max-age=3600"];

export const jsonReply = (value: object, status = 200, headers: Header[] = []): Reply => ({
  status,
  headers: [["Content-Type", "application/json; charset=utf-8"], NO_STORE, ...headers],
  body: JSON.stringify(value),
});

export const htmlReply = (html: string, status = 200, headers: Header[] = []): Reply => ({
  status,
  headers: [["Content-Type", "text/html; charset=utf-8"], NO_STORE, ...headers],
  body: html,
});

/** After a form: the browser loads this address with a GET. */
export const redirectReply = (location: string, headers: Header[]): Reply => ({
  status: 303,
  headers: [["Location", location], NO_STORE, ...headers],
  body: "",
});

/** A file that a browser may cache, because its address contains its version. */
export function fileReply(file: { type: string; content: Buffer; gzipped: Buffer }, acceptsGzip: boolean): Reply {
  const headers: Header[] = [["Content-Type", file.type], ONE_HOUR, ["Vary", "Accept-Encoding"]];
  if (!acceptsGzip) return { status: 200, headers, body: file.content };
  return { status: 200, headers: [...headers, ["Content-Encoding", "gzip"]], body: file.gzipped };
}

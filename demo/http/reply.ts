/** What goes back over the wire, besides the headers that every answer has. */
export interface Answer {
  status: number;
  /** Name, value, name, value …, as `writeHead` takes them. */
  headers: string[];
  body: string | Buffer;
}

const NO_STORE = ["Cache-Control", "no-store"];
const AN_HOUR = ["Cache-Control", "public, max-age=3600"];

export const jsonAnswer = (value: object, status = 200, headers: string[] = []): Answer => ({
  status,
  headers: ["Content-Type", "application/json; charset=utf-8", ...NO_STORE, ...headers],
  body: JSON.stringify(value),
});

export const htmlAnswer = (html: string, status = 200, headers: string[] = []): Answer => ({
  status,
  headers: ["Content-Type", "text/html; charset=utf-8", ...NO_STORE, ...headers],
  body: html,
});

export const seeOther = (location: string, headers: string[] = []): Answer => ({
  status: 303,
  headers: ["Location", location, ...NO_STORE, ...headers],
  body: "",
});

/** A file of the page's own, which a browser may keep: pages name it with a version. */
export const fileAnswer = (type: string, body: Buffer): Answer => ({
  status: 200,
  headers: ["Content-Type", type, ...AN_HOUR],
  body,
});

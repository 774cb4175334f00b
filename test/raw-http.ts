import { connect } from "node:net";
import { text } from "node:stream/consumers";

/** Sends a request as it is written, with CRLF for every line end, and returns all bytes until the server closes. */
export async function sendRaw(port: number, request: string, { end = false } = {}): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.write(request.replaceAll(/\r?\n/g, "\r\n"));
  if (end) socket.end();
  return text(socket);
}

export interface RawReply {
  status: number;
  headers: Headers;
  /** One character per byte. */
  body: string;
}

/** Parses the replies of one connection (one character per byte). Throws if one is not HTTP or is incomplete. */
export function parseReplies(received: string): RawReply[] {
  const replies: RawReply[] = [];
  for (let rest = received; rest !== "";) {
    const [head, status, lines] = /^HTTP\/1\.1 (\d{3}) [ -~]+\r\n((?:[\w-]+: [ -~]*\r\n)*)\r\n/.exec(rest) ?? [];
    if (head === undefined) throw new Error(`This is not an HTTP reply: ${JSON.stringify(rest.slice(0, 200))}`);
    const headers = new Headers(Array.from(lines!.matchAll(/^(.+?): (.*)\r$/gm), ([, name, value]) => [name!, value!]));
    rest = rest.slice(head.length);
    const isHeadOnly = rest === "" || rest.startsWith("HTTP/1.1 ");
    const length = isHeadOnly ? 0 : Number(headers.get("content-length"));
    if (rest.length < length) throw new Error(`This reply is incomplete: ${JSON.stringify(head + rest)}`);
    replies.push({ status: Number(status), headers, body: rest.slice(0, length) });
    rest = rest.slice(length);
  }
  return replies;
}

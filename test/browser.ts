import { parseSetCookie } from "cookie";

export interface SessionJson {
  authenticated?: boolean;
  session_id?: string;
  session?: Record<string, string> | null;
  configured_ttl?: number;
  ttl?: number;
  page_views?: number;
  error?: string;
}

export interface Reply {
  status: number;
  headers: Headers;
  setCookies: string[];
  text: string;
  /** Empty if the reply is not JSON. */
  json: SessionJson;
  /** The page without its `<template>` elements, which a browser does not show. */
  shown: string;
}

/** Sends requests and keeps cookies, as a browser does, but follows no redirect. */
export class Browser {
  readonly cookies = new Map<string, string>();
  readonly #url: string;

  constructor(url: string, sid?: string) {
    this.#url = url;
    if (sid !== undefined) this.cookies.set("sid", sid);
  }

  get sessionId(): string {
    return this.cookies.get("sid") ?? this.cookies.get("__Host-sid") ?? "";
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Reply> {
    return this.send(path, { headers });
  }

  post(path: string, form: Record<string, string> = {}, headers = {}): Promise<Reply> {
    return this.send(path, { method: "POST", headers, body: new URLSearchParams(form) });
  }

  async send(path: string, { headers = {}, ...init }: RequestInit = {}): Promise<Reply> {
    const cookie = Array.from(this.cookies, (pair) => pair.join("=")).join("; ");
    const response = await fetch(this.#url + path, {
      ...init,
      redirect: "manual",
      // A connection of its own: one that is kept may be closed by the server just when it is used again.
      headers: { connection: "close", ...(cookie !== "" && { cookie }), ...(headers as Record<string, string>) },
    });
    const setCookies = response.headers.getSetCookie();
    for (const { name, value = "", maxAge } of setCookies.map((header) => parseSetCookie(header))) {
      if (maxAge === 0) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    const body = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json");
    return {
      status: response.status,
      headers: response.headers,
      setCookies,
      text: body,
      json: isJson && body !== "" ? (JSON.parse(body) as SessionJson) : {},
      shown: body.replaceAll(/<template.*?<\/template>/gs, ""),
    };
  }
}

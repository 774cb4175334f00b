import { parseCookie, stringifySetCookie } from "cookie";

/** The one thing a browser keeps of its session: the ID, in a cookie that page scripts cannot read. */
export class SessionCookie {
  readonly name: string;
  readonly isSecure: boolean;
  readonly #attributes: { path: string; httpOnly: boolean; sameSite: "lax"; secure?: boolean };

  /** `secure`: over HTTPS only, and named `__Host-sid`, so that no neighbouring host can set it. */
  constructor({ secure = false } = {}) {
    this.isSecure = secure;
    this.name = secure ? "__Host-sid" : "sid";
    this.#attributes = { path: "/", httpOnly: true, sameSite: "lax", ...(secure && { secure }) };
  }

  /** The ID that was sent, be it alive, dead or nonsense; undefined where no such cookie was. */
  read(header: string | undefined): string | undefined {
    return header === undefined ? undefined : parseCookie(header)[this.name];
  }

  /** The `Set-Cookie` value that gives the browser an ID. It lasts as long as the browser; Redis keeps the time. */
  set(id: string): string {
    return stringifySetCookie(this.name, id, this.#attributes);
  }

  /** The `Set-Cookie` value that makes the browser forget the ID. */
  clear(): string {
    return stringifySetCookie(this.name, "", { ...this.#attributes, maxAge: 0 });
  }
}

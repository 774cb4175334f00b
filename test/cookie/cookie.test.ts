import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { parseCookie, stringifySetCookie } from "cookie";
import * as fc from "fast-check";
import { headerJar, SessionCookie, type SessionCookieOptions } from "../../session-cookie.ts";

const cookie = new SessionCookie();
const secure = new SessionCookie({ secure: true });
const ID = "a-_9".padEnd(43, "x");
const OTHER_ID = "y".repeat(43);

test("is sent over HTTPS only, and accepted from this host only, if it is secure", () => {
  assert.equal(secure.set(ID), `__Host-sid=${ID}; Path=/; HttpOnly; Secure; SameSite=Lax`);
  assert.equal(secure.clear(), "__Host-sid=; Max-Age=0; Path=/; HttpOnly; Secure; SameSite=Lax");
  assert.equal(secure.read(`sid=${OTHER_ID}; __Host-sid=${ID}`), ID);
  assert.equal(cookie.read(`sid=${OTHER_ID}; __Host-sid=${ID}`), OTHER_ID);
});

test("lasts until the browser is closed, or for as long as maxAge says", () => {
  assert.equal(cookie.set(ID), `sid=${ID}; Path=/; HttpOnly; SameSite=Lax`);
  assert.equal(new SessionCookie({ maxAge: 60 }).set(ID), `sid=${ID}; Max-Age=60; Path=/; HttpOnly; SameSite=Lax`);
  for (const maxAge of [0, -1, 1.5, Number.NaN, Infinity, 1e21]) {
    assert.throws(() => new SessionCookie({ maxAge }), {
      name: "RangeError",
      message: `maxAge must be a whole number of seconds greater than 0; got ${maxAge}`,
    });
  }
});

test("has the name, domain and attributes that are asked for, and is cleared with the same", () => {
  const framed = new SessionCookie({ name: "shop", secure: true, sameSite: "none", partitioned: true });
  assert.equal(framed.set(ID), `__Host-shop=${ID}; Path=/; HttpOnly; Secure; Partitioned; SameSite=None`);
  assert.equal(framed.clear(), "__Host-shop=; Max-Age=0; Path=/; HttpOnly; Secure; Partitioned; SameSite=None");
  const shared = new SessionCookie({ secure: true, sameSite: "strict", domain: "example.com" });
  assert.equal(shared.set(ID), `__Secure-sid=${ID}; Domain=example.com; Path=/; HttpOnly; Secure; SameSite=Strict`);
  assert.match(shared.clear(), /^__Secure-sid=; Max-Age=0; Domain=example\.com; /);
  assert.equal(new SessionCookie({ name: "shop", domain: "xn--bcher-kva.example" }).name, "shop");
});

test("is refused when it is made, if browsers would not accept it", () => {
  const wrong: Record<string, unknown>[] = [
    ...["", "a b", "a=b", "a;b", "a,b", "näme", "sid\n", '"sid"'].map((name) => ({ name })),
    ...["__Host-sid", "__Secure-sid", "__host-sid", "__Http-sid", "__Host-Http-sid"].map((name) => ({ name })),
    ...["Lax", "", true].map((sameSite) => ({ sameSite })),
    { sameSite: "none" },
    { partitioned: true },
    ...["", ".example.com", "example.com.", "a..b", "-a.com", "a_b.com", "https://example.com"].map((domain) => ({
      domain,
    })),
    ...["example.com:80", "example.com/", "127.0.0.1", "[::1]", "bücher.example", "a; Secure"].map((domain) => ({
      domain,
    })),
    { domain: `${"a".repeat(64)}.com` },
    { domain: "a.".repeat(126) + "com" },
  ];
  for (const options of wrong) {
    const [option] = Object.keys(options);
    assert.throws(
      () => new SessionCookie(options),
      ({ name, message }: Error) => name === "TypeError" && message.startsWith(option!),
      JSON.stringify(options),
    );
  }
});

test("is written as the package cookie writes it", () => {
  const all: SessionCookieOptions[] = [
    {},
    { secure: true },
    { maxAge: 60 },
    { secure: true, maxAge: 60, sameSite: "none", partitioned: true },
    { name: "shop", domain: "example.com", sameSite: "strict" },
    { secure: true, domain: "example.com", maxAge: 60, partitioned: true },
  ];
  for (const options of all) {
    const tested = new SessionCookie(options);
    const attributes = { ...tested.attributes };
    assert.equal(tested.set(ID), stringifySetCookie(tested.name, ID, attributes));
    assert.equal(tested.clear(), stringifySetCookie(tested.name, "", { ...attributes, maxAge: 0 }));
  }
});

test("is not read from a cookie whose name has another blank than a space or a tab beside it", async () => {
  for (const blank of ["\u00a0", "\ufeff", "\u2003", "\f", "\v", "\r", "\n"]) {
    assert.equal(secure.read(`${blank}__Host-sid=${ID}`), undefined);
    assert.equal(secure.read(`__Host-sid${blank}=${ID}`), undefined);
    assert.equal(secure.read(`__Host-sid=${blank}${ID}`), undefined);
  }
  assert.equal(secure.read(` \t__Host-sid\t = \t${ID} \t`), ID);
});

test("is found beside cookies of the same name that hold no session ID; of several IDs, the first counts", () => {
  for (const value of ["", "x", "x".repeat(44), `${ID}=`, `"${ID}"`, "é".repeat(43), "s%3Axyz.abc"]) {
    assert.equal(cookie.read(`sid=${value}`), undefined);
    for (const header of [`sid=${value}; sid=${ID}`, `sid=${ID}; sid=${value}`]) {
      assert.equal(cookie.read(header), ID);
      assert.equal(headerJar(header, () => {}).get("sid"), ID);
    }
  }
  assert.equal(cookie.read(`sid=${OTHER_ID}; sid=${ID}`), OTHER_ID);
});

test("is read as the package cookie reads it, whatever else the header contains", () => {
  const names = fc.constantFrom("sid", "SID", "xsid", "__Host-sid", "", "sid.", "a b");
  const values = fc.constantFrom(ID, OTHER_ID, ` ${ID}`, `${ID}\t `);
  const pair = fc.oneof(
    fc.tuple(names, values).map(([name, value]) => `${name}=${value}`),
    fc.string().map((text) => text.replaceAll("%", "")),
  );
  const header = fc
    .array(pair)
    .chain((pairs) => fc.constantFrom(pairs.join("; "), pairs.join(";"), pairs.join(" ;\t")));
  const property = fc.property(header, (text) => {
    const expected = parseCookie(text)["sid"];
    if (expected === undefined || expected.length === 43) assert.equal(cookie.read(text), expected);
  });
  fc.assert(property, { numRuns: 2000 });
  for (const none of [undefined, null, ""]) assert.equal(cookie.read(none), undefined);
});

test("is found in a header that was sent twice, as Node passes it on", async (t) => {
  const server = http.createServer((request, response) => response.end(cookie.read(request.headers.cookie)));
  t.after(() => server.close());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const request = http.request({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" });
  request.setHeader("Cookie", ["theme=dark", `sid=${ID}`]);
  const [response] = (await once(request.end(), "response")) as [http.IncomingMessage];
  assert.equal((await response.setEncoding("utf8").toArray()).join(""), ID);
});

test("is found in time that grows with the length of the header, and no faster", () => {
  const count = 4_000_000; // in quadratic time, this would be hours
  const headers = [
    `${"a=b; ".repeat(count)}sid=${ID}`,
    `${" ".repeat(count)}x=1; sid=${ID}`,
    `${" \t".repeat(count)}sid${" ".repeat(count)}=${" ".repeat(count)}x; sid=${ID}`,
    `${"=".repeat(count)};sid=${ID}`,
    `${"sid=".repeat(count)};sid=${ID}`,
  ];
  for (const header of headers) assert.equal(cookie.read(header), ID);
});

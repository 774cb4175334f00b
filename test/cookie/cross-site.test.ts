import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { isCrossSite } from "../../session-cookie.ts";

describe("a cross-site request", () => {
  const cases: [boolean, Record<string, string>][] = [
    [false, {}],
    [false, { host: "example.com" }],
    [false, { "sec-fetch-site": "same-origin" }],
    [false, { "sec-fetch-site": "none" }],
    [true, { "sec-fetch-site": "cross-site" }],
    [true, { "sec-fetch-site": "same-site" }],
    [true, { "sec-fetch-site": "" }],
    [true, { "sec-fetch-site": "nonsense" }],
    [false, { "sec-fetch-site": "none", origin: "null" }],
    [true, { "sec-fetch-site": "same-origin, none" }],
    [true, { "sec-fetch-site": "cross-site", origin: "https://example.com", host: "example.com" }],
    [false, { "sec-fetch-site": "same-origin", origin: "https://other.com", host: "example.com" }],
    [false, { origin: "https://example.com", host: "example.com" }],
    [false, { origin: "https://example.com", host: "example.com:443" }],
    [false, { origin: "https://EXAMPLE.com:443", host: "example.COM" }],
    [false, { origin: "http://example.com", host: "example.com:80" }],
    [false, { origin: "http://[::1]:8080", host: "[::1]:8080" }],
    [true, { origin: "http://example.com", host: "example.com:443" }],
    [true, { origin: "http://example.com:8080", host: "example.com" }],
    [true, { origin: "https://other.com", host: "example.com" }],
    [true, { origin: "https://example.com.other.com", host: "example.com" }],
    [true, { origin: "https://sub.example.com", host: "example.com" }],
    [true, { origin: "https://example.com" }],
    [true, { origin: "null", host: "example.com" }],
    [true, { origin: "null", host: "null" }],
    [true, { origin: "", host: "" }],
    [true, { origin: "http://[", host: "[" }],
    [true, { origin: "nonsense", host: "example.com" }],
    [true, { origin: "file://", host: "" }],
    [true, { origin: "https://example.com", host: "[" }],
    [true, { origin: "https://example.com, https://example.com", host: "example.com" }], // sent twice
    [true, { origin: `https://${"a".repeat(8192)}`, host: "example.com" }],
  ];
  for (const [expected, headers] of cases) {
    test(`is ${expected ? "recognized" : "not reported"} in ${JSON.stringify(headers)}`, () => {
      assert.equal(isCrossSite(headers), expected);
    });
  }

  test("is not reported for an allowed origin, whatever Sec-Fetch-Site says", () => {
    const allowedOrigins = ["https://app.example.com", "http://localhost:5173", "http://[::1]:8080"];
    for (const origin of allowedOrigins) {
      for (const site of ["same-site", "cross-site", undefined]) {
        const headers = { origin, host: "api.example.com", "sec-fetch-site": site };
        assert.equal(isCrossSite(headers, { allowedOrigins }), false);
        assert.equal(isCrossSite(headers), true);
      }
    }
    for (const origin of [
      "https://app.example.com:444",
      "http://app.example.com",
      "https://example.com",
      "null",
      undefined,
    ]) {
      const headers = { origin, host: "api.example.com", "sec-fetch-site": "same-site" };
      assert.equal(isCrossSite(headers, { allowedOrigins }), true);
    }
    assert.equal(isCrossSite({ "sec-fetch-site": "same-origin" }, { allowedOrigins }), false);
    assert.equal(isCrossSite({ origin: "https://example.com", host: "example.com" }, { allowedOrigins }), false);
  });

  test("cannot be allowed for what is no origin", () => {
    const wrong = [
      "",
      "null",
      "*",
      "example.com",
      "https://example.com/",
      "https://example.com/path",
      "https://*.example.com",
    ];
    const unlike = ["https://EXAMPLE.com", "https://example.com:443", "HTTP://example.com", "https://bücher.example"];
    const parts = [
      "https://user@example.com",
      "https://example.com?",
      " https://example.com",
      "file:///",
      "localhost:3000",
    ];
    for (const value of [...wrong, ...unlike, ...parts]) {
      assert.throws(() => isCrossSite({}, { allowedOrigins: ["https://example.com", value] }), {
        name: "TypeError",
        message: `allowedOrigins must be origins such as "https://example.com"; got ${JSON.stringify(value)}`,
      });
    }
  });

  test("is recognized whatever the headers contain, without an exception", () => {
    const text = fc.option(fc.oneof(fc.string(), fc.webUrl(), fc.domain()), { nil: undefined });
    const headers = fc.record({ host: text, origin: text, "sec-fetch-site": text });
    fc.assert(
      fc.property(headers, (value) => typeof isCrossSite(value) === "boolean"),
      { numRuns: 2000 },
    );
  });
});

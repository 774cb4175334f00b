export type Header = [name: string, value: string];

/** On every reply. The policy lets the page load its own style sheet, script and icon, and nothing else. */
export const SECURITY_HEADERS: Header[] = [
  [
    "Content-Security-Policy",
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
      "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  ],
  ["X-Content-Type-Options", "nosniff"],
  ["Referrer-Policy", "same-origin"], // with "no-referrer", browsers would send our own forms with `Origin: null`
];

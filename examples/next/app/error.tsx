"use client";

/** What a page shows if Redis is unavailable. Next replies with 500, and the cookie stays. */
export default function ErrorPage() {
  return <p role="alert">Something went wrong. Try again shortly.</p>;
}

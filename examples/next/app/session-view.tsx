"use client";

import { useEffect, useState } from "react";
import type { getSession } from "../session";

type Session = NonNullable<Awaited<ReturnType<Awaited<ReturnType<typeof getSession>>["read"]>>>;

/** A client component: the session is passed to it as it is, and it counts the seconds down. */
export function SessionView({ session }: { session: Session }) {
  const [end, setEnd] = useState<number>();
  const [now, setNow] = useState(0);
  useEffect(() => {
    setEnd(Date.now() + session.ttl * 1000);
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [session]);

  useEffect(() => {
    // The Back button may show this page as it was, although the user has logged out since.
    const reload = (event: PageTransitionEvent) => event.persisted && location.reload();
    addEventListener("pageshow", reload);
    return () => removeEventListener("pageshow", reload);
  }, []);

  const left = end === undefined ? session.ttl : Math.max(0, Math.ceil((end - now) / 1000));
  return <p>{left > 0 ? `Unless you use it, the session ends in ${left} seconds.` : "The session has ended."}</p>;
}

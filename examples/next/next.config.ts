import { join } from "node:path";
import type { NextConfig } from "next";

const config: NextConfig = {
  turbopack: { root: join(import.meta.dirname, "../..") }, // where the files are that session.ts imports
  experimental: { serverActions: { bodySizeLimit: "100kb" } },
};
export default config;

import { readFile } from "node:fs/promises";

const LINE =
  /`ACL SETUSER (?<user>\w+) on >(?<password>\w+) (?<rules>~[^`]+)`\s+On a cluster, add `(?<cluster>[^`]+)`; where the URL names a database, `(?<database>[^`]+)`/;
const README = await readFile(new URL("../README.md", import.meta.url), "utf8");
const { user, password, rules, cluster, database } = LINE.exec(README)!.groups as Record<string, string>;

/** The user that the README gives to the store, and what it adds for some. */
export const USER = user!;
export const PASSWORD = password!;
export const RULES = rules!.split(/\s+/);
export const ON_A_CLUSTER = cluster!.split(" ");
export const WITH_A_DATABASE = database!.split(" ");

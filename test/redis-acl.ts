import { readFile } from "node:fs/promises";

const text = await readFile("docs/redis-acl.txt", "utf8");
const commands = text.split("\n").filter((line) => line.startsWith("ACL SETUSER "));
const [[user, , password, ...rules], ...more] = commands.map((line) => line.split(" ").slice(2)) as [string[]];
const [forTheDemo, onACluster, withADatabase, toScan, whileMoving] = (more as string[][]).map(([, ...added]) => added);

/** The Redis user of docs/redis-acl.txt, and what some deployments need in addition. */
export const USER = user!;
export const PASSWORD = password!.slice(1);
export const RULES = rules;
export const FOR_THE_DEMO = forTheDemo!;
export const ON_A_CLUSTER = onACluster!;
export const WITH_A_DATABASE = withADatabase!;
export const TO_SCAN = toScan!;
export const WHILE_MOVING = whileMoving!;

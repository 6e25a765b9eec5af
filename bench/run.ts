import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";

/** Runs the programs of this folder one after the other: `npm run bench`, or `npm run bench -- lists accept`. */
const PROGRAMS = ["start", "lists", "accept", "operations", "scale", "volumes", "failover", "live-migration"];
const wanted = process.argv.slice(2);
for (const name of wanted.length > 0 ? wanted : PROGRAMS) {
  const file = join(import.meta.dirname, `${name}.ts`);
  if (!/^[a-z-]+$/.test(name) || !existsSync(file)) throw new Error(`there is no bench '${name}'`);
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", file], { stdio: "inherit" });
  const [code] = await once(child, "exit");
  if (code !== 0) process.exitCode = 1;
}

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("./fixtures/samples/", import.meta.url));

/** A published sample of the API. */
export function sample(name: string): unknown {
  return JSON.parse(readFileSync(`${FOLDER}${name}.json`, "utf8"));
}

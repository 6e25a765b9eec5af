import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { runProgram } from "../apps/server/testing/running-program.ts";
import { contracts } from "./contracts/contracts.ts";

/** Writes `contracts/` anew, from what the program serves. */
const root = dirname(import.meta.dirname);
const program = await runProgram();
const documents = contracts(root, program.server.http.faces);
await program.close();
for (const [path, text] of documents) {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
  console.log(path);
}

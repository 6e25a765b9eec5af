import { enableCompileCache } from "node:module";
import { fileURLToPath } from "node:url";

// Halves the CPU time of every start but the first. Beside the packages, because a shared folder could be written by others.
enableCompileCache(fileURLToPath(new URL("../../node_modules/.cache/pileus", import.meta.url)));
const { runCommandLine } = await import("./run-command-line.ts");

process.exitCode = await runCommandLine(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
});

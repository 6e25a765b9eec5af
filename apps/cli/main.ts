import { runCommandLine } from "./run-command-line.ts";

/** These go on, whoever still reads what they print. */
const LASTING: readonly string[] = ["up", "server", "agent"];
/** As shells tell the end of a program by SIGPIPE. */
const READER_GONE = 141;

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  if (!LASTING.includes(process.argv[2] ?? "")) process.exit(READER_GONE);
});

process.exitCode = await runCommandLine(process.argv.slice(2), {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
});

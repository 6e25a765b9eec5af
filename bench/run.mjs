import { launch } from "../bin/bootstrap.mjs";

await launch("bench/run.ts", process.argv.slice(2), { dev: true });

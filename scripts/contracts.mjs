import { launch } from "../bin/bootstrap.mjs";

await launch("scripts/contracts.ts", process.argv.slice(2), { dev: true });

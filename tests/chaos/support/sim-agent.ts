import { computeService } from "../../../agent/runtime/compute-service.ts";
import { httpLink } from "../../../agent/runtime/http-link.ts";
import { readIdentity } from "../../../agent/runtime/identity-file.ts";
import { startAgent } from "../../../agent/runtime/start-agent.ts";
import { systemClock } from "../../../kernel/clock/clock.ts";
import { systemIds } from "../../../kernel/ids/ids.ts";
import { Loggers } from "../../../kernel/log/logger.ts";
import { remoteDriver } from "./remote-driver.ts";

/** `sim-agent.ts STATE URL`: an agent as `pileus agent` runs it, but on the simulated machine of the process that started it. */
const [stateDir, url] = process.argv.slice(2);
if (!stateDir || !url) throw new Error("sim-agent.ts STATE URL");
const identity = await readIdentity(stateDir);
if (!identity) throw new Error(`nobody has joined for ${stateDir}`);

/** How long a poll is held; hosts are heard that often. */
const WAIT_MS = 2_000;

// Without its machine there is nothing to work on.
process.once("disconnect", () => process.exit(0));
await startAgent({
  stateDir,
  link: httpLink({ url }),
  identity,
  services: (session) => [computeService(remoteDriver(), session.openConsole)],
  clock: systemClock,
  ids: systemIds,
  random: Math.random,
  log: new Loggers({ level: "info" }).get("agent"),
  setLogLevels: () => undefined,
  waitMs: WAIT_MS,
});

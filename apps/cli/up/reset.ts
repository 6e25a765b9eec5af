import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { canUseNamespaces } from "../../../agent/drivers/compute/network/fabric.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { ServerSettings } from "../../server/settings.ts";
import { stopWorkloads } from "../local-hosts.ts";

/** By these we know a folder as ours; any other is left alone, whatever `--state` says. */
const MARKS = ["pileus.db", "clouds.yaml", "guest-image", "server.log"];

/** Stops every guest of a cloud that does not run, and deletes its state folder. Throws `cli.not_a_state_folder`. */
export async function resetCloud(
  { stateDir, database }: ServerSettings,
  hosts: readonly string[],
  say: (line: string) => void,
): Promise<number> {
  if (!existsSync(stateDir)) {
    say(`There is no ${stateDir}: nothing to delete.`);
    return 0;
  }
  if (!MARKS.some((name) => existsSync(join(stateDir, name)))) {
    const problem = `${stateDir} does not look like a state folder of Pileus; nothing was deleted.`;
    throw new CloudError("invalid", "cli.not_a_state_folder", problem);
  }
  if (existsSync(join(stateDir, "hosts"))) {
    say("Stopping the guests …");
    await stopWorkloads(stateDir, hosts, await canUseNamespaces());
  }
  await rm(stateDir, { recursive: true, force: true });
  say(`Deleted ${stateDir}. 'npm start' makes a new cloud.`);
  if (database !== null) say("The PostgreSQL database is left as it is; drop it to start afresh.");
  return 0;
}

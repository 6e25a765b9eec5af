import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "../../../../../kernel/clock/clock.ts";
import { FileLocks } from "../file-locks.ts";

const LIMIT_MS = 60_000;

/** Holds a volume's lock so often; throws when anybody else holds it then. */
export async function holdOften(folder: string, volumeId: string, times: number): Promise<void> {
  const locks = new FileLocks(join(folder, "locks"), { clock: systemClock });
  const signal = AbortSignal.timeout(LIMIT_MS);
  const held = join(folder, "held");
  for (let round = 0; round < times; round += 1) {
    await locks.holding([volumeId], signal, async () => {
      await (await open(held, "wx")).close();
      await rm(held);
    });
  }
}

/** The program of one of several processes. */
const [, program, folder, volumeId, times] = process.argv;
if (program === import.meta.filename && folder !== undefined && volumeId !== undefined)
  await holdOften(folder, volumeId, Number(times));

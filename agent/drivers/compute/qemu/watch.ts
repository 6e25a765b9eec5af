import { errorFields } from "../../../../kernel/log/logger.ts";
import { bringCards } from "./cards.ts";
import { limitLog } from "./console.ts";
import type { Guest } from "./guest.ts";
import type { Host } from "./host.ts";
import { noteArrival } from "./migration-destination.ts";
import { endProcess } from "./stop.ts";
import { bringVolumes } from "./volumes.ts";

const CHECK_MS = 60_000;

/** Adopts what runs on this host and looks at each guest whenever something happens to it. */
export async function watchGuests(host: Host): Promise<void> {
  host.onGuestChange = (guest) => host.inBackground("looking at a guest", look(host, guest));
  await Promise.all((await Array.fromAsync(host.guests())).map((guest) => adopt(host, guest)));
  checkRegularly(host);
}

/** One guest that cannot be looked at is no reason to leave the others alone: it is tried again. */
async function adopt(host: Host, guest: Guest): Promise<void> {
  try {
    if (!(await guest.isAlive())) return;
    await guest.qmp();
    await look(host, guest);
  } catch (error) {
    host.options.log.error({ server: guest.id, ...errorFields(error) }, "a guest's process cannot be adopted");
  }
}

/** Tells of a guest that ended by itself, and gives back cards and volumes that it let go of too late. */
async function look(host: Host, guest: Guest): Promise<void> {
  if (host.closing.aborted || !(await guest.load())) return;
  await noteArrival(guest);
  await guest.exclusive(async () => {
    if (host.closing.aborted || !(await guest.load())) return;
    const { intent, incoming, moved, outgoing, started } = guest.record;
    if (intent === "stopped" || incoming || moved || outgoing?.outcome === "running" || started === null) return;
    const power = await guest.power();
    if (power === "running") {
      await bringCards(host, guest, host.closing);
      await bringVolumes(host, guest, 0, host.closing);
    }
    if (power !== "stopped" && power !== "crashed") return;
    await endProcess(host, guest);
    await guest.update({ started: null, intent: power === "stopped" ? "stopped" : intent });
    await host.announce(power === "stopped" ? "stopped" : "died", guest);
  });
}

function checkRegularly(host: Host): void {
  const { clock } = host.options;
  const timer = clock.after(CHECK_MS, () => {
    const check = async () => {
      for await (const guest of host.guests()) {
        await limitLog(guest);
        if (!guest.isConnected) await adopt(host, guest);
      }
    };
    host.inBackground("checking the guests", check());
    checkRegularly(host);
  });
  host.closing.addEventListener("abort", () => timer.cancel(), { once: true });
}

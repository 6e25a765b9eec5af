import { exited } from "../../../process/pid-file.ts";
import { isUnreachable, type Qmp } from "../../../process/qmp.ts";
import { goneWithin, killForCertain } from "../../../process/running-process.ts";
import type { Call } from "../../../runtime/call.ts";
import type { Guest } from "./guest.ts";
import type { Host } from "./host.ts";

const QUIT_MS = 3_000;
/** A guest that is still starting has nobody to hear the button: it is pressed again. */
const PRESS_AGAIN_MS = 5_000;

/**
 * Brings the guest's process to an end: the power button, then the guest agent, then the plug. `graceMs` 0 pulls the plug at
 * once. Fine without a process. The record's intent becomes `stopped`.
 */
export async function stopGuest(host: Host, guest: Guest, graceMs: number, call: Call): Promise<void> {
  const status = graceMs > 0 ? await guest.status().catch(ignoreUnreachable) : null;
  if (status === "running") await askToPowerOff(host, guest, graceMs, call);
  await endProcess(host, guest);
  await guest.update({ intent: "stopped", started: null });
}

/** Ends the process without asking the guest. */
export async function endProcess(host: Host, guest: Guest): Promise<void> {
  const { clock } = host.options;
  const pid = await guest.pid();
  if (pid !== null) {
    // Nothing that is asked of a process that hangs comes true.
    const asked = await guest.qmp(QUIT_MS).then(quit, () => false);
    const ended = asked && (await goneWithin(pid, QUIT_MS, clock));
    if (!ended) await killForCertain(pid, clock);
  } else await exited(guest.files.pid, clock);
  await guest.release();
}

/** False when there was no answer. */
async function quit(qmp: Qmp): Promise<boolean> {
  return qmp.execute("quit", {}, QUIT_MS).then(
    () => true,
    // The answer and the end of the connection race; either will do.
    () => qmp.closed,
  );
}

async function askToPowerOff(host: Host, guest: Guest, graceMs: number, call: Call): Promise<void> {
  const { clock } = host.options;
  const qmp = await guest.qmp();
  const started = clock.now();
  let pressedAt = Number.NEGATIVE_INFINITY;
  let agentAsked = false;
  for (;;) {
    call.signal.throwIfAborted();
    const elapsed = clock.now() - started;
    if (qmp.closed || (await isOff(qmp)) || elapsed >= graceMs) return;
    if (elapsed - pressedAt >= PRESS_AGAIN_MS) {
      pressedAt = elapsed;
      await qmp.execute("system_powerdown").catch(ignoreUnreachable);
    } else if (!agentAsked && elapsed >= graceMs / 2) {
      agentAsked = true;
      await guest.agent.send("guest-shutdown", { mode: "powerdown" });
    }
    await qmp.changed(Math.min(500, graceMs));
  }
}

async function isOff(qmp: Qmp): Promise<boolean> {
  const state = await qmp.execute<{ status: string }>("query-status").catch(ignoreUnreachable);
  return state === undefined || state.status !== "running";
}

/** The process may end between two looks at it. */
function ignoreUnreachable(error: unknown): undefined {
  if (isUnreachable(error)) return undefined;
  throw error;
}

import { computeVerbs } from "../../../agent/protocol/compute.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type EffectContext, type Operation, operation } from "../../../kernel/operations/definition.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { POWER, type PowerState, type VmState } from "../domain/server-state.ts";
import { guestSpec } from "../guest-spec.ts";
import { endAction } from "../store/instance-actions.ts";
import { getServer, transition } from "../store/servers.ts";
import { unless } from "./call-errors.ts";
import { endWithFault } from "./end-with-fault.ts";
import { guestSlot, serveVolumesOf } from "./volume-calls.ts";

export type PowerAction = "start" | "stop" | "reboot" | "pause" | "unpause";

export interface PowerInput {
  readonly serverId: string;
  /** Where the server was when the change was asked for. */
  readonly host: string;
  /** For `reboot`. */
  readonly rebootType: "soft" | "hard" | null;
}

interface PowerRecipe {
  readonly act: (a: EffectContext, deps: ComputeDependencies, input: PowerInput) => Promise<unknown>;
  /** Brings the guest back to where it was; a reboot cannot be taken back and need not be. */
  readonly back: (a: EffectContext, deps: ComputeDependencies, input: PowerInput) => Promise<unknown>;
  readonly vm: VmState;
  readonly power: PowerState;
}

const RECIPES: Readonly<Record<PowerAction, PowerRecipe>> = {
  start: { act: run, back: stop, vm: "active", power: POWER.running },
  stop: { act: stop, back: run, vm: "stopped", power: POWER.shutdown },
  reboot: { act: reboot, back: async () => {}, vm: "active", power: POWER.running },
  pause: { act: pause, back: unpause, vm: "paused", power: POWER.paused },
  unpause: { act: unpause, back: pause, vm: "active", power: POWER.running },
};

const GONE = ["compute.guest_not_found", "compute.guest_not_running"];

/** `server.start`, `server.stop`, …: one change of the guest's power, then the state that users see. */
export function powerOperation(deps: ComputeDependencies, action: PowerAction): Operation<PowerInput> {
  const { clock } = deps.kernel;
  const recipe = RECIPES[action];
  return operation<PowerInput>(`server.${action}`, { resource: "server", deadlineMs: minutes(10) })
    .step("act", {
      event: `compute_${action}_instance`,
      eventHost: ({ input }) => input.host,
      slot: ({ input }) => guestSlot(input.serverId),
      effect: async (a, { input }) => {
        await recipe.act(a, deps, input);
      },
      // A guest that is gone, or that died meanwhile, has nothing to be brought back to.
      undo: (a, { input }) => unless(GONE, recipe.back(a, deps, input)),
      span: [5, 95],
    })
    .step("publish", {
      tx: async (t, { input, operation: op }) => {
        await transition(t, {
          clock,
          id: input.serverId,
          from: {},
          to: { vm: recipe.vm, task: null, set: { power_state: recipe.power } },
          action,
        });
        await endAction(t, clock, op.requestId, "ok");
      },
    })
    .onFailed((t, { input, operation: op }, { fault }) =>
      endWithFault(t, deps, { serverId: input.serverId, requestId: op.requestId, action, fault }),
    );
}

async function run(a: EffectContext, deps: ComputeDependencies, input: PowerInput): Promise<unknown> {
  const server = await getServer(a.read, input.serverId);
  await serveVolumesOf(a, deps, server.id);
  const spec = await guestSpec(a.read, deps, server);
  return await a.call(
    computeVerbs,
    "compute.ensure",
    { spec, power: "running" },
    { to: { host: homeOf(server) }, timeoutMs: deps.settings.bootTimeoutMs },
  );
}

async function stop(a: EffectContext, deps: ComputeDependencies, input: PowerInput): Promise<unknown> {
  const graceMs = deps.settings.shutdownTimeoutMs;
  const host = homeOf(await getServer(a.read, input.serverId));
  return await a.call(
    computeVerbs,
    "compute.ensureStopped",
    { serverId: input.serverId, graceMs },
    { to: { host }, timeoutMs: graceMs + minutes(1) },
  );
}

/**
 * A guest that is gone is made again over its disk: a reboot is what users try first on a server that does not answer. A hard one
 * also sees to it that its volumes are served.
 */
async function reboot(a: EffectContext, deps: ComputeDependencies, input: PowerInput): Promise<unknown> {
  const host = homeOf(await getServer(a.read, input.serverId));
  const graceMs = deps.settings.shutdownTimeoutMs;
  if (input.rebootType === "hard") await serveVolumesOf(a, deps, input.serverId);
  const command = { serverId: input.serverId, type: input.rebootType ?? "soft", graceMs };
  const options = { to: { host }, timeoutMs: graceMs + deps.settings.bootTimeoutMs };
  try {
    return await a.call(computeVerbs, "compute.reboot", command, options);
  } catch (error) {
    if (!(error instanceof CloudError) || !GONE.includes(error.code)) throw error;
    return await run(a, deps, input);
  }
}

async function pause(a: EffectContext, _deps: ComputeDependencies, input: PowerInput): Promise<unknown> {
  const host = homeOf(await getServer(a.read, input.serverId));
  return await a.call(computeVerbs, "compute.ensurePaused", { serverId: input.serverId }, { to: { host } });
}

async function unpause(a: EffectContext, _deps: ComputeDependencies, input: PowerInput): Promise<unknown> {
  const host = homeOf(await getServer(a.read, input.serverId));
  return await a.call(computeVerbs, "compute.ensureUnpaused", { serverId: input.serverId }, { to: { host } });
}

/** Throws `compute.no_host` for a server that was never placed. */
export function homeOf(server: { id: string; host: string | null }): string {
  if (server.host === null)
    throw new CloudError("conflict", "compute.no_host", `Instance ${server.id} is not on any host.`);
  return server.host;
}

import { computeVerbs } from "../../../agent/protocol/compute.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import type { Operation } from "../../../kernel/operations/definition.ts";
import { operation } from "../../../kernel/operations/definition.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { POWER } from "../domain/server-state.ts";
import { guestSpec } from "../guest-spec.ts";
import { placementHints } from "../scheduler/placement-hints.ts";
import { selectHost } from "../scheduler/select-host.ts";
import { endAction } from "../store/instance-actions.ts";
import { flavorOf, getServer, roomOf, storedFault, transition } from "../store/servers.ts";
import { type CleanupInput, startCleanup } from "./cleanup.ts";
import {
  connectVolumes,
  makeVolumes,
  publishVolumes,
  reserveMade,
  serveReserved,
  volumesMade,
} from "./first-volumes.ts";
import { freeAddresses } from "./free-addresses.ts";
import { freeVolumes, type ReleaseVolumeInput } from "./release-volume.ts";
import { excludedHosts, retryElsewhere } from "./retry-elsewhere.ts";

export interface CreateServerInput {
  readonly serverId: string;
  /** The one host wanted by an administrator. */
  readonly host: string | null;
  /** Takes `host` without asking the scheduler (`availability_zone` of the form zone:host). */
  readonly force: boolean;
  /** It has volumes: rows of its block devices. */
  readonly volumes?: boolean;
}

/** Places and boots a new server, whose ports its request has made. A host that fails is cleaned and another one tried. */
export function createServerOperation(
  deps: ComputeDependencies,
  cleanup: Operation<CleanupInput>,
  releaseVolume: Operation<ReleaseVolumeInput>,
): Operation<CreateServerInput> {
  const { clock } = deps.kernel;
  return operation<CreateServerInput>("server.create", { resource: "server", deadlineMs: minutes(15) })
    .step("make-volumes", {
      // What is made here goes when the server is given up: see `onFailed`.
      when: ({ input }) => input.volumes === true,
      tx: (t, { input, operation: op }) => makeVolumes(t, deps, input.serverId, op.requestId),
    })
    .step("await-volumes", {
      when: ({ out }) => (out["make-volumes"]?.made.length ?? 0) > 0,
      effect: (a, { out }) => volumesMade(a, deps, out["make-volumes"]?.made ?? []),
      undo: async () => {},
    })
    .step("reserve-volumes", {
      when: ({ out }) => (out["make-volumes"]?.made.length ?? 0) > 0,
      tx: (t, { input }) => reserveMade(t, deps, input.serverId),
    })
    .step("schedule", {
      tx: async (t, { input, memo }) => {
        const server = await getServer(t, input.serverId);
        const host = await selectHost(t, deps, {
          serverId: server.id,
          flavor: roomOf(server, flavorOf(server)),
          zone: server.requested_zone,
          only: input.host,
          force: input.force,
          exclude: excludedHosts(memo),
          storage: server.storage === "shared" ? { kind: "shared", store: null } : { kind: "local" },
          ...(await placementHints(t, server)),
        });
        await transition(t, {
          clock,
          id: server.id,
          from: { vm: ["building"] },
          to: { task: "networking", set: { host: host.host, zone: host.zone } },
          action: "create",
        });
        return { host: host.host };
      },
      undoTx: async (t, { input, memo }) => {
        const server = await getServer(t, input.serverId);
        const { host } = server;
        if (host === null) return;
        await transition(t, {
          clock,
          id: server.id,
          from: {},
          to: { task: "scheduling", set: { host: null } },
          action: "create",
        });
        // When another host is tried next, that one needs a disk on shared storage.
        const everything = !excludedHosts(memo).includes(host);
        await startCleanup(t, deps, cleanup, { serverId: server.id, host, mayAdopt: false, everything });
      },
      span: [0, 5],
    })
    .step("connect", {
      tx: async (t, { input, out }) => {
        await deps.network.bindPorts(t, input.serverId, out.schedule.host);
        await transition(t, { clock, id: input.serverId, from: {}, to: { task: "spawning" }, action: "create" });
      },
      undoTx: (t, { input }) => deps.network.bindPorts(t, input.serverId, null),
      span: [5, 10],
    })
    .step("check-host", {
      // One try per host: the next try is on another host.
      maxAttempts: 1,
      effect: async (a, { input, out, memo }) => {
        const { host } = out.schedule;
        await retryElsewhere(deps, { step: "schedule", host, memo, fixed: input.host !== null }, () =>
          a.call(computeVerbs, "compute.probe", {}, { to: { host } }),
        );
      },
      undo: async () => {},
    })
    .step("serve-volumes", {
      when: ({ input }) => input.volumes === true,
      effect: (a, { input }) => serveReserved(a, deps, input.serverId),
      // They are served until the server is given up; another host finds them as they are.
      undo: async () => {},
    })
    .step("connect-volumes", {
      when: ({ input }) => input.volumes === true,
      tx: (t, { input, out }) => connectVolumes(t, deps, input.serverId, out["serve-volumes"] ?? {}),
    })
    .step("spawn", {
      event: "compute__do_build_and_run_instance",
      eventHost: ({ out }) => out.schedule.host,
      effect: async (a, { input, out, memo }) => {
        const spec = await guestSpec(a.read, deps, await getServer(a.read, input.serverId));
        await retryElsewhere(
          deps,
          { step: "schedule", host: out.schedule.host, memo, fixed: input.host !== null, startsGuest: true },
          () =>
            a.call(
              computeVerbs,
              "compute.ensure",
              { spec, power: "running" },
              {
                to: { host: out.schedule.host },
                timeoutMs: deps.settings.bootTimeoutMs,
                onProgress: (percent) => a.progress(percent),
              },
            ),
        );
      },
      // The clean-up that undoing `schedule` starts takes away what is there.
      undo: async () => {},
      span: [10, 99],
    })
    .step("publish", {
      tx: async (t, { input, operation: op }) => {
        if (input.volumes) await publishVolumes(t, deps, input.serverId);
        await transition(t, {
          clock,
          id: input.serverId,
          from: { vm: ["building"] },
          to: { vm: "active", task: null, set: { power_state: POWER.running, launched_at: clock.now(), fault: null } },
          action: "create",
        });
        await endAction(t, clock, op.requestId, "ok");
      },
    })
    .onFailed(async (t, { input, operation: op }, { fault }) => {
      await transition(t, {
        clock,
        id: input.serverId,
        from: { vm: ["building"] },
        to: { vm: "error", task: null, set: { fault: storedFault(clock, fault) } },
        action: "create",
      });
      await freeAddresses(t, deps.network, input.serverId);
      await freeVolumes(t, deps, releaseVolume, input.serverId, op.requestId);
      await endAction(t, clock, op.requestId, "error");
    });
}

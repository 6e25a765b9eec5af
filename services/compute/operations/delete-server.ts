import { computeVerbs } from "../../../agent/protocol/compute.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { allocationsOf, release } from "../store/allocations.ts";
import { blockDevicesOf } from "../store/block-devices.ts";
import { endAction } from "../store/instance-actions.ts";
import { endOpenMigrations } from "../store/migration-records.ts";
import { getServer, lockServer, transition } from "../store/servers.ts";
import { type CleanupInput, startCleanup } from "./cleanup.ts";
import { freeAddresses } from "./free-addresses.ts";
import { removeIfReachable } from "./guest-calls.ts";
import { freeVolumes, giveUpDevice, type ReleaseVolumeInput } from "./release-volume.ts";
import { stopServing } from "./volume-calls.ts";

export interface DeleteServerInput {
  readonly serverId: string;
}

/**
 * Removes a server from every host that may hold something of it. Whoever starts it has abandoned the server's other
 * operations. A host that is down does not hold up the user: it is cleaned when it returns.
 */
export function deleteServerOperation(
  deps: ComputeDependencies,
  cleanup: Operation<CleanupInput>,
  releaseVolume: Operation<ReleaseVolumeInput>,
): Operation<DeleteServerInput> {
  const { clock } = deps.kernel;
  return operation<DeleteServerInput>("server.delete", {
    resource: "server",
    deadlineMs: minutes(10),
    priority: () => 10,
  })
    .pivot()
    .step("find-hosts", {
      tx: async (t, { input }) => {
        const { storage } = await getServer(t, input.serverId);
        return { hosts: (await allocationsOf(t, input.serverId)).map((row) => row.host), storage };
      },
    })
    .step("destroy", {
      event: "compute_terminate_instance",
      eventHost: ({ out }) => out["find-hosts"].hosts[0] ?? null,
      effect: async (a, { input, out }) => {
        const { hosts, storage } = out["find-hosts"];
        const { serverId } = input;
        const disks = storage !== "shared";
        const gone = await Promise.all(hosts.map((host) => removeIfReachable(a, { serverId, host, disks })));
        return { unreachable: hosts.filter((_, index) => !gone[index]) };
      },
      span: [5, 90],
    })
    .step("remove-disk", {
      // A shared disk goes when no guest can use it any more; else with the last host that is cleaned.
      when: ({ out }) => out["find-hosts"].storage === "shared" && out.destroy.unreachable.length === 0,
      effect: async (a, { input, out }) => {
        const [host] = out["find-hosts"].hosts;
        if (host === undefined) return { unreachable: [] };
        const command = { serverId: input.serverId, disks: true, evenIfOwnedElsewhere: true };
        try {
          await a.call(computeVerbs, "compute.ensureAbsent", command, { to: { host } });
          return { unreachable: [] };
        } catch (error) {
          if (!(error instanceof CloudError) || error.kind !== "unavailable") throw error;
          return { unreachable: [host] };
        }
      },
      span: [90, 95],
    })
    .step("stop-serving", {
      // From a host that does not answer the guest may still write: its volumes are given up when the host has been cleaned.
      when: ({ out }) => out.destroy.unreachable.length === 0,
      effect: async (a, { input }) => {
        const given: string[] = [];
        for (const { id, volume_id } of await blockDevicesOf(a.read, input.serverId)) {
          if (volume_id === null) continue;
          try {
            await stopServing(a, deps, { volumeId: volume_id, serverId: input.serverId });
            given.push(id);
          } catch (error) {
            // Its backend does not hold up the user: who gives the volume up asks again.
            if (!(error instanceof CloudError)) throw error;
          }
        }
        return { given };
      },
      span: [95, 98],
    })
    .step("finish", {
      tx: async (t, { input, out, operation: op }) => {
        await endOpenMigrations(t, clock, input.serverId, "confirmed", ["finished", "confirming"]);
        await endOpenMigrations(t, clock, input.serverId, "error");
        await transition(t, {
          clock,
          id: input.serverId,
          from: {},
          to: { vm: "deleted", task: null, set: { deleted_at: clock.now() } },
          action: "delete",
        });
        const unreachable = [...out.destroy.unreachable, ...(out["remove-disk"]?.unreachable ?? [])];
        for (const host of out["find-hosts"].hosts) {
          if (unreachable.includes(host))
            await startCleanup(t, deps, cleanup, { serverId: input.serverId, host, mayAdopt: false });
          else await release(t, input.serverId, host);
        }
        await freeAddresses(t, deps.network, input.serverId);
        const gone = await lockServer(t, input.serverId);
        for (const device of await blockDevicesOf(t, input.serverId)) {
          if (gone && out["stop-serving"]?.given.includes(device.id))
            await giveUpDevice(t, deps, gone, device, op.requestId);
        }
        await freeVolumes(t, deps, releaseVolume, input.serverId, op.requestId);
        await endAction(t, clock, op.requestId, "ok");
      },
    })
    .build();
}

import { computeVerbs } from "../../../agent/protocol/compute.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { type Operation, operation } from "../../../kernel/operations/definition.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { allocationsOf, release } from "../store/allocations.ts";
import { endAction } from "../store/instance-actions.ts";
import { endOpenMigrations } from "../store/migration-records.ts";
import { transition } from "../store/servers.ts";
import { type CleanupInput, startCleanup } from "./cleanup.ts";
import { isUnavailable } from "./retry-elsewhere.ts";

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
): Operation<DeleteServerInput> {
  const { clock } = deps.kernel;
  return operation<DeleteServerInput>("server.delete", {
    resource: "server",
    deadlineMs: minutes(10),
    priority: () => 10,
  })
    .pivot()
    .step("find-hosts", {
      tx: async (t, { input }) => ({ hosts: (await allocationsOf(t, input.serverId)).map((row) => row.host) }),
    })
    .step("destroy", {
      event: "compute_terminate_instance",
      eventHost: ({ out }) => out["find-hosts"].hosts[0] ?? null,
      effect: async (a, { input, out }) => {
        const outcomes = await Promise.all(
          out["find-hosts"].hosts.map(async (host) => {
            try {
              await a.call(
                computeVerbs,
                "compute.ensureAbsent",
                { serverId: input.serverId, disks: true },
                { to: { host }, extra: host },
              );
              return [];
            } catch (error) {
              if (isUnavailable(error)) return [host];
              throw error;
            }
          }),
        );
        return { unreachable: outcomes.flat() };
      },
      span: [5, 95],
    })
    .step("finish", {
      tx: async (t, { input, out, operation: op }) => {
        await deps.network.releasePorts(t, input.serverId);
        await endOpenMigrations(t, clock, input.serverId, "confirmed");
        await transition(t, {
          clock,
          id: input.serverId,
          from: {},
          to: { vm: "deleted", task: null, set: { deleted_at: clock.now() } },
          action: "delete",
        });
        for (const host of out["find-hosts"].hosts) {
          if (out.destroy.unreachable.includes(host))
            await startCleanup(t, deps, cleanup, { serverId: input.serverId, host, mayAdopt: false });
          else await release(t, input.serverId, host);
        }
        await endAction(t, clock, op.requestId, "ok");
      },
    })
    .build();
}

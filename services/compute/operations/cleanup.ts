import { computeVerbs } from "../../../agent/protocol/compute.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import type { Operation } from "../../../kernel/operations/definition.ts";
import { operation } from "../../../kernel/operations/definition.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { allocationsOf, release } from "../store/allocations.ts";
import { completeEvacuations } from "../store/migration-records.ts";
import { transition } from "../store/servers.ts";
import type { ComputeTables, ServerRow } from "../store/tables.ts";

export interface CleanupInput {
  readonly serverId: string;
  /** A host that is not the server's own, but may hold something of it. */
  readonly host: string;
  /** When the guest turns out to run there and nowhere else, make that host the server's own. */
  readonly mayAdopt: boolean;
}

/**
 * Removes what an interrupted or finished move left on a host, then gives the room back. Only goes forward: a host that
 * is down is cleaned when it returns; until then the room stays taken and no scheduler sends the server there.
 */
export function cleanupOperation(deps: ComputeDependencies): Operation<CleanupInput> {
  const self: Operation<CleanupInput> = operation<CleanupInput>("server.cleanup", {
    resource: "server",
    deadlineMs: minutes(60),
  })
    .pivot()
    .step("look", {
      tx: async (t, { input }) => {
        const server = await serverEvenDeleted(t, input.serverId);
        const held = (await allocationsOf(t, input.serverId)).some((row) => row.host === input.host);
        const home = server && server.deleted_at === null ? server.host : null;
        return {
          needed: held && home !== input.host,
          home,
          storage: server?.storage ?? "local",
          deleted: server?.deleted_at !== null,
        };
      },
    })
    .step("inspect", {
      when: ({ input, out }) => out.look.needed && out.look.home !== null && input.mayAdopt,
      effect: async (a, { input, out }) => {
        const one = { serverId: input.serverId };
        const here = await a.call(computeVerbs, "compute.inspect", one, { to: { host: input.host } });
        if (!hasControl(here.guest?.power) || out.look.home === null) return { adopt: false };
        const there = await a.call(computeVerbs, "compute.inspect", one, {
          to: { host: out.look.home },
          extra: "home",
        });
        return { adopt: !hasControl(there.guest?.power) };
      },
    })
    .step("adopt", {
      when: ({ out }) => out.inspect?.adopt === true,
      tx: async (t, { input, out }) => {
        await transition(t, {
          clock: deps.kernel.clock,
          id: input.serverId,
          from: {},
          to: { set: { host: input.host } },
          action: "adopt",
        });
        await deps.network.bindPorts(t, input.serverId, input.host);
        if (out.look.home)
          await startCleanup(t, deps, self, { serverId: input.serverId, host: out.look.home, mayAdopt: false });
      },
    })
    .step("remove", {
      when: ({ out }) => out.look.needed && out.inspect?.adopt !== true,
      effect: async (a, { input, out }) => {
        const disks = out.look.storage === "local" || out.look.deleted;
        await a.call(
          computeVerbs,
          "compute.ensureAbsent",
          { serverId: input.serverId, disks },
          { to: { host: input.host } },
        );
      },
    })
    .step("release", {
      when: ({ out }) => out.look.needed && out.inspect?.adopt !== true,
      tx: async (t, { input }) => {
        await release(t, input.serverId, input.host);
        await completeEvacuations(t, deps.kernel.clock, input.serverId, input.host);
      },
    })
    .build();
  return self;
}

/** Starts the clean-up of one host in the caller's transaction. */
export async function startCleanup(
  t: Tx,
  deps: ComputeDependencies,
  cleanup: Operation<CleanupInput>,
  input: CleanupInput,
): Promise<void> {
  await deps.kernel.operations.start(t, cleanup, { input, resourceId: input.serverId });
}

function hasControl(power: string | undefined): boolean {
  return power === "running" || power === "paused";
}

async function serverEvenDeleted(t: Tx, id: string): Promise<ServerRow | undefined> {
  return await t.tables<ComputeTables>().selectFrom("servers").selectAll().where("id", "=", id).executeTakeFirst();
}

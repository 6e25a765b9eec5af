import { computeVerbs } from "../../../agent/protocol/compute.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { findServiceOn, isUp } from "../../../kernel/fleet/services.ts";
import { type EffectContext, type Operation, operation } from "../../../kernel/operations/definition.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { POWER } from "../domain/server-state.ts";
import { placementHints } from "../scheduler/placement-hints.ts";
import { selectHost, sharedStorageOf } from "../scheduler/select-host.ts";
import { allocationsOf } from "../store/allocations.ts";
import { factsOf, getHost } from "../store/hosts.ts";
import { endAction } from "../store/instance-actions.ts";
import { setMigration } from "../store/migration-records.ts";
import { flavorOf, getServer, roomOf, transition } from "../store/servers.ts";
import { type CleanupInput, cleanElsewhere } from "./cleanup.ts";
import { endWithFault } from "./end-with-fault.ts";
import { ensureGuest, removeForCertain, removeIfReachable } from "./guest-calls.ts";
import { moveEnds } from "./move-ends.ts";
import { recordMigration } from "./record-migration.ts";
import { excludedHosts, retryElsewhere } from "./retry-elsewhere.ts";
import { isVouchedDead } from "./vouched-dead.ts";

export interface EvacuateInput {
  readonly serverId: string;
  readonly host: string | null;
  readonly force: boolean;
  /** From 2.95 on an evacuated server ends stopped unless it was in error. */
  readonly stopAfter: boolean;
  readonly wasRunning: boolean;
}

/**
 * Starts a server of a dead host elsewhere: from the shared disk as it was left, or anew from its image. Nothing starts
 * before the old host is fenced, or an operator has vouched for its death with forced_down.
 */
export function evacuateServerOperation(
  deps: ComputeDependencies,
  cleanup: Operation<CleanupInput>,
): Operation<EvacuateInput> {
  const { clock } = deps.kernel;
  const action = "evacuate";
  return operation<EvacuateInput>("server.evacuate", { resource: "server", deadlineMs: minutes(30) })
    .step("record", {
      event: "rebuild_server",
      tx: async (t, { input, operation: op }) => {
        const server = await getServer(t, input.serverId);
        const record = { type: "evacuation", status: "accepted" } as const;
        const { source, migration } = await recordMigration(t, deps, op, server, record);
        return { source, migration, storage: server.storage };
      },
    })
    .step("schedule", {
      tx: async (t, { input, out, memo }) => {
        const server = await getServer(t, input.serverId);
        const store = sharedStorageOf(await getHost(t, out.record.source));
        const host = await selectHost(t, deps, {
          serverId: server.id,
          flavor: roomOf(server, flavorOf(server)),
          zone: server.requested_zone,
          only: input.host,
          force: input.force,
          exclude: [out.record.source, ...excludedHosts(memo)],
          storage: server.storage === "shared" ? { kind: "shared", store } : { kind: "local" },
          ...(await placementHints(t, server)),
        });
        const change = {
          status: "pre-migrating" as const,
          destHost: host.host,
          destAddress: factsOf(host).migrationAddress,
        };
        await setMigration(t, clock, out.record.migration, change);
        // An abandoned move, or an evacuation that failed, may have left something running on yet another host.
        const others = (await allocationsOf(t, server.id)).map((row) => row.host);
        return { host: host.host, zone: host.zone, suspects: others.filter((name) => name !== host.host) };
      },
      undoTx: (t, { input, out }) =>
        cleanElsewhere(t, deps, cleanup, { serverId: input.serverId, home: out.record.source, mayAdopt: false }),
      span: [0, 10],
    })
    .step("fence", {
      maxAttempts: 1,
      effect: async (a, { input, out, memo }) => {
        await retryElsewhere(
          deps,
          { step: "schedule", host: out.schedule.host, memo, fixed: input.host !== null },
          () =>
            stopEverywhere(a, {
              serverId: input.serverId,
              source: out.record.source,
              suspects: out.schedule.suspects,
              by: out.schedule.host,
              shared: out.record.storage === "shared",
            }),
        );
      },
      // What is off stays off: its host was dead to begin with.
      undo: async () => {},
      span: [10, 20],
    })
    .step("begin", {
      tx: (t, { input }) =>
        transition(t, {
          clock,
          id: input.serverId,
          from: { task: ["rebuilding"] },
          to: { task: "rebuild_spawning" },
          action,
        }).then(() => {}),
    })
    .step("spawn", {
      event: "compute_rebuild_instance",
      eventHost: ({ out }) => out.schedule.host,
      effect: (a, { input, out }) => {
        const running = input.wasRunning && !input.stopAfter;
        return ensureGuest(a, deps, { serverId: input.serverId, host: out.schedule.host, running });
      },
      undo: async (a, { input, out }) => {
        const there = { serverId: input.serverId, host: out.schedule.host, disks: out.record.storage !== "shared" };
        await removeForCertain(a, there);
      },
      span: [20, 95],
    })
    .step("switch", {
      tx: async (t, { input, out, operation: op }) => {
        const runs = input.wasRunning && !input.stopAfter;
        const set = {
          host: out.schedule.host,
          zone: out.schedule.zone,
          power_state: runs ? POWER.running : POWER.shutdown,
          launched_at: clock.now(),
          fault: null,
        };
        await transition(t, {
          clock,
          id: input.serverId,
          from: {},
          to: { vm: runs ? "active" : "stopped", task: null, set },
          action,
        });
        await moveEnds(t, deps, input.serverId, out.schedule.host);
        await setMigration(t, clock, out.record.migration, { status: "done" });
        const home = out.schedule.host;
        await cleanElsewhere(t, deps, cleanup, { serverId: input.serverId, home, mayAdopt: false });
        await endAction(t, clock, op.requestId, "ok");
      },
    })
    .onFailed(async (t, { input, out, operation: op }, { fault }) => {
      if (out.record) await setMigration(t, clock, out.record.migration, { status: "error" });
      const { requestId } = op;
      await endWithFault(t, deps, { serverId: input.serverId, requestId, action, fault, deadHost: true });
    });

  async function stopEverywhere(
    a: EffectContext,
    who: { serverId: string; source: string; suspects: readonly string[]; by: string; shared: boolean },
  ): Promise<void> {
    const { serverId, by, shared } = who;
    for (const dead of who.suspects) {
      // That the source is dead was judged when the request came.
      if (dead !== who.source) {
        if (await removeIfReachable(a, { serverId, host: dead, disks: !shared })) continue;
        if (await isHeard(a.read, dead)) throw stillHeard(dead);
      }
      await fence(a, { serverId, dead, by });
    }
  }

  /** A host that beats is not dead, whatever it fails to do; unless an operator has said that it is. */
  async function isHeard(q: Queries, host: string): Promise<boolean> {
    const service = await findServiceOn(q, host, "nova-compute");
    return service !== undefined && isUp(service, clock.now(), deps.fleet);
  }

  async function fence(a: EffectContext, who: { serverId: string; dead: string; by: string }): Promise<void> {
    const command = { host: who.dead, serverId: who.serverId };
    try {
      await a.call(computeVerbs, "compute.fence", command, { to: { host: who.by }, extra: who.dead });
    } catch (error) {
      if (!(error instanceof CloudError) || error.code !== "compute.fencing_unsupported") throw error;
      // Two guests with one address are as bad as two writers of one disk.
      if (!(await isVouchedDead(a.read, who.dead))) throw notFenced(who.dead);
    }
  }
}

function stillHeard(host: string): CloudError {
  return new CloudError(
    "unavailable",
    "compute.host_alive",
    `Host ${host} is alive but did not give the server up; try again.`,
  );
}

function notFenced(host: string): CloudError {
  return new CloudError(
    "conflict",
    "compute.not_fenced",
    `Host ${host} cannot be fenced from here. Make sure it is off, mark its service down (compute service set --down), then evacuate again.`,
  );
}

import { computeVerbs } from "../../../agent/protocol/compute.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { type Operation, operation, type ReceivedSignal } from "../../../kernel/operations/definition.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { POWER } from "../domain/server-state.ts";
import { guestSpec } from "../guest-spec.ts";
import { placementHints } from "../scheduler/placement-hints.ts";
import { selectHost, sharedStorageOf } from "../scheduler/select-host.ts";
import { release } from "../store/allocations.ts";
import { factsOf, getHost } from "../store/hosts.ts";
import { endAction } from "../store/instance-actions.ts";
import { migrationStatus, setMigration } from "../store/migration-records.ts";
import { flavorOf, getServer, roomOf, transition } from "../store/servers.ts";
import type { FlavorSnapshot } from "../store/tables.ts";
import { type CleanupInput, cleanElsewhere, startCleanup } from "./cleanup.ts";
import { endWithFault } from "./end-with-fault.ts";
import { ensureGuest, removeForCertain, removeIfReachable, stopGuest } from "./guest-calls.ts";
import { moveEnds } from "./move-ends.ts";
import { recordMigration } from "./record-migration.ts";
import { excludedHosts, retryElsewhere } from "./retry-elsewhere.ts";
import { guestSlot } from "./volume-calls.ts";

export interface ResizeInput {
  readonly serverId: string;
  /** Cold migration keeps the flavor. */
  readonly kind: "migration" | "resize";
  readonly flavor: FlavorSnapshot;
  /** The host that the user asked for. */
  readonly host: string | null;
  readonly wasRunning: boolean;
}

/** Payload of the signals `confirm` and `revert`: the request that decided. */
export interface Decision {
  readonly requestId: string | null;
}

/**
 * Cold migration and resize: one operation from the request to the confirm or revert that ends it. Up to `verify` it
 * undoes itself; from there it waits for the decision, and whichever it is only goes forward.
 */
export function resizeServerOperation(
  deps: ComputeDependencies,
  cleanup: Operation<CleanupInput>,
): Operation<ResizeInput> {
  const { clock } = deps.kernel;
  const { settings } = deps;
  const name = "migrate";
  return operation<ResizeInput>("server.resize", { resource: "server", deadlineMs: minutes(60) })
    .step("record", {
      event: "conductor_migrate_server",
      tx: async (t, { input, operation: op }) => {
        const server = await getServer(t, input.serverId);
        const record = { type: input.kind, status: "pre-migrating", newFlavor: input.flavor } as const;
        const { source, migration } = await recordMigration(t, deps, op, server, record);
        return { source, migration, oldFlavor: flavorOf(server), storage: server.storage };
      },
    })
    .step("schedule", {
      event: "cold_migrate",
      tx: async (t, { input, out, memo }) => {
        const server = await getServer(t, input.serverId);
        const store = sharedStorageOf(await getHost(t, out.record.source));
        const host = await selectHost(t, deps, {
          serverId: server.id,
          flavor: roomOf(server, input.flavor),
          zone: server.requested_zone,
          only: input.host,
          exclude: [out.record.source, ...excludedHosts(memo)],
          storage: server.storage === "shared" ? { kind: "shared", store } : { kind: "local" },
          ...(await placementHints(t, server)),
        });
        await setMigration(t, clock, out.record.migration, {
          destHost: host.host,
          destAddress: factsOf(host).migrationAddress,
        });
        return { host: host.host, zone: host.zone };
      },
      // Left to a clean-up, which also waits for a host that is down.
      undoTx: (t, { input, out }) =>
        cleanElsewhere(t, deps, cleanup, { serverId: input.serverId, home: out.record.source, mayAdopt: false }),
      span: [0, 5],
    })
    .step("prepare", {
      event: "compute_prep_resize",
      eventHost: ({ out }) => out.schedule.host,
      maxAttempts: 1,
      effect: async (a, { input, out, memo }) => {
        await retryElsewhere(
          deps,
          { step: "schedule", host: out.schedule.host, memo, fixed: input.host !== null },
          () => a.call(computeVerbs, "compute.probe", {}, { to: { host: out.schedule.host } }),
        );
      },
      undo: async () => {},
    })
    .step("begin", {
      tx: async (t, { input, out }) => {
        await setMigration(t, clock, out.record.migration, { status: "migrating" });
        await transition(t, {
          clock,
          id: input.serverId,
          from: { task: ["resize_prep"] },
          to: { task: "resize_migrating" },
          action: name,
        });
      },
    })
    .step("power-off", {
      event: "compute_resize_instance",
      eventHost: ({ out }) => out.record.source,
      slot: ({ input }) => guestSlot(input.serverId),
      effect: (a, { input, out }) => stopGuest(a, deps, { serverId: input.serverId, host: out.record.source }),
      undo: async (a, { input, out }) => {
        const { source: host, oldFlavor: flavor } = out.record;
        if (input.wasRunning) await ensureGuest(a, deps, { serverId: input.serverId, host, flavor, running: true });
      },
      span: [5, 15],
    })
    .step("serve-disk", {
      eventHost: ({ out }) => out.record.source,
      effect: async (a, { input, out }) => {
        return await a.call(
          computeVerbs,
          "compute.serveDisk",
          { serverId: input.serverId },
          { to: { host: out.record.source } },
        );
      },
      undo: async (a, { input, out }) => {
        await a.call(
          computeVerbs,
          "compute.ensureDiskNotServed",
          { serverId: input.serverId },
          { to: { host: out.record.source } },
        );
      },
    })
    .step("copy-disk", {
      eventHost: ({ out }) => out.schedule.host,
      // What has arrived at the destination is removed by the clean-up that undoing `schedule` starts.
      effect: async (a, { input, out }) => {
        const spec = await guestSpec(a.read, deps, await getServer(a.read, input.serverId), input.flavor);
        const { diskUri } = out["serve-disk"];
        await a.call(
          computeVerbs,
          "compute.receiveDisk",
          { spec, diskUri },
          {
            to: { host: out.schedule.host },
            timeoutMs: settings.diskCopyTimeoutMs,
            onProgress: (percent) => a.progress(percent),
          },
        );
      },
      undo: async () => {},
      span: [15, 60],
    })
    .step("stop-serving", {
      eventHost: ({ out }) => out.record.source,
      effect: async (a, { input, out }) => {
        await a.call(
          computeVerbs,
          "compute.ensureDiskNotServed",
          { serverId: input.serverId },
          { to: { host: out.record.source } },
        );
      },
      undo: async () => {},
    })
    .step("switch", {
      tx: async (t, { input, out }) => {
        await setMigration(t, clock, out.record.migration, { status: "post-migrating" });
        const to = {
          task: "resize_migrated" as const,
          set: { host: out.schedule.host, zone: out.schedule.zone, power_state: POWER.shutdown },
        };
        await transition(t, { clock, id: input.serverId, from: { task: ["resize_migrating"] }, to, action: name });
        await moveEnds(t, deps, input.serverId, out.schedule.host);
      },
      undoTx: async (t, { input, out }) => {
        await goHome(t, input.serverId, out.record.source);
      },
    })
    .step("begin-boot", {
      tx: async (t, { input }) => {
        await transition(t, {
          clock,
          id: input.serverId,
          from: { task: ["resize_migrated"] },
          to: { task: "resize_finish" },
          action: name,
        });
      },
    })
    .step("boot", {
      event: "compute_finish_resize",
      eventHost: ({ out }) => out.schedule.host,
      effect: (a, { input, out }) => {
        const { serverId, flavor, wasRunning: running } = input;
        return ensureGuest(a, deps, { serverId, host: out.schedule.host, flavor, running });
      },
      // The guest must be gone here before it starts at home again; one that was never started can wait for the clean-up.
      undo: async (a, { input, out }) => {
        const there = { serverId: input.serverId, host: out.schedule.host, disks: out.record.storage !== "shared" };
        if (input.wasRunning) await removeForCertain(a, there);
        else await removeIfReachable(a, there);
      },
      span: [60, 95],
    })
    .step("verify", {
      tx: async (t, { input, out, operation: op }) => {
        await setMigration(t, clock, out.record.migration, { status: "finished" });
        const power_state = input.wasRunning ? POWER.running : POWER.shutdown;
        const set = { flavor: JSON.stringify(input.flavor), power_state, launched_at: clock.now(), fault: null };
        await transition(t, {
          clock,
          id: input.serverId,
          from: { task: ["resize_finish"] },
          to: { vm: "resized", task: null, set },
          action: name,
        });
        await endAction(t, clock, op.requestId, "ok");
        return { at: clock.now() };
      },
    })
    .pivot()
    .step("decide", {
      effect: async (a, { out }) => {
        const revert = a.received("revert");
        if (revert) return decided("revert", revert);
        const confirm = a.received("confirm");
        if (confirm) return decided("confirm", confirm);
        const window = settings.resizeConfirmWindowMs;
        const due = out.verify.at + window;
        if (window > 0 && clock.now() >= due) return { decision: "confirm" as const, requestId: null };
        return a.wait({ signals: ["confirm", "revert"], ...(window > 0 ? { untilMs: due } : {}) });
      },
      span: [95, 96],
    })
    .step("begin-confirm", {
      when: ({ out }) => out.decide.decision === "confirm",
      // A user's revert that came in just as the window closed has been accepted: it stands.
      tx: async (t, { out }) => {
        const status = await migrationStatus(t, out.record.migration);
        if (status === "reverting") return { overruled: true };
        await setMigration(t, clock, out.record.migration, { status: "confirming" });
        return { overruled: false };
      },
    })
    .step("hear-revert", {
      when: ({ out }) => out["begin-confirm"]?.overruled === true,
      effect: async (a) => {
        const revert = a.received("revert");
        return revert ? decided("revert", revert) : a.wait({ signals: ["revert"] });
      },
    })
    .step("clean-source", {
      when: ({ out }) => !reverts(out),
      event: "compute_confirm_resize",
      eventHost: ({ out }) => out.record.source,
      requestId: ({ out }) => out.decide.requestId,
      effect: async (a, { input, out }) => {
        const { source: host, storage } = out.record;
        return { clean: await removeIfReachable(a, { serverId: input.serverId, host, disks: storage !== "shared" }) };
      },
    })
    .step("confirm", {
      when: ({ out }) => !reverts(out),
      tx: async (t, { input, out }) => {
        await setMigration(t, clock, out.record.migration, { status: "confirmed" });
        await giveUp(t, input.serverId, out.record.source, out["clean-source"]?.clean);
        await settle(t, input.serverId);
        await endAction(t, clock, out.decide.requestId, "ok");
      },
    })
    .step("remove-destination", {
      when: ({ out }) => reverts(out),
      event: "compute_revert_resize",
      eventHost: ({ out }) => out.schedule.host,
      requestId: ({ out }) => revertRequest(out),
      effect: async (a, { input, out }) => {
        const there = { serverId: input.serverId, host: out.schedule.host, disks: out.record.storage !== "shared" };
        return { clean: await removeForCertain(a, there) };
      },
    })
    .step("return", {
      when: ({ out }) => reverts(out),
      tx: async (t, { input, out }) => {
        await setMigration(t, clock, out.record.migration, { status: "reverted" });
        await goHome(t, input.serverId, out.record.source, JSON.stringify(out.record.oldFlavor));
        await giveUp(t, input.serverId, out.schedule.host, out["remove-destination"]?.clean);
      },
    })
    .step("restart-source", {
      when: ({ out }) => reverts(out),
      event: "compute_finish_revert_resize",
      eventHost: ({ out }) => out.record.source,
      requestId: ({ out }) => revertRequest(out),
      effect: (a, { input, out }) => {
        const { source: host, oldFlavor: flavor } = out.record;
        return ensureGuest(a, deps, { serverId: input.serverId, host, flavor, running: input.wasRunning });
      },
    })
    .step("revert", {
      when: ({ out }) => reverts(out),
      tx: async (t, { input, out }) => {
        const vm = input.wasRunning ? ("active" as const) : ("stopped" as const);
        const set = { power_state: input.wasRunning ? POWER.running : POWER.shutdown, launched_at: clock.now() };
        await transition(t, {
          clock,
          id: input.serverId,
          from: { vm: ["resized"] },
          to: { vm, task: null, set },
          action: "revertResize",
        });
        await endAction(t, clock, revertRequest(out), "ok");
      },
    })
    .onFailed(async (t, { input, out, operation: op }, { fault }) => {
      if (out.record) await setMigration(t, clock, out.record.migration, { status: "error" });
      const power = input.wasRunning ? POWER.running : POWER.shutdown;
      await endWithFault(t, deps, { serverId: input.serverId, requestId: op.requestId, action: name, fault, power });
    });

  /** Gives the room on a host back, which a clean-up does later where the host did not answer. */
  async function giveUp(t: Tx, serverId: string, host: string, clean: boolean | undefined): Promise<void> {
    if (clean) await release(t, serverId, host);
    else await startCleanup(t, deps, cleanup, { serverId, host, mayAdopt: false });
  }

  async function goHome(t: Tx, serverId: string, host: string, flavor?: string): Promise<void> {
    const { zone } = await getHost(t, host);
    const set = { host, zone, ...(flavor === undefined ? {} : { flavor }) };
    await transition(t, { clock, id: serverId, from: {}, to: { set }, action: name });
    await moveEnds(t, deps, serverId, host);
  }

  /** The state after a confirm follows the guest's power. */
  async function settle(t: Tx, serverId: string): Promise<void> {
    const server = await getServer(t, serverId);
    const vm = server.power_state === POWER.shutdown ? ("stopped" as const) : ("active" as const);
    await transition(t, {
      clock,
      id: serverId,
      from: { vm: ["resized"] },
      to: { vm, task: null },
      action: "confirmResize",
    });
  }
}

interface Verdict {
  readonly decision: "confirm" | "revert";
  /** Null when nobody asked: the window closed. */
  readonly requestId: string | null;
}

function decided(decision: Verdict["decision"], signal: ReceivedSignal): Verdict {
  return { decision, requestId: (signal.payload as unknown as Decision).requestId };
}

interface Decided {
  readonly decide: Verdict;
  readonly "hear-revert"?: Verdict | undefined;
}

function reverts(out: Decided): boolean {
  return out.decide.decision === "revert" || out["hear-revert"] !== undefined;
}

function revertRequest(out: Decided): string | null {
  return (out["hear-revert"] ?? out.decide).requestId;
}

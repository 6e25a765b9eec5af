import { computeVerbs, type MigrationMode } from "../../../agent/protocol/compute.ts";
import { minutes } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import { findServiceOn, isUp } from "../../../kernel/fleet/services.ts";
import { type EffectContext, type Operation, operation } from "../../../kernel/operations/definition.ts";
import type { Tx } from "../../../kernel/store/store.ts";
import type { ComputeDependencies } from "../dependencies.ts";
import { POWER } from "../domain/server-state.ts";
import { guestSpec } from "../guest-spec.ts";
import { placementHints } from "../scheduler/placement-hints.ts";
import { selectHost, sharedStorageOf } from "../scheduler/select-host.ts";
import { release } from "../store/allocations.ts";
import { factsOf, getHost } from "../store/hosts.ts";
import { endAction } from "../store/instance-actions.ts";
import { setMigration } from "../store/migration-records.ts";
import { flavorOf, getServer, roomOf, storedFault, transition } from "../store/servers.ts";
import type { RootStorage } from "../store/tables.ts";
import { isSilent } from "./call-errors.ts";
import { type CleanupInput, cleanElsewhere, startCleanup } from "./cleanup.ts";
import { endWithFault } from "./end-with-fault.ts";
import { removeIfReachable } from "./guest-calls.ts";
import { judgeMigration } from "./judge-migration.ts";
import { moveEnds } from "./move-ends.ts";
import { recordMigration } from "./record-migration.ts";
import { excludedHosts, retryElsewhere } from "./retry-elsewhere.ts";
import { completionTimeoutMs, runMigration, type Transfer } from "./run-migration.ts";
import { startSyncPower } from "./sync-power.ts";
import { guestSlot } from "./volume-calls.ts";
import { isVouchedDead } from "./vouched-dead.ts";

export interface LiveMigrateInput {
  readonly serverId: string;
  readonly host: string | null;
  readonly blockMigration: boolean | "auto";
  readonly diskOverCommit: boolean;
  /** Takes `host` without asking the scheduler. */
  readonly force: boolean;
  /** Name of the first event: pre-checks were synchronous before 2.34. */
  readonly synchronousChecks: boolean;
}

/**
 * Moves a running guest. Until memory starts to move everything is undone on failure. From there the truth is where the
 * guest runs: `migrate` finds out, and the operation goes forward to whichever end that is.
 */
export function liveMigrateServerOperation(
  deps: ComputeDependencies,
  cleanup: Operation<CleanupInput>,
): Operation<LiveMigrateInput> {
  const { clock } = deps.kernel;
  const { settings } = deps;
  const action = "os-migrateLive";
  const maxHosts = settings.migrateMaxRetries < 0 ? Number.POSITIVE_INFINITY : settings.migrateMaxRetries + 1;
  return operation<LiveMigrateInput>("server.live_migrate", { resource: "server", deadlineMs: minutes(120) })
    .step("record", {
      tx: async (t, { input, operation: op }) => {
        const server = await getServer(t, input.serverId);
        const flavor = flavorOf(server);
        const record = { type: "live-migration", status: "accepted" } as const;
        const { source, migration } = await recordMigration(t, deps, op, server, record);
        return { source, migration, mode: migrationMode(server.storage), storage: server.storage, flavor };
      },
    })
    .step("schedule", {
      event: "conductor_live_migrate_instance",
      tx: async (t, { input, out, memo }) => {
        const { source } = out.record;
        if (input.host === source) throw refused(`the server is already on host ${source}`);
        const server = await getServer(t, input.serverId);
        mustSuitStorage(server.storage, input.blockMigration);
        await mustBeHeard(t, source);
        const sourceHost = await getHost(t, source);
        const host = await selectHost(t, deps, {
          serverId: server.id,
          flavor: roomOf(server, out.record.flavor),
          zone: server.requested_zone,
          only: input.host,
          force: input.force,
          exclude: [source, ...excludedHosts(memo)],
          storage:
            server.storage === "shared" ? { kind: "shared", store: sharedStorageOf(sourceHost) } : { kind: "local" },
          ...(await placementHints(t, server)),
        });
        await setMigration(t, clock, out.record.migration, {
          destHost: host.host,
          destAddress: factsOf(host).migrationAddress,
        });
        return { host: host.host, zone: host.zone, sourceFacts: factsOf(sourceHost) };
      },
      undoTx: (t, { input, out }) => leaveDestination(t, out.record.source, input.serverId),
      span: [0, 2],
    })
    .step("check-destination", {
      event: "compute_check_can_live_migrate_destination",
      eventHost: ({ out }) => out.schedule.host,
      maxAttempts: 1,
      effect: async (a, { input, out, memo }) => {
        const spec = await guestSpec(a.read, deps, await getServer(a.read, input.serverId));
        const { sourceFacts, host } = out.schedule;
        const { mode, source } = out.record;
        const diskBytes = mode === "mirror" ? await diskToFind(a, source, input) : 0;
        const check = { spec, mode, sourceFacts, diskBytes };
        await retryElsewhere(deps, { step: "schedule", host, memo, fixed: input.host !== null, maxHosts }, () =>
          a.call(computeVerbs, "compute.checkDestination", check, { to: { host } }),
        );
      },
      undo: async () => {},
    })
    .step("check-source", {
      event: "compute_check_can_live_migrate_source",
      eventHost: ({ out }) => out.record.source,
      slot: ({ input }) => guestSlot(input.serverId),
      effect: async (a, { input, out }) => {
        const { guest } = await a.call(
          computeVerbs,
          "compute.inspect",
          { serverId: input.serverId },
          { to: { host: out.record.source } },
        );
        if (guest?.power !== "running" && guest?.power !== "paused") {
          throw new CloudError(
            "conflict",
            "compute.guest_not_running",
            `Instance ${input.serverId} is neither running nor paused on its host.`,
          );
        }
        return { paused: guest.power === "paused" };
      },
      undo: async () => {},
    })
    .step("queue", { tx: (t, { out }) => setMigration(t, clock, out.record.migration, { status: "queued" }) })
    .step("wait-for-turn", {
      slot: ({ out }) => ({
        key: `live-migrations-from:${out.record.source}`,
        max: settings.maxConcurrentLiveMigrations,
      }),
      effect: async () => {},
      undo: async () => {},
    })
    .step("begin", { tx: (t, { out }) => setMigration(t, clock, out.record.migration, { status: "preparing" }) })
    .step("prepare-destination", {
      event: "compute_pre_live_migration",
      eventHost: ({ out }) => out.schedule.host,
      effect: async (a, { input, out }) => {
        const spec = await guestSpec(a.read, deps, await getServer(a.read, input.serverId));
        const command = { spec, mode: out.record.mode };
        return await a.call(computeVerbs, "compute.prepareIncoming", command, {
          to: { host: out.schedule.host },
          timeoutMs: settings.bootTimeoutMs,
        });
      },
      undo: async (a, { input, out }) => {
        // A destination that is down is left to the clean-up that undoing `schedule` starts.
        await a
          .call(
            computeVerbs,
            "compute.abandonIncoming",
            { serverId: input.serverId },
            { to: { host: out.schedule.host } },
          )
          .catch((error: unknown) => {
            if (!isSilent(error)) throw error;
          });
      },
      span: [2, 10],
    })
    .step("run", {
      tx: async (t, { out }) => {
        await setMigration(t, clock, out.record.migration, { status: "running" });
        return { at: clock.now() };
      },
    })
    .pivot()
    .step("migrate", {
      event: "compute_live_migration",
      eventHost: ({ out }) => out.record.source,
      effect: (a, { input, out }) =>
        runMigration(a, {
          serverId: input.serverId,
          source: out.record.source,
          destination: out.schedule.host,
          command: {
            serverId: input.serverId,
            target: out["prepare-destination"],
            mode: out.record.mode,
            bandwidthMiBps: settings.liveMigrationBandwidth,
            downtimeMs: settings.liveMigrationDowntimeMs,
            autoConverge: settings.liveMigrationPermitAutoConverge,
            postCopy: settings.liveMigrationPermitPostCopy,
          },
          beganAt: out.run.at,
          timeoutMs: completionTimeoutMs(settings, out.record.flavor, out.record.mode),
          onTimeout: settings.liveMigrationTimeoutAction,
          clock,
        }),
      span: [10, 90],
    })
    .step("judge", {
      when: ({ out }) => out.migrate.outcome !== "completed",
      eventHost: ({ out }) => out.schedule.host,
      effect: (a, { input, out }) =>
        judgeMigration(a, {
          serverId: input.serverId,
          source: out.record.source,
          destination: out.schedule.host,
        }),
    })
    .step("finish-destination", {
      when: ({ out }) => arrived(out),
      event: "compute_post_live_migration_at_destination",
      eventHost: ({ out }) => out.schedule.host,
      effect: async (a, { input, out }) => {
        const spec = await guestSpec(a.read, deps, await getServer(a.read, input.serverId));
        const { host } = out.schedule;
        try {
          const { paused } = out["check-source"];
          const { power } = await a.call(computeVerbs, "compute.finishIncoming", { spec, paused }, { to: { host } });
          return { lives: power === "running" || power === "paused" };
        } catch (error) {
          // The guest went down with its new host: the server belongs there, from where it can be evacuated.
          if (!isSilent(error) || !(await isVouchedDead(a.read, host))) throw error;
          return { lives: false };
        }
      },
    })
    .step("switch", {
      when: ({ out }) => arrived(out),
      tx: async (t, { input, out }) => {
        // From here on the server is the user's again; what is left to do at the source does not concern it.
        const power_state = out["check-source"].paused ? POWER.paused : POWER.running;
        const to = { task: null, set: { host: out.schedule.host, zone: out.schedule.zone, power_state } };
        await transition(t, { clock, id: input.serverId, from: { task: ["migrating"] }, to, action });
        await moveEnds(t, deps, input.serverId, out.schedule.host);
        if (out["finish-destination"]?.lives === false) await startSyncPower(t, deps, input.serverId);
      },
    })
    .step("clean-source", {
      when: ({ out }) => arrived(out),
      eventHost: ({ out }) => out.record.source,
      effect: async (a, { input, out }) => {
        const { source: host, storage } = out.record;
        return { clean: await removeIfReachable(a, { serverId: input.serverId, host, disks: storage !== "shared" }) };
      },
      span: [90, 100],
    })
    .step("complete", {
      when: ({ out }) => arrived(out),
      tx: async (t, { input, out, operation: op }) => {
        const { source, migration } = out.record;
        if (out["clean-source"]?.clean) await release(t, input.serverId, source);
        else await startCleanup(t, deps, cleanup, { serverId: input.serverId, host: source, mayAdopt: false });
        await setMigration(t, clock, migration, { status: "completed" });
        await endAction(t, clock, op.requestId, "ok");
      },
    })
    .step("roll-back", {
      when: ({ out }) => !arrived(out),
      event: "compute_rollback_live_migration_at_destination",
      eventHost: ({ out }) => out.schedule.host,
      tx: async (t, { input, out, operation: op }) => {
        const { migrate } = out;
        await leaveDestination(t, out.record.source, input.serverId);
        await setMigration(t, clock, out.record.migration, { status: migrate.aborted ? "cancelled" : "failed" });
        const fault =
          migrate.reason === null ? {} : { fault: storedFault(clock, { kind: "internal", message: migrate.reason }) };
        await transition(t, {
          clock,
          id: input.serverId,
          from: { task: ["migrating"] },
          to: { task: null, set: fault },
          action,
        });
        await startSyncPower(t, deps, input.serverId);
        await endAction(t, clock, op.requestId, migrate.aborted ? "ok" : "error");
      },
    })
    .onFailed(async (t, { input, out, operation: op }, { fault, cancelled }) => {
      if (out.record) await setMigration(t, clock, out.record.migration, { status: cancelled ? "cancelled" : "error" });
      await endWithFault(t, deps, { serverId: input.serverId, requestId: op.requestId, action, fault });
    });

  /** A source that is not heard cannot send its guest. */
  async function mustBeHeard(t: Tx, host: string): Promise<void> {
    const service = await findServiceOn(t, host, "nova-compute");
    if (service && isUp(service, clock.now(), deps.fleet)) return;
    throw refused(`the compute service of host ${host} is down`);
  }

  /** Left to a clean-up, which also waits for a host that is down. */
  async function leaveDestination(t: Tx, source: string, serverId: string): Promise<void> {
    await cleanElsewhere(t, deps, cleanup, { serverId, home: source, mayAdopt: false });
  }
}

/**
 * Room for the whole disk, or, with `disk_over_commit`, for what the guest has written to it so far. As OpenStack has it,
 * that is measured where the disk is.
 */
async function diskToFind(a: EffectContext, source: string, input: LiveMigrateInput): Promise<number> {
  const { serverId, diskOverCommit } = input;
  const measure = await a.call(computeVerbs, "compute.measureDisk", { serverId }, { to: { host: source } });
  return diskOverCommit ? measure.allocatedBytes : measure.sizeBytes;
}

function arrived(out: { migrate: Transfer; judge?: { arrived: boolean } | undefined }): boolean {
  return out.migrate.outcome === "completed" || out.judge?.arrived === true;
}

/** Without a disk of its host a guest moves as one on shared storage. */
function migrationMode(storage: RootStorage): MigrationMode {
  return storage === "local" ? "mirror" : "shared";
}

/** `block_migration` against where the disk really is. */
function mustSuitStorage(storage: RootStorage, blockMigration: boolean | "auto"): void {
  if (storage !== "local" && blockMigration === true) {
    throw refused("block migration can not be used with shared storage");
  }
  if (storage === "local" && blockMigration === false) {
    throw refused(
      "the server's disk is not on shared storage: block migration is needed (`--block-migration`, or API 2.25 and later, which choose it)",
    );
  }
}

function refused(reason: string): CloudError {
  return new CloudError("invalid", "compute.migration_precheck", `Migration pre-check error: ${reason}.`);
}

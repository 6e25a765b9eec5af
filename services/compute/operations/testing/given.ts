import type { StartOptions } from "../../../../kernel/operations/control.ts";
import type { Operation } from "../../../../kernel/operations/definition.ts";
import type { WorldTools } from "../../../../kernel/operations/testing/world-tools.ts";
import type { Tx } from "../../../../kernel/store/store.ts";
import type { TaskState } from "../../domain/server-state.ts";
import { POWER } from "../../domain/server-state.ts";
import { insertDevices } from "../../http/create-devices.ts";
import { blockDevicesOf } from "../../store/block-devices.ts";
import { recordAction } from "../../store/instance-actions.ts";
import { flavorOf, getServer, transition } from "../../store/servers.ts";
import type { ComputeTables, FlavorSnapshot, ServerRow } from "../../store/tables.ts";
import { beginAttach, volumeOfServer } from "../attach-volume.ts";
import type { CreateServerInput } from "../create-server.ts";
import { beginDetach } from "../detach-volume.ts";
import type { EvacuateInput } from "../evacuate-server.ts";
import type { LiveMigrateInput } from "../live-migrate-server.ts";
import type { PowerAction, PowerInput } from "../power.ts";
import type { ResizeInput } from "../resize-server.ts";
import { IMAGE_ID, type OperationHarness } from "./operation-harness.ts";

export const SMALL: FlavorSnapshot = {
  number: 1,
  id: "1",
  name: "m1.small",
  vcpus: 1,
  ramMiB: 512,
  diskGiB: 2,
  ephemeralGiB: 0,
  swapMiB: 0,
  extraSpecs: {},
};
export const LARGE: FlavorSnapshot = {
  ...SMALL,
  number: 2,
  id: "2",
  name: "m1.large",
  vcpus: 2,
  ramMiB: 1024,
  diskGiB: 4,
};

const PROJECT = "p1";
const USER = "u1";

export type Given = ReturnType<typeof given>;

/** Volumes of a server that is made: those that are there, and how many are made with it. `boots`: from the first of them. */
export interface GivenDevices {
  readonly existing?: readonly string[];
  readonly made?: number;
  readonly boots?: boolean;
  readonly deleteOnTermination?: boolean;
}

/** Where servers are made, and operations carried out. */
interface GivenWorld {
  readonly givenVolumes: Set<string>;
  withVolumes(): Promise<void>;
  readonly tools: Pick<WorldTools, "store">;
  readonly harness: OperationHarness;
  toTheEnd(): Promise<void>;
}

/** Servers, and operations in the state in which the API hands them over. */
export function given(world: GivenWorld) {
  const { store } = world.tools;
  const { deps, operations } = world.harness;
  const { clock, ids } = deps.kernel;

  /** State change, instance action and operation, as one request would write them. */
  async function prepared<Input>(
    serverId: string,
    action: string,
    task: TaskState | undefined,
    input: Input,
    more?: (t: Tx) => Promise<unknown>,
  ): Promise<StartOptions<Input>> {
    const requestId = `req-${ids.uuid()}`;
    await store.tx(async (t) => {
      if (task !== undefined) await transition(t, { clock, id: serverId, from: {}, to: { task }, action });
      await recordAction(t, deps.kernel, {
        serverId,
        requestId,
        action,
        userId: USER,
        projectId: PROJECT,
        operationId: null,
      });
      await more?.(t);
    });
    return { input, resourceId: serverId, projectId: PROJECT, userId: USER, requestId };
  }

  /** A volume that is there, and nobody's yet. */
  async function volume(): Promise<string> {
    await world.withVolumes();
    const wanted = { projectId: PROJECT, userId: USER, isAdmin: false, requestId: null, name: "data" };
    const id = await store.tx((t) =>
      deps.blockStorage.create(t, { ...wanted, sizeGiB: 1, type: null, source: { kind: "blank" } }),
    );
    await world.toTheEnd();
    world.givenVolumes.add(id);
    return id;
  }

  async function newServer(
    options: { storage?: "local" | "shared"; flavor?: FlavorSnapshot; devices?: GivenDevices } = {},
  ): Promise<string> {
    const { existing = [], made = 0, boots = false, deleteOnTermination = false } = options.devices ?? {};
    if (made > 0) await world.withVolumes();
    const from = { source: { kind: "blank" as const }, sizeGiB: 1, type: null, isAdmin: false };
    const wanted = [...existing, ...Array.from({ length: made }, () => null)].map((volumeId, place) => ({
      volumeId,
      from: volumeId === null ? from : null,
      bootIndex: boots && place === 0 ? 0 : null,
      deleteOnTermination,
      tag: null,
    }));
    const id = ids.uuid();
    const now = clock.now();
    const row: ServerRow = {
      id,
      number: parseInt(id.slice(0, 7), 16),
      project_id: PROJECT,
      user_id: USER,
      name: "guest",
      description: null,
      hostname: "guest",
      vm_state: "building",
      task_state: "scheduling",
      power_state: POWER.none,
      host: null,
      flavor: JSON.stringify(options.flavor ?? SMALL),
      image_id: boots ? "" : IMAGE_ID,
      image_properties: "{}",
      storage: boots ? "volume" : (options.storage ?? "local"),
      requested_zone: null,
      zone: null,
      key_name: null,
      public_key: null,
      metadata: "{}",
      tags: "[]",
      scheduler_hints: "{}",
      security_groups: "[]",
      user_data: null,
      config_drive: 0,
      disk_config: "MANUAL",
      access_ipv4: null,
      access_ipv6: null,
      reservation_id: "r-test",
      launch_index: 0,
      locked: 0,
      locked_by_admin: 0,
      locked_reason: null,
      fault: null,
      created_at: now,
      updated_at: now,
      launched_at: null,
      deleted_at: null,
      revision: 0,
    };
    await store.tx(async (t) => {
      await t.tables<ComputeTables>().insertInto("servers").values(row).execute();
      await insertDevices(t, deps, row, wanted);
      await deps.network.allocatePorts(t, {
        projectId: PROJECT,
        serverId: id,
        host: null,
        isAdmin: true,
        requested: "auto",
        securityGroups: [],
      });
    });
    return id;
  }

  const self = {
    newServer,
    prepared,
    volume,

    async start<Input>(definition: Operation<Input>, options: StartOptions<Input>): Promise<string> {
      return await store.tx((t) => deps.kernel.operations.start(t, definition, options));
    },

    create: (serverId: string, more: Partial<CreateServerInput> = {}) =>
      prepared<CreateServerInput>(serverId, "create", undefined, { serverId, host: null, force: false, ...more }),

    /** A server that runs on `host`, made through the create operation. */
    async server(
      options: {
        host?: string;
        storage?: "local" | "shared";
        flavor?: FlavorSnapshot;
        stopped?: boolean;
        devices?: GivenDevices;
      } = {},
    ): Promise<string> {
      const serverId = await newServer(options);
      const volumes = options.devices !== undefined;
      await self.start(operations.create, await self.create(serverId, { host: options.host ?? "a", volumes }));
      await world.toTheEnd();
      if (options.stopped) {
        await self.start(operations.power.stop, await self.power(serverId, "stop"));
        await world.toTheEnd();
      }
      return serverId;
    },

    /** As the request does it: the volume is kept for the server. */
    async attach(serverId: string, volumeId: string) {
      const wanted = { serverId, volumeId, tag: null, deleteOnTermination: false };
      const row = await store.tx((t) => beginAttach(t, deps, wanted));
      return await prepared(serverId, "attach_volume", undefined, volumeOfServer(row));
    },

    async detach(serverId: string) {
      const [row] = await blockDevicesOf(store.read, serverId);
      const { volume_id = null, attachment_id = null } = row ?? {};
      if (!row || volume_id === null || attachment_id === null) throw new Error("the server has no volume");
      const taken = { ...row, volume_id, attachment_id };
      await store.tx((t) => beginDetach(t, deps, taken));
      return await prepared(serverId, "detach_volume", undefined, volumeOfServer(taken));
    },

    async power(serverId: string, action: PowerAction, rebootType: "soft" | "hard" | null = null) {
      const host = (await getServer(store.read, serverId)).host ?? "";
      return await prepared<PowerInput>(serverId, action, POWER_TASKS[action], { serverId, host, rebootType });
    },

    async resize(serverId: string, more: Partial<ResizeInput> = {}) {
      const server = await getServer(store.read, serverId);
      const input: ResizeInput = {
        serverId,
        kind: "migration",
        flavor: flavorOf(server),
        host: null,
        wasRunning: server.vm_state === "active",
        ...more,
      };
      return await prepared(serverId, input.kind === "resize" ? "resize" : "migrate", "resize_prep", input);
    },

    /** The request that decides about a resize: state and signal together, as the API writes them. */
    async decide(serverId: string, decision: "confirm" | "revert"): Promise<void> {
      const requestId = `req-${ids.uuid()}`;
      const action = decision === "confirm" ? "confirmResize" : "revertResize";
      await store.tx(async (t) => {
        const migration = await t
          .tables<ComputeTables>()
          .updateTable("migrations")
          .set({ status: decision === "confirm" ? "confirming" : "reverting" })
          .where("server_id", "=", serverId)
          .where("status", "=", "finished")
          .returningAll()
          .executeTakeFirstOrThrow();
        if (decision === "revert")
          await transition(t, {
            clock,
            id: serverId,
            from: { vm: ["resized"] },
            to: { task: "resize_reverting" },
            action,
          });
        await recordAction(t, deps.kernel, {
          serverId,
          requestId,
          action,
          userId: USER,
          projectId: PROJECT,
          operationId: migration.operation_id,
        });
        await deps.kernel.operations.signal(t, migration.operation_id, decision, { requestId });
      });
    },

    liveMigrate: (serverId: string, more: Partial<LiveMigrateInput> = {}) =>
      prepared<LiveMigrateInput>(serverId, "live-migration", "migrating", {
        serverId,
        host: null,
        blockMigration: "auto",
        diskOverCommit: false,
        force: false,
        synchronousChecks: false,
        ...more,
      }),

    async evacuate(serverId: string, more: Partial<EvacuateInput> = {}) {
      const server = await getServer(store.read, serverId);
      const wasRunning = server.power_state === POWER.running;
      const input: EvacuateInput = { serverId, host: null, force: false, stopAfter: false, wasRunning, ...more };
      return await prepared(serverId, "evacuate", "rebuilding", input);
    },

    only: (serverId: string) => prepared(serverId, "other", undefined, { serverId }),

    delete: (serverId: string) => prepared(serverId, "delete", "deleting", { serverId }),
  };
  return self;
}

const POWER_TASKS: Readonly<Record<PowerAction, TaskState>> = {
  start: "powering-on",
  stop: "powering-off",
  reboot: "rebooting",
  pause: "pausing",
  unpause: "unpausing",
};

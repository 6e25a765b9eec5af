import { CloudError } from "../../kernel/errors/cloud-error.ts";
import type {
  BlockStorageDriver,
  ManageableVolumes,
  Replication,
  VolumeMigration,
} from "../drivers/block-storage/driver.ts";
import { type BlockStorageVerb, type BlockStorageVerbs, blockStorageVerbs } from "../protocol/block-storage.ts";
import type { ProvidedService } from "../protocol/envelope.ts";
import type { InputOf, ResultOf } from "../protocol/verb.ts";
import type { AgentService, VerbHandler, VerbMode } from "./agent-service.ts";
import type { Call } from "./call.ts";

/** One backend of this host. */
export interface ServedBackend {
  driver: BlockStorageDriver;
  /** Its availability zone, when that is not the one of the cloud. */
  zone?: string;
}

type Handlers = {
  [V in BlockStorageVerb]: (
    driver: BlockStorageDriver,
    input: InputOf<BlockStorageVerbs[V]>,
    call: Call,
  ) => Promise<ResultOf<BlockStorageVerbs[V]>>;
};

const MODES: Partial<Record<BlockStorageVerb, VerbMode>> = {
  "volume.inspect": "read",
  "volume.list": "read",
  "snapshot.inspect": "read",
  "backend.stats": "read",
  "volume.listManageable": "read",
};

/** What each verb asks of the driver. An ability that the driver lacks answers `storage.not_supported`. */
const HANDLERS: Handlers = {
  "volume.ensure": (driver, { spec }, call) => driver.ensure(spec, call),
  "volume.ensureAbsent": (driver, { volumeId }, call) => nothing(driver.ensureAbsent(volumeId, call)),
  "volume.ensureSize": (driver, { volumeId, sizeGiB }, call) => driver.ensureSize(volumeId, sizeGiB, call),
  "volume.ensureExported": (driver, { volumeId }, call) => driver.ensureExported(volumeId, call),
  "volume.ensureNotExported": (driver, { volumeId }, call) => driver.ensureNotExported(volumeId, call),
  "volume.inspect": async (driver, { volumeId }) => ({ volume: (await driver.inspect(volumeId)) ?? null }),
  "volume.list": async (driver) => ({ volumes: await driver.list() }),
  "snapshot.ensure": (driver, { snapshotId, volumeId }, call) => driver.ensureSnapshot(snapshotId, volumeId, call),
  "snapshot.ensureAbsent": (driver, { snapshotId }, call) => nothing(driver.ensureSnapshotAbsent(snapshotId, call)),
  "snapshot.inspect": async (driver, { snapshotId }) => ({
    snapshot: (await driver.inspectSnapshot(snapshotId)) ?? null,
  }),
  "volume.receive": async (driver, { volumeId, sizeGiB, replicated }, call) =>
    migration(driver).receive({ volumeId, sizeGiB, replicated }, call),
  "volume.copyOut": async (driver, { volumeId, target }, call) => migration(driver).copyOut(volumeId, target, call),
  "volume.finishCopy": async (driver, { volumeId, target, compare }, call) =>
    nothing(migration(driver).finishCopy(volumeId, { target, compare }, call)),
  "volume.abandonCopy": async (driver, { volumeId }, call) => nothing(migration(driver).abandonCopy(volumeId, call)),
  "backend.stats": (driver) => driver.stats(),
  "backend.failover": async (driver, { targetId }, call) => replication(driver).failover(targetId, call),
  "backend.freeze": (driver, _input, call) => nothing(driver.setFrozen(true, call)),
  "backend.thaw": (driver, _input, call) => nothing(driver.setFrozen(false, call)),
  "volume.listManageable": async (driver) => ({ found: await manageable(driver).list() }),
  "volume.adopt": async (driver, { volumeId, reference, replicated }, call) =>
    manageable(driver).adopt(volumeId, { reference, replicated }, call),
  "volume.release": async (driver, { volumeId }, call) => ({
    reference: await manageable(driver).release(volumeId, call),
  }),
};

/** Block storage as one of an agent's services, shown as one `cinder-volume` for each backend. */
export function blockStorageService(backends: readonly ServedBackend[]): AgentService {
  const drivers = new Map(backends.map(({ driver }) => [driver.backend, driver]));
  const driverOf = ({ backend }: { backend: string }): BlockStorageDriver => {
    const driver = drivers.get(backend);
    if (driver) return driver;
    throw new CloudError("notFound", "storage.no_backend", `The host has no storage backend ${backend}.`);
  };
  return {
    service: "block-storage",
    verbs: verbsOf(driverOf),
    factsChange: true,
    provided: () => Promise.all(backends.map(providedBy)),
    inventory: async () => (await Promise.all([...drivers.values()].map((driver) => driver.list()))).flat(),
    // Volumes do nothing by themselves that facts do not tell.
    subscribe: () => () => {},
    async close() {
      await Promise.all([...drivers.values()].map((driver) => driver.close()));
    },
  };
}

async function providedBy({ driver, zone }: ServedBackend): Promise<ProvidedService> {
  return {
    binary: "cinder-volume",
    service: "block-storage",
    backend: driver.backend,
    ...(zone === undefined ? {} : { zone }),
    facts: await driver.stats(),
    cluster: driver.clustering?.cluster ?? null,
  };
}

function verbsOf(driverOf: (input: { backend: string }) => BlockStorageDriver): ReadonlyMap<string, VerbHandler> {
  const verbs = new Map<string, VerbHandler>();
  for (const name of Object.keys(HANDLERS) as BlockStorageVerb[]) {
    verbs.set(name, {
      definition: blockStorageVerbs[name],
      mode: MODES[name] ?? "change",
      // The executor has checked the input against the very definition that types the handler.
      run: async (input, call) => HANDLERS[name](driverOf(input as { backend: string }), input as never, call),
    });
  }
  return verbs;
}

async function nothing(done: Promise<void>): Promise<Record<string, never>> {
  await done;
  return {};
}

function replication(driver: BlockStorageDriver): Replication {
  return driver.replication ?? unsupported(driver, "replication");
}

function migration(driver: BlockStorageDriver): VolumeMigration {
  return driver.migration ?? unsupported(driver, "migration");
}

function manageable(driver: BlockStorageDriver): ManageableVolumes {
  return driver.manageable ?? unsupported(driver, "volumes to manage");
}

function unsupported(driver: BlockStorageDriver, what: string): never {
  throw new CloudError("invalid", "storage.not_supported", `The ${driver.kind} driver has no ${what}.`);
}

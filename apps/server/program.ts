import { mkdir } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import type { GuestImage } from "../../agent/guest-image/ensure-guest-image.ts";
import type { InProcessServer } from "../../agent/runtime/in-process-link.ts";
import { systemClock } from "../../kernel/clock/clock.ts";
import { Fleet } from "../../kernel/fleet/fleet.ts";
import { agentRoutes, agentsFace, type OpenImage } from "../../kernel/fleet/http/agent-routes.ts";
import { hostPolicies, hostRoutes, hostsFace } from "../../kernel/fleet/http/host-routes.ts";
import { logLevelPolicies, logLevelRoutes, logLevelsFace } from "../../kernel/fleet/http/log-level-routes.ts";
import { Membership } from "../../kernel/fleet/join.ts";
import { ProcessLogLevels } from "../../kernel/fleet/process-log-levels.ts";
import { fleetMigrations } from "../../kernel/fleet/tables.ts";
import { createHttpServer, type HttpServer } from "../../kernel/http/server.ts";
import { systemIds } from "../../kernel/ids/ids.ts";
import { Loggers } from "../../kernel/log/logger.ts";
import { OperationControl } from "../../kernel/operations/control.ts";
import { operationPolicies } from "../../kernel/operations/http/operation-policies.ts";
import { operationRoutes, operationsFace } from "../../kernel/operations/http/operation-routes.ts";
import { OperationRunner } from "../../kernel/operations/runner.ts";
import { operationMigrations } from "../../kernel/operations/tables.ts";
import { Policy } from "../../kernel/policy/policy.ts";
import { policyFileOnDisk } from "../../kernel/policy/policy-file.ts";
import type { KernelServices, ServiceManifest } from "../../kernel/service/manifest.ts";
import { counterMigration } from "../../kernel/store/counters.ts";
import { migrate } from "../../kernel/store/migrate.ts";
import type { Store } from "../../kernel/store/store.ts";
import type { BlockStorageDependencies } from "../../services/block-storage/dependencies.ts";
import { logControl } from "../../services/block-storage/log-control.ts";
import { manageableData } from "../../services/block-storage/manageable-data.ts";
import { publicVolumes } from "../../services/block-storage/public-volumes.ts";
import { blockStorageListener } from "../../services/block-storage/reconcile/agent-news.ts";
import { createBlockStorageService } from "../../services/block-storage/service.ts";
import { defaultBlockStorageSettings } from "../../services/block-storage/settings.ts";
import type { ComputeDependencies } from "../../services/compute/dependencies.ts";
import { hasServer, holdSettled } from "../../services/compute/public.ts";
import { computeListener } from "../../services/compute/reconcile/agent-news.ts";
import { seedFlavors } from "../../services/compute/seed.ts";
import { createComputeService } from "../../services/compute/service.ts";
import { createIdentityService } from "../../services/identity/service.ts";
import { createImageService } from "../../services/image/service.ts";
import { createNetworkService } from "../../services/network/service.ts";
import { logDestination } from "../log-file.ts";
import { catalog } from "./catalog.ts";
import { inProcessServer } from "./in-process-server.ts";
import { listen } from "./listen.ts";
import { registerGauges } from "./metrics.ts";
import { openStore } from "./open-store.ts";
import { ReconcileLoop } from "./reconcile-loop.ts";
import { type SeededCloud, type SeedServices, seedCloud, seedGuestImage, seedSimulatedImage } from "./seed.ts";
import type { ServerSettings } from "./settings.ts";
import { readTls } from "./tls-files.ts";

/** A server process at work. */
export interface ServerProgram {
  /** What it listens on: `http://127.0.0.1:5000`. */
  readonly address: string;
  /** What clients are told. */
  readonly publicUrl: string;
  readonly cloud: SeededCloud;
  readonly loggers: Loggers;
  readonly store: Store;
  readonly http: HttpServer;
  readonly policy: Policy;
  readonly runner: OperationRunner;
  /** What the services brought along. */
  readonly manifests: readonly ServiceManifest[];
  readonly membership: Membership;
  /** For simulated hosts in this process. */
  readonly inProcess: InProcessServer;
  /** How often hosts should be heard. */
  readonly heartbeatMs: number;
  seedGuestImage(guest: GuestImage): Promise<void>;
  seedSimulatedImage(): Promise<void>;
  /** Finishes what is in flight, hands operations over, closes the database. */
  stop(): Promise<void>;
}

/** Everything of one server process, from the database to the listening socket. */
export async function startServer(settings: ServerSettings): Promise<ServerProgram> {
  await mkdir(settings.stateDir, { recursive: true, mode: 0o700 });
  const loggers = new Loggers({ level: settings.logLevel, ...logDestination(settings.logFile) });
  const store = await openStore({ ...settings, clock: systemClock, log: loggers.get("store") });
  try {
    return await startOn(store, loggers, settings);
  } catch (error) {
    // An open database keeps the process, and with it the lock of the state folder.
    await store.close();
    throw error;
  }
}

async function startOn(store: Store, loggers: Loggers, settings: ServerSettings): Promise<ServerProgram> {
  const log = loggers.get("server");
  const operations = new OperationControl(systemClock, systemIds);
  const kernel: KernelServices = { store, clock: systemClock, ids: systemIds, loggers, operations };

  const identity = createIdentityService(kernel, {
    tokenLifeMs: settings.tokenLifeMs,
    region: settings.region,
    catalog,
  });
  const image = createImageService(kernel, { dataDir: join(settings.stateDir, "image-data") });
  const network = createNetworkService(kernel);
  const volumeDeps: BlockStorageDependencies = {
    kernel,
    settings: { ...defaultBlockStorageSettings, ...settings.blockStorage },
    fleet: settings.fleet,
    images: image.public,
    servers: { holdSettled, hasServer },
  };
  const deps: ComputeDependencies = {
    kernel,
    settings: settings.compute,
    fleet: settings.fleet,
    images: image.public,
    network: network.public,
    blockStorage: publicVolumes(volumeDeps),
  };
  const fleet = new Fleet({
    store,
    clock: systemClock,
    ids: systemIds,
    log: loggers.get("fleet"),
    settings: settings.fleet,
    zone: settings.compute.defaultAvailabilityZone,
    listeners: [computeListener(deps), blockStorageListener(volumeDeps)],
  });
  const compute = createComputeService(deps, fleet.commands);
  const processLogs = new ProcessLogLevels(hostname(), { store, clock: systemClock, ids: systemIds, loggers });
  const blockStorage = createBlockStorageService(volumeDeps, {
    logs: logControl(fleet, processLogs, systemIds, volumeDeps.settings.askTimeoutMs),
    delivery: fleet.delivery,
    manageable: manageableData(fleet, systemIds, volumeDeps.settings.askTimeoutMs),
  });
  const manifests: readonly ServiceManifest[] = [identity, image, network, compute, blockStorage].map(
    ({ manifest }) => manifest,
  );
  await migrate(
    store,
    [counterMigration, ...operationMigrations, ...fleetMigrations, ...manifests.flatMap((m) => m.migrations)],
    systemClock,
  );

  const membership = new Membership(store, systemClock, systemIds);
  const openImage: OpenImage = (id) => image.public.openData(id);
  const policy = new Policy({
    defaults: [...operationPolicies, ...hostPolicies, ...logLevelPolicies, ...manifests.flatMap((m) => m.policies)],
    log: loggers.get("policy"),
    ...(settings.policyFile === null ? {} : { file: policyFileOnDisk(settings.policyFile, systemClock) }),
  });
  const policyWatch = policy.watch();
  const http = createHttpServer({
    faces: [
      { face: agentsFace, routes: agentRoutes(fleet, membership, openImage) },
      { face: hostsFace, routes: hostRoutes({ store, clock: systemClock, membership, settings: settings.fleet }) },
      { face: operationsFace, routes: operationRoutes({ store, clock: systemClock, control: operations }) },
      { face: logLevelsFace, routes: logLevelRoutes({ loggers, fleet, store }) },
      ...manifests.flatMap((m) => m.faces),
    ],
    sockets: compute.sockets,
    loggers,
    clock: systemClock,
    ids: systemIds,
    policy,
    authenticator: identity.authenticator,
    agentAuthenticator: membership,
    identityPath: "/identity/v3",
    trustForwarded: settings.trustForwarded,
    cors: { origins: settings.corsOrigins },
    healthChecks: [{ name: "database", check: () => checkDatabase(store) }],
    ...(settings.publicUrl === null ? {} : { publicUrl: settings.publicUrl }),
    ...(settings.tls === null ? {} : { tls: await readTls(settings.tls) }),
  });
  registerGauges(http.metrics, { store, clock: systemClock, fleet: settings.fleet });
  const runner = new OperationRunner({
    store,
    clock: systemClock,
    log: loggers.get("operations"),
    callers: fleet.commands,
    definitions: manifests.flatMap((m) => m.operations),
    owner: systemIds.uuid(),
  });

  // Before the first request: until then an outage that is over now looks like the silence of all hosts.
  for (const binary of ["nova-conductor", "nova-scheduler", "cinder-scheduler"])
    await fleet.announceLocal(hostname(), binary);
  const address = await listen(http, settings.listen).catch((error: unknown) => {
    policyWatch.close();
    throw error;
  });
  const publicUrl = settings.publicUrl ?? address;
  const services: SeedServices = { identity, image, network, seedFlavors: () => seedFlavors(kernel) };
  const cloud = await seedCloud(services, settings, publicUrl);
  fleet.start();
  await runner.start();
  const reconcile = new ReconcileLoop(
    systemClock,
    loggers.get("reconcile"),
    manifests.flatMap((m) => m.reconcilers),
  );
  log.info({ address, database: store.dialect }, "server started");

  return {
    address,
    publicUrl,
    cloud,
    loggers,
    store,
    http,
    policy,
    runner,
    manifests,
    membership,
    heartbeatMs: settings.fleet.reportIntervalMs,
    inProcess: inProcessServer(fleet, membership, openImage, (host, session) => compute.joinConsole(host, session)),
    seedGuestImage: (guest) => seedGuestImage(services, cloud.adminProjectId, guest),
    seedSimulatedImage: () => seedSimulatedImage(services, cloud.adminProjectId, settings.stateDir),
    async stop() {
      policyWatch.close();
      await http.close();
      await reconcile.stop();
      await runner.stop();
      await fleet.close();
      processLogs.close();
      await store.close();
      log.info({}, "server stopped");
    },
  };
}

async function checkDatabase(store: Store): Promise<void> {
  await store.read.tables<{ counters: { name: string } }>().selectFrom("counters").select("name").limit(1).execute();
}

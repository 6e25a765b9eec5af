import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import type {
  ColdMigration,
  ComputeDriver,
  Fencing,
  GuestNetworking,
  GuestVolumes,
  LiveMigration,
} from "../drivers/compute/driver.ts";
import { type ComputeVerb, type ComputeVerbs, computeVerbs } from "../protocol/compute.ts";
import type { InputOf, ResultOf } from "../protocol/verb.ts";
import type { AgentService, VerbHandler, VerbMode } from "./agent-service.ts";
import type { Call } from "./call.ts";

export type ComputeHandler<V extends ComputeVerb> = (
  input: InputOf<ComputeVerbs[V]>,
  call: Call,
) => Promise<ResultOf<ComputeVerbs[V]>>;
export type ComputeHandlers = { [V in ComputeVerb]: ComputeHandler<V> };

/** Opens the server's end of a console session. */
export type OpenConsole = (sessionId: string, signal: AbortSignal) => Promise<Duplex>;

const MODES: Partial<Record<ComputeVerb, VerbMode>> = {
  "compute.probe": "read",
  "compute.list": "read",
  "compute.inspect": "read",
  "compute.consoleLog": "read",
  "compute.diagnose": "read",
  "compute.openConsole": "read",
  "compute.measureDisk": "read",
  "compute.checkDestination": "read",
  "compute.abortMigration": "control",
  "compute.forceCompleteMigration": "control",
};

/** What each verb asks of the driver. An ability that the driver lacks answers `compute.not_supported`. */
export function computeHandlers(driver: ComputeDriver, consoles: Consoles): ComputeHandlers {
  const networking = (): GuestNetworking => driver.networking ?? unsupported(driver, "guest networking");
  const volumes = (): GuestVolumes => driver.volumes ?? unsupported(driver, "volumes");
  const cold = (): ColdMigration => driver.coldMigration ?? unsupported(driver, "cold migration");
  const live = (): LiveMigration => driver.liveMigration ?? unsupported(driver, "live migration");
  const fencing = (): Fencing => driver.fencing ?? noFencing(driver);
  return {
    "compute.probe": () => driver.probe(),
    "compute.list": async () => ({ guests: await Array.fromAsync(driver.list()) }),
    "compute.inspect": async ({ serverId }) => ({ guest: (await driver.inspect(serverId)) ?? null }),
    "compute.ensure": ({ spec, power }, call) => driver.ensure(spec, power, call),
    "compute.ensureAbsent": ({ serverId, ...options }, call) => nothing(driver.ensureAbsent(serverId, options, call)),
    "compute.ensureStopped": ({ serverId, graceMs }, call) => driver.ensureStopped(serverId, { graceMs }, call),
    "compute.ensurePaused": ({ serverId }, call) => driver.ensurePaused(serverId, call),
    "compute.ensureUnpaused": ({ serverId }, call) => driver.ensureUnpaused(serverId, call),
    "compute.reboot": ({ serverId, type, graceMs }, call) => driver.reboot(serverId, { type, graceMs }, call),
    "compute.consoleLog": async ({ serverId, lines }) => ({ output: await driver.consoleLog(serverId, lines) }),
    "compute.diagnose": ({ serverId }) => driver.diagnose(serverId),
    "compute.openConsole": ({ serverId, sessionId }, call) => nothing(consoles.open(driver, serverId, sessionId, call)),
    "compute.injectNetworkInfo": async ({ spec }, call) => ({
      seenByGuest: await networking().injectNetworkInfo(spec, call),
    }),
    "compute.resetNetwork": async ({ spec }, call) => ({ seenByGuest: await networking().resetNetwork(spec, call) }),
    "compute.ensureNics": async ({ spec }, call) => networking().ensureNics(spec, call),
    "compute.ensureVolumes": async ({ spec }, call) => volumes().ensureVolumes(spec, call),
    "compute.ensureVolumeSize": async ({ serverId, ...options }, call) =>
      nothing(volumes().ensureVolumeSize(serverId, options, call)),
    "compute.serveDisk": async ({ serverId }, call) => ({ diskUri: await cold().serveDisk(serverId, call) }),
    "compute.ensureDiskNotServed": async ({ serverId }, call) => nothing(cold().ensureDiskNotServed(serverId, call)),
    "compute.receiveDisk": async ({ spec, diskUri }, call) => nothing(cold().receiveDisk(spec, diskUri, call)),
    "compute.measureDisk": async ({ serverId }, call) => live().measureDisk(serverId, call),
    "compute.checkDestination": async ({ spec, ...options }, call) =>
      nothing(live().checkDestination(spec, options, call)),
    "compute.prepareIncoming": async ({ spec, mode }, call) => live().prepareIncoming(spec, mode, call),
    "compute.migrateOut": async ({ serverId, ...options }, call) => live().migrateOut(serverId, options, call),
    "compute.abortMigration": async ({ serverId }, call) => nothing(live().abortMigration(serverId, call)),
    "compute.forceCompleteMigration": async ({ serverId }, call) =>
      nothing(live().forceCompleteMigration(serverId, call)),
    "compute.finishIncoming": async ({ spec, paused }, call) => live().finishIncoming(spec, { paused }, call),
    "compute.abandonIncoming": async ({ serverId }, call) => nothing(live().abandonIncoming(serverId, call)),
    "compute.fence": async ({ host, serverId }, call) => nothing(fencing().fence(host, serverId, call)),
  };
}

/** Compute as one of an agent's services, shown as `nova-compute`. */
export function computeService(driver: ComputeDriver, openConsole: OpenConsole): AgentService {
  const consoles = new Consoles(openConsole);
  return {
    service: "compute",
    verbs: verbsOf(computeHandlers(driver, consoles)),
    factsChange: false,
    provided: async () => [{ binary: "nova-compute", service: "compute", facts: await driver.probe(), cluster: null }],
    inventory: () => Array.fromAsync(driver.list()),
    subscribe(listener) {
      const end = driver.events?.subscribe(({ kind, guest }) =>
        listener({ service: "compute", kind, subject: guest.serverId, facts: guest }),
      );
      return end ?? (() => {});
    },
    async close() {
      consoles.close();
      await driver.close();
    },
  };
}

/** Serial consoles that are connected to the server now. */
export class Consoles {
  readonly #openConsole: OpenConsole;
  readonly #open = new Set<AbortController>();

  constructor(openConsole: OpenConsole) {
    this.#openConsole = openConsole;
  }

  /** Resolves when both ends are connected; they stay so until either ends. */
  async open(driver: ComputeDriver, serverId: string, sessionId: string, call: Call): Promise<void> {
    const remote = await this.#openConsole(sessionId, call.signal);
    const serial = await driver.openConsole(serverId).catch((error: unknown) => {
      remote.destroy();
      throw error;
    });
    const { log } = call;
    const closing = new AbortController();
    this.#open.add(closing);
    pipeline(remote, serial, remote, { signal: closing.signal })
      .catch(() => log.debug({ serverId, sessionId }, "console closed"))
      .finally(() => {
        this.#open.delete(closing);
        remote.destroy();
        if ("destroy" in serial && typeof serial.destroy === "function") serial.destroy();
      });
  }

  close(): void {
    for (const closing of this.#open) closing.abort();
  }
}

function verbsOf(handlers: ComputeHandlers): ReadonlyMap<string, VerbHandler> {
  const verbs = new Map<string, VerbHandler>();
  for (const name of Object.keys(handlers) as ComputeVerb[]) {
    verbs.set(name, {
      definition: computeVerbs[name],
      mode: MODES[name] ?? "change",
      // The executor has checked the input against the very definition that types the handler.
      run: (input, call) => handlers[name](input as never, call),
    });
  }
  return verbs;
}

async function nothing(done: Promise<void>): Promise<Record<string, never>> {
  await done;
  return {};
}

function unsupported(driver: ComputeDriver, what: string): never {
  throw new CloudError("invalid", "compute.not_supported", `The ${driver.kind} driver has no ${what}.`);
}

function noFencing(driver: ComputeDriver): never {
  throw new CloudError("invalid", "compute.fencing_unsupported", `The ${driver.kind} driver cannot fence hosts.`);
}

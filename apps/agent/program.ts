import { chmod, readFile, rm } from "node:fs/promises";
import { resolve } from "node:path";
import { createFileNbdDriver } from "../../agent/drivers/block-storage/file-nbd/driver.ts";
import { createQemuDriver } from "../../agent/drivers/compute/qemu/driver.ts";
import type { JoinReply } from "../../agent/protocol/envelope.ts";
import type { AgentService } from "../../agent/runtime/agent-service.ts";
import { blockStorageService } from "../../agent/runtime/block-storage-service.ts";
import { computeService } from "../../agent/runtime/compute-service.ts";
import { httpLink } from "../../agent/runtime/http-link.ts";
import { readIdentity, writeIdentity } from "../../agent/runtime/identity-file.ts";
import { ownService } from "../../agent/runtime/own-service.ts";
import type { ServerLink } from "../../agent/runtime/server-link.ts";
import { startAgent } from "../../agent/runtime/start-agent.ts";
import { sleep, systemClock } from "../../kernel/clock/clock.ts";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { systemIds } from "../../kernel/ids/ids.ts";
import { errorFields, type Logger, Loggers, type LogLevel } from "../../kernel/log/logger.ts";
import { lockState } from "../state-lock.ts";
import type { AgentSettings } from "./settings.ts";
import { readVolumeBackends } from "./volume-backends.ts";

export interface AgentProgram {
  /** Ends in good order; guests go on. */
  stop(): Promise<void>;
}

const JOIN_AGAIN_MS = 2_000;

/** Joins the cloud if need be, adopts the guests of this host and goes to work. */
export async function startAgentProgram(settings: AgentSettings): Promise<AgentProgram> {
  const loggers = new Loggers({ level: settings.logLevel, base: { host: settings.host } });
  const log = loggers.get("agent");
  // Two agents of one host would both act for it. The lock goes with the process if not before.
  const unlock = await lockState(settings.stateDir);
  await chmod(settings.stateDir, 0o700);
  const ca = settings.caFile === null ? {} : { ca: await readFile(settings.caFile, "utf8") };
  const link = httpLink({ url: settings.serverUrl, ...ca });
  const identity = (await readIdentity(settings.stateDir)) ?? (await join(settings, link, log));
  const driver = await createQemuDriver({
    host: settings.host,
    stateDir: settings.stateDir,
    sharedDir: settings.sharedDir,
    accelerator: settings.accelerator,
    probeGuest: settings.probeGuest,
    network: settings.namespace
      ? { kind: "namespace", netns: settings.namespace.netns, fabricAddress: settings.namespace.address }
      : { kind: "user" },
    capacity: settings.capacity,
    fenceTargets: (host) => settings.neighbours[host],
    bootSlotsDir: settings.bootSlotsDir,
    clock: systemClock,
    log: loggers.get("compute.qemu"),
  });
  const volumes = await volumeServices(settings, loggers.get("storage.file-nbd"));
  const agent = await startAgent({
    stateDir: settings.stateDir,
    link,
    identity,
    services: (session) => [ownService(loggers), computeService(driver, session.openConsole), ...volumes],
    clock: systemClock,
    ids: systemIds,
    random: Math.random,
    log,
    setLogLevels: (levels) => {
      for (const [prefix, level] of Object.entries(levels)) loggers.setLevel(prefix, level as LogLevel);
    },
  });
  return {
    async stop() {
      await agent.stop();
      await unlock();
    },
  };
}

/** None for a host without volume backends. */
async function volumeServices(settings: AgentSettings, log: Logger): Promise<AgentService[]> {
  const { host, volumeBackendsFile: file, volumeRunDir: runDir } = settings;
  const backends = file === null ? [] : await readVolumeBackends(file, host);
  if (backends.length === 0) return [];
  const stateDir = resolve(settings.stateDir, "volume-arrays");
  const served = backends.map(async ({ name, zone, directory, capacityGiB, ...options }) => {
    const { cluster = null, reservedPercent = 0, replicationTargets = [] } = options;
    const given = { backend: name, cluster, directory, capacityGiB, reservedPercent, replicationTargets };
    const driver = await createFileNbdDriver({
      ...given,
      host,
      runDir,
      stateDir,
      clock: systemClock,
      ids: systemIds,
      log,
    });
    return { driver, ...(zone === undefined ? {} : { zone }) };
  });
  return [blockStorageService(await Promise.all(served))];
}

/** Trades the token for an identity. Waits for a server that is not there yet; a refused token is final. */
async function join(settings: AgentSettings, link: ServerLink, log: Logger): Promise<JoinReply> {
  if (settings.joinTokenFile === null) {
    throw new CloudError(
      "invalid",
      "agent.no_token",
      `Host ${settings.host} has not joined yet. Get a token with 'pileus hosts token ${settings.host}' and pass its file with --join-token-file.`,
    );
  }
  const token = (await readFile(settings.joinTokenFile, "utf8")).trim();
  const { signal } = new AbortController();
  for (;;) {
    try {
      const identity = await link.join({ host: settings.host, token }, signal);
      await writeIdentity(settings.stateDir, identity);
      await rm(settings.joinTokenFile, { force: true });
      return identity;
    } catch (error) {
      if (!(error instanceof CloudError) || error.kind !== "unavailable") throw error;
      log.warn(errorFields(error), "cannot join yet");
      await sleep(systemClock, JOIN_AGAIN_MS);
    }
  }
}

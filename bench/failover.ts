import { symlink, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { patternOf } from "../agent/conformance/block-storage-environment.ts";
import { GIB, growTo } from "../agent/drivers/block-storage/file-nbd/disk-files.ts";
import { daemonsMarked } from "../agent/drivers/block-storage/file-nbd/process-identity.ts";
import { Site } from "../agent/drivers/block-storage/file-nbd/site.ts";
import { DaemonTalk, daemonFiles, startDaemon } from "../agent/drivers/block-storage/file-nbd/storage-daemon.ts";
import { NbdClient } from "../agent/drivers/block-storage/file-nbd/testing/nbd-client.ts";
import { killForCertain } from "../agent/process/running-process.ts";
import type { Connection } from "../agent/protocol/connection.ts";
import { systemClock } from "../kernel/clock/clock.ts";
import { systemIds } from "../kernel/ids/ids.ts";
import { silentLogger } from "../kernel/log/logger.ts";
import { StorageCloud } from "../tests/chaos/support/storage-cloud.ts";
import { median } from "./support/load.ts";
import { publish } from "./support/section.ts";
import { createVolume, LIMIT_MS, showVolume, until } from "./support/storage-volumes.ts";

/**
 * A failover through the API against the same commands given to storage daemons by hand, in turns: `npm run bench -- failover`.
 * Server, agent and daemons are processes of their own.
 */
const ROUNDS = 5;
const BACKEND = "host-1@replicated";

const cloud = await StorageCloud.start({ replicated: true });
try {
  await failovers();
} finally {
  await cloud.dispose();
}

async function failovers(): Promise<void> {
  const own = new Site("default", join(cloud.stateDir, "volumes", "replicated"));
  const byApi: number[] = [];
  const byHand: number[] = [];
  const { id } = await createVolume(cloud, "replicated");
  const third = await cloud.replicatedDriver();
  const call = () => ({
    ...{ key: systemIds.uuid(), epoch: 1, log: silentLogger, progress: () => {} },
    ...{ signal: AbortSignal.timeout(LIMIT_MS), deadline: new Date(Date.now() + LIMIT_MS) },
    image: () => Promise.reject(new Error("no images")),
  });
  const { connection } = await third.ensureExported(id, call());
  if (!connection) throw new Error("the volume is not served");
  for (let round = 0; round < ROUNDS; round += 1) {
    await until("the second copy is in sync", async () => (await third.inspect(id))?.replica === "inSync");
    const daemons = await daemonsMarked(`${id}.${own.tag}-`);
    byApi.push(
      await silence(connection, async () => {
        for (const pid of daemons) await killForCertain(pid, systemClock);
        await cloud.ask("PUT", "/volume/v3/os-services/failover_host", { host: BACKEND, backend_id: "second" });
      }),
    );
    await until("it is on record", async () => (await showVolume(cloud, id)).replication_status === "failed-over");
    await cloud.ask("PUT", "/volume/v3/os-services/failover_host", { host: BACKEND, backend_id: "default" });
    await until("it is back", async () => (await showVolume(cloud, id)).replication_status === "enabled");
    byHand.push(await failoverByHand(round));
  }
  await third.ensureNotExported(id, call());
  await third.close();
  const [api, hand] = [median(byApi), median(byHand)];
  await publish({
    name: "failover",
    title: "Failover of a volume, against the same by hand",
    how: `The daemon of a volume of 1 GiB is killed and its second copy takes over; time from the kill to the first write that a client gets acknowledged. By hand: two daemons with a mirror, a kill, the second one ended and one started that serves its file at the same address. ${ROUNDS} rounds in turns, medians.`,
    head: ["through the API", "by hand", "ratio"],
    rows: [[`${api.toFixed(0)} ms`, `${hand.toFixed(0)} ms`, `**${(api / hand).toFixed(2)}**`]],
    notes: [
      "What the API's way has besides: the request with its transaction, the journal, the agent's poll and answer, the check that the second copy holds everything, and records on both arrays that are synced before they count.",
    ],
  });
}

/** From the beginning of `act` to a write that is acknowledged after it, by a client that connects again by itself. */
async function silence(target: Connection, act: () => Promise<void>): Promise<number> {
  const client = new NbdClient(target, LIMIT_MS);
  await client.write(0, patternOf(0));
  const begun = performance.now();
  await act();
  await client.write(4096, patternOf(1));
  const took = performance.now() - begun;
  client.close();
  return took;
}

async function failoverByHand(round: number): Promise<number> {
  const start = async (name: string, path: string) => {
    await growTo(path, GIB);
    const files = daemonFiles(cloud.runDir, `hand-${round}-${name}-`, 1);
    const pid = await startDaemon(files);
    const talk = await DaemonTalk.open(files, systemClock);
    await talk.ensureDisk(path);
    return { pid, talk, files };
  };
  const disk = (name: string) => join(cloud.stateDir, `hand-${name}.raw`);
  for (const name of ["a", "b"]) await writeFile(disk(name), "");
  const [first, second] = [await start("a", disk("a")), await start("b", disk("b"))];
  await second.talk.ensureGuardedExport("second-copy", GIB);
  await first.talk.startMirror(second.talk.connection("second-copy"), "nothing");
  await first.talk.mirrorReady(AbortSignal.timeout(LIMIT_MS));
  await first.talk.ensureExport("volume");
  const address = join(cloud.runDir, "hand.sock");
  await symlink(first.files.nbd, address);
  let third: Awaited<ReturnType<typeof start>> | undefined;
  const took = await silence({ kind: "unix", path: address, export: "volume" }, async () => {
    await killForCertain(first.pid, systemClock);
    if (!(await second.talk.hasTakenAll())) throw new Error("the second copy lacks something");
    await second.talk.quit();
    third = await start("c", disk("b"));
    await third.talk.ensureExport("volume");
    await unlink(address);
    await symlink(third.files.nbd, address);
  });
  first.talk.close();
  third?.talk.close();
  if (third) await killForCertain(third.pid, systemClock);
  await unlink(address);
  return took;
}

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { after } from "node:test";
import { systemClock } from "../../../../../kernel/clock/clock.ts";
import type { ComputeConformanceOptions } from "../../../../conformance/compute-driver-conformance.ts";
import { runCommand } from "../../../../process/run-command.ts";
import { killForCertain } from "../../../../process/running-process.ts";
import { Lab, whyNoHosts } from "./lab.ts";
import { ServedVolumes } from "./served-volumes.ts";

/** Two hosts of this machine for the conformance suite; where they cannot be, the reason in place of them. */
export async function conformanceLab(): Promise<Pick<ComputeConformanceOptions, "make" | "unavailable">> {
  const reason = await whyNoHosts();
  if (reason !== null) return { unavailable: reason, make: () => assert.fail(reason) };
  const hosts = ["one", "two"];
  const lab = await Lab.open("namespace", hosts);
  const volumes = new ServedVolumes(lab);
  after(() => lab.close());
  const template = { local: await lab.spec("local"), shared: await lab.spec("shared") };
  const image = lab.call().image;
  let addresses = 10;
  // One lab for all cases: each of them shows that it left nothing behind.
  return {
    make: async () => ({
      hosts: hosts.map((name) => ({
        name,
        get driver() {
          return lab.driver(name);
        },
        async restart() {
          await lab.driver(name).close();
          await lab.startDriver(name);
        },
      })),
      spec({ storage = "local", nics = 1 } = {}) {
        const cards = Array.from({ length: nics }, () => {
          addresses += 1;
          return lab.nic(`10.6.${addresses >> 8}.${addresses & 255}`);
        });
        return { ...template[storage], ...lab.identity(), nics: cards };
      },
      image,
      boots: (log) => log.match(/BOOT-OK/g)?.length ?? 0,
      async crash(name, serverId) {
        await killForCertain((await lab.pid(name, serverId)) ?? assert.fail("no process"), systemClock);
      },
      leftovers: () => leftovers(lab, hosts),
      volumes,
      limitMs: 90_000,
      async dispose() {
        for (const name of hosts) {
          for await (const { serverId } of lab.driver(name).list()) {
            await lab.driver(name).ensureAbsent(serverId, { disks: true }, lab.call());
          }
        }
        await volumes.close();
      },
    }),
  };
}

async function leftovers(lab: Lab, names: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const store of ["shared", ...names]) {
    for (const id of await readdir(join(lab.dir, store, "instances"))) found.push(`disk ${store}/${id}`);
  }
  for (const name of names) {
    for (const id of await readdir(join(lab.stateDir(name), "guests"))) found.push(`record ${name}/${id}`);
    const netns = lab.netns(name);
    const links = JSON.parse(await runCommand("ip", ["-n", netns, "-j", "link", "show"])) as { ifname: string }[];
    for (const { ifname } of links) if (!["lo", "eth0"].includes(ifname)) found.push(`card ${name}/${ifname}`);
    const pids = (await runCommand("ip", ["netns", "pids", netns])).split("\n").filter(Boolean);
    for (const pid of pids) found.push(`process ${name}/${pid}`);
  }
  return found;
}

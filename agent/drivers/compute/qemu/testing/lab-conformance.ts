import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemClock } from "../../../../../kernel/clock/clock.ts";
import type { ComputeCase } from "../../../../conformance/compute-case.ts";
import { computeDriverConformance } from "../../../../conformance/compute-driver-conformance.ts";
import { runCommand } from "../../../../process/run-command.ts";
import { killForCertain } from "../guest-process.ts";
import { Lab, whyNoHosts } from "./lab.ts";

/** Registers these cases of the conformance suite for the real driver, on two hosts of this machine. */
export async function labConformance(cases: readonly ComputeCase[]): Promise<void> {
  const skip = await whyNoHosts();
  if (skip !== null) {
    test("qemu: conformance", { skip }, () => {});
    return;
  }
  const hosts = ["one", "two"];
  const lab = await Lab.open("namespace", hosts);
  after(() => lab.close());
  const template = { local: await lab.spec("local"), shared: await lab.spec("shared") };
  const image = lab.call().image;
  let addresses = 10;

  computeDriverConformance({
    name: "qemu",
    cases,
    // One lab for all cases: each of them shows that it left nothing behind.
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
      limitMs: 90_000,
      async dispose() {
        for (const name of hosts) {
          for await (const { serverId } of lab.driver(name).list()) {
            await lab.driver(name).ensureAbsent(serverId, { disks: true }, lab.call());
          }
        }
      },
    }),
  });
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

import { mkdir, readFile, statfs, writeFile } from "node:fs/promises";
import { cpus, totalmem, uptime } from "node:os";
import { join } from "node:path";
import { systemIds } from "../../../../kernel/ids/ids.ts";
import type { ComputeFacts } from "../../../protocol/compute.ts";
import type { Host } from "./host.ts";
import { qemuVersion } from "./qemu-version.ts";

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** What this host is and can do, measured now. Throws `compute.driver_unavailable` without QEMU. */
export async function hostFacts(host: Host): Promise<ComputeFacts> {
  const { capacity, stateDir, sharedDir, network } = host.options;
  const { blocks, bsize } = await statfs(stateDir);
  return {
    driver: "qemu",
    hypervisorType: host.accelerator === "kvm" ? "KVM" : "QEMU",
    hypervisorVersion: await qemuVersion(),
    vcpus: capacity.vcpus ?? cpus().length,
    ramMiB: capacity.ramMiB ?? Math.floor(totalmem() / MIB),
    diskGiB: capacity.diskGiB ?? Math.floor((blocks * bsize) / GIB),
    cpuInfo: await cpuInfo(),
    migrationAddress: network.kind === "namespace" ? network.fabricAddress : "127.0.0.1",
    sharedStorage: sharedDir === null ? null : await storeId(sharedDir),
    uptimeS: Math.floor(uptime()),
    abilities: ["networking", "volumes", "coldMigration", "liveMigration", "fencing", "events"],
  };
}

/** The store's own id, made by the first host that mounts it. */
async function storeId(sharedDir: string): Promise<string> {
  const path = join(sharedDir, "store-id");
  await mkdir(sharedDir, { recursive: true });
  await writeFile(path, systemIds.uuid(), { flag: "wx" }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  return readFile(path, "utf8");
}

async function cpuInfo(): Promise<Record<string, unknown>> {
  const text = await readFile("/proc/cpuinfo", "utf8").catch(() => "");
  const field = (name: string) => new RegExp(`^${name}\\s*: (.*)$`, "m").exec(text)?.[1];
  return {
    arch: process.arch === "x64" ? "x86_64" : process.arch,
    model: field("model name") ?? "unknown",
    vendor: field("vendor_id") ?? "unknown",
    topology: { sockets: 1, cores: cpus().length, threads: 1 },
    features: (field("flags") ?? "").split(" ").filter((flag) => flag !== ""),
  };
}

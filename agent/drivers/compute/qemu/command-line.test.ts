import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { commandLine } from "./command-line.ts";
import { HostFiles } from "./guest-files.ts";

const serverId = "0f8fad5b-d9cb-469f-a165-70867728950e";
const spec = {
  ...{ serverId, instanceName: "instance-00000001", hostname: "vm", vcpus: 1, ramMiB: 128, rootDisk: null },
  ...{ volumes: [], kernel: null, ramdisk: null, nics: [], metadata: {}, userData: null, publicKeys: [] },
};

test("only an emulated guest is told not to look for its timer", async () => {
  const stateDir = await mkdtemp(join(tmpdir(), "command-line-"));
  try {
    const files = (await HostFiles.prepare(stateDir, null)).guest(serverId);
    const boot = { kernel: "/kernel", ramdisk: null };
    const plan = { spec, files, rootDisk: null, boot, network: { kind: "user" }, start: "running" } as const;
    const kernelSays = (accelerator: "tcg" | "kvm") => {
      const args = commandLine({ ...plan, accelerator });
      return args[args.indexOf("-append") + 1] ?? "";
    };
    assert.match(kernelSays("tcg"), / no_timer_check$/);
    assert.doesNotMatch(kernelSays("kvm"), /no_timer_check/);
  } finally {
    await rm(stateDir, { recursive: true, force: true });
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../../../kernel/clock/clock.ts";
import { runCommand } from "../../../process/run-command.ts";
import { HostFiles } from "./guest-files.ts";
import { probeKvm } from "./kvm-probe.ts";
import { assertNoTickLost, Lab, whyNoQemu } from "./testing/lab.ts";

const skip = (await whyNoQemu()) ?? false;

test("the KVM probe answers within its deadline", { skip }, async () => {
  const lab = await Lab.open("user", []);
  const began = systemClock.now();
  const answer = await probeKvm({ kernel: lab.image.kernel, ramdisk: lab.image.ramdisk }, systemClock);
  assert.ok(systemClock.now() - began < 8_000);
  assert.ok(answer.accelerator === "kvm" || answer.reason.length > 10);
  await lab.close();
});

test("without root: user-mode network, sockets in place of addresses, and post-copy on demand", { skip }, async () => {
  const lab = await Lab.open("user", ["one", "two"]);
  try {
    const spec = await lab.spec("shared", { nics: [lab.nic("10.7.0.5")] });
    const [source, destination] = [lab.driver("one"), lab.driver("two")];
    await source.ensure(spec, "running", lab.call());
    await lab.until("it ticks", async () => (await lab.ticks("one", spec.serverId)).length > 2, 90_000);
    const target = (await destination.liveMigration?.prepareIncoming(spec, "shared", lab.call())) ?? assert.fail();
    assert.match(target.memoryUri, /^unix:\//);
    let remaining = 0;
    const watch = (_: number, detail?: Record<string, unknown>) => {
      remaining = Number(detail?.memoryRemaining);
    };
    const slow = { bandwidthMiBps: 1, downtimeMs: 1, autoConverge: false, postCopy: true };
    const out = lab.call("out", watch);
    const moving = source.liveMigration?.migrateOut(spec.serverId, { target, mode: "shared", ...slow }, out);
    await lab.until("memory flows", async () => remaining > 0);
    await source.liveMigration?.forceCompleteMigration(spec.serverId, lab.call());
    await moving;
    await destination.liveMigration?.finishIncoming(spec, { paused: false }, lab.call());
    const seen = (await lab.ticks("two", spec.serverId)).length;
    await lab.until("it ticks on", async () => (await lab.ticks("two", spec.serverId)).length > seen + 3);
    assertNoTickLost(await lab.console("one", spec.serverId), await lab.console("two", spec.serverId));
  } finally {
    await lab.close();
  }
});

test("a disk that is to move is measured with what its guest has written", { skip }, async () => {
  const lab = await Lab.open("user", ["one"]);
  try {
    const driver = lab.driver("one");
    const spec = await lab.spec("local");
    const rootDisk = spec.rootDisk ?? assert.fail("it has no root disk");
    await driver.ensure(spec, "stopped", lab.call());
    const measure = async () =>
      (await driver.liveMigration?.measureDisk(spec.serverId, lab.call())) ?? assert.fail("it cannot move guests");
    const before = await measure();
    assert.equal(before.sizeBytes, 1024 ** 3);
    assert.ok(before.allocatedBytes >= rootDisk.image.sizeBytes);
    const disk = (await HostFiles.prepare(lab.stateDir("one"), null)).rootDisk(spec.serverId, "local");
    await runCommand("qemu-io", ["-f", "qcow2", "-c", "write 512M 32M", disk]);
    const grown = (await measure()).allocatedBytes - before.allocatedBytes;
    assert.ok(grown >= 32 * 1024 ** 2, `${grown} bytes more`);
  } finally {
    await lab.close();
  }
});

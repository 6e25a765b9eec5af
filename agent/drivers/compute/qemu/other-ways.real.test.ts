import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../../../kernel/clock/clock.ts";
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

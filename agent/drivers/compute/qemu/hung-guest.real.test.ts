import assert from "node:assert/strict";
import { mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../../../kernel/clock/clock.ts";
import { commandLine } from "../../../process/running-process.ts";
import { Lab, whyNoQemu } from "./testing/lab.ts";

const skip = (await whyNoQemu()) ?? false;
/** Well below the 30 s that a command to a live monitor may take. */
const PROMPT_MS = 20_000;

async function promptly<T>(what: string, work: Promise<T>): Promise<T> {
  const began = systemClock.now();
  const result = await work;
  const tookMs = systemClock.now() - began;
  assert.ok(tookMs < PROMPT_MS, `${what} took ${tookMs} ms`);
  return result;
}

test("a process that hangs keeps neither its host's agent from starting nor itself from removal", {
  skip,
}, async () => {
  const lab = await Lab.open("user", ["one"]);
  try {
    const [hung, rebooted] = [await lab.spec("local"), await lab.spec("local")];
    for (const spec of [hung, rebooted]) await lab.driver("one").ensure(spec, "running", lab.call());
    const files = ["guests/ID/serial.log", "guests/ID/qmp.sock", "guests/ID/serial.sock", "instances/ID/root.qcow2"];
    for (const file of files) {
      const { mode } = await stat(join(lab.stateDir("one"), file.replace("ID", hung.serverId)));
      assert.equal(mode & 0o777, 0o600, file);
    }
    const pids = await Promise.all([hung, rebooted].map(({ serverId }) => lab.pid("one", serverId)));
    for (const pid of pids) process.kill(pid ?? assert.fail(), "SIGSTOP");

    await lab.driver("one").close();
    const damaged = join(lab.stateDir("one"), "guests", lab.identity().serverId);
    await mkdir(damaged);
    await writeFile(join(damaged, "guest.json"), "{");
    const driver = await promptly("adopting", lab.startDriver("one"));
    const listed = await promptly("listing", Array.fromAsync(driver.list()));
    assert.deepEqual(
      listed.map(({ serverId, power }) => [serverId, power]).toSorted(),
      [hung, rebooted].map(({ serverId }) => [serverId, "running"]).toSorted(),
    );
    await assert.rejects(driver.inspect(hung.serverId), { code: "qemu.silent", kind: "internal" });

    await promptly("removing", driver.ensureAbsent(hung.serverId, { disks: true }, lab.call()));
    assert.equal(await driver.inspect(hung.serverId), undefined);
    const options = { type: "hard", graceMs: 0 } as const;
    assert.equal((await driver.reboot(rebooted.serverId, options, lab.call("reboot"))).power, "running");
    for (const pid of pids) assert.deepEqual(await commandLine(pid ?? assert.fail()), [], "the hung process has ended");
  } finally {
    await lab.close();
  }
});

import assert from "node:assert/strict";
import { Value } from "typebox/value";
import { ComputeFacts, GuestFacts } from "../protocol/compute.ts";
import { GuestDiagnostics } from "../protocol/diagnostics.ts";
import type { ComputeCase } from "./compute-case.ts";
import { rejectsWith } from "./compute-environment.ts";

const byServer = (x: GuestFacts, y: GuestFacts) => (x.serverId < y.serverId ? -1 : 1);

/** What every compute driver must do. */
export const coreCases: readonly ComputeCase[] = [
  {
    name: "probe describes the host",
    async run({ a }) {
      const facts = await a.driver.probe();
      assert.ok(Value.Check(ComputeFacts, facts));
      assert.equal(facts.driver, a.driver.kind);
      assert.ok(facts.vcpus > 0 && facts.ramMiB > 0 && facts.diskGiB > 0);
      assert.equal(facts.abilities.includes("liveMigration"), a.driver.liveMigration !== undefined);
    },
  },
  {
    name: "ensure is idempotent",
    async run(c) {
      const spec = await c.running(c.a);
      const again = await c.a.driver.ensure(spec, "running", c.call());
      assert.ok(Value.Check(GuestFacts, again));
      assert.equal(again.power, "running");
      assert.deepEqual(
        (await c.listed(c.a)).map((guest) => guest.serverId),
        [spec.serverId],
      );
      await c.tickAbove(c.a, spec, 0);
      assert.equal(c.env.boots(await c.a.driver.consoleLog(spec.serverId, null)), 1);
    },
  },
  {
    name: "ensure brings a guest to each power",
    async run(c) {
      const spec = c.spec();
      for (const power of ["stopped", "running", "paused", "running", "stopped", "stopped"] as const) {
        const facts = await c.a.driver.ensure(spec, power, c.call());
        assert.equal(facts.power, power);
        await c.expectPower(c.a, spec, power);
      }
    },
  },
  {
    name: "a new instance adopts what runs",
    async run(c) {
      const running = await c.running(c.a);
      const stopped = c.spec();
      await c.a.driver.ensure(stopped, "stopped", c.call());
      const tick = await c.tickAbove(c.a, running, 0);
      const before = (await c.listed(c.a)).toSorted(byServer);
      await c.a.restart();
      assert.deepEqual((await c.listed(c.a)).toSorted(byServer), before);
      await c.a.driver.ensure(running, "running", c.call());
      await c.tickAbove(c.a, running, tick);
      assert.equal(c.env.boots(await c.a.driver.consoleLog(running.serverId, null)), 1);
      await c.a.driver.ensureStopped(running.serverId, { graceMs: 0 }, c.call());
      await c.expectPower(c.a, running, "stopped");
    },
  },
  {
    name: "power actions are fine when it is already so",
    async run(c) {
      const spec = await c.running(c.a);
      const { driver } = c.a;
      for (let i = 0; i < 2; i += 1) {
        assert.equal((await driver.ensurePaused(spec.serverId, c.call())).power, "paused");
      }
      for (let i = 0; i < 2; i += 1) {
        assert.equal((await driver.ensureUnpaused(spec.serverId, c.call())).power, "running");
      }
      for (let i = 0; i < 2; i += 1) {
        assert.equal((await driver.ensureStopped(spec.serverId, { graceMs: 0 }, c.call())).power, "stopped");
      }
      assert.equal((await driver.ensure(spec, "running", c.call())).power, "running");
    },
  },
  {
    name: "a graceful stop ends stopped",
    async run(c) {
      const spec = await c.running(c.a);
      await c.tickAbove(c.a, spec, 0);
      await c.a.driver.ensureStopped(spec.serverId, { graceMs: 5000 }, c.call());
      await c.expectPower(c.a, spec, "stopped");
    },
  },
  {
    name: "one key reboots once",
    async run(c) {
      const spec = await c.running(c.a);
      const boots = async () => c.env.boots(await c.a.driver.consoleLog(spec.serverId, null));
      const tick = await c.tickAbove(c.a, spec, 0);
      const options = { type: "hard", graceMs: 0 } as const;
      await c.a.driver.reboot(spec.serverId, options, c.call("reboot-1"));
      await c.tickAbove(c.a, spec, tick);
      await c.until("the second boot", async () => (await boots()) === 2);
      await c.a.driver.reboot(spec.serverId, options, c.call("reboot-1"));
      await c.a.restart();
      assert.equal((await c.a.driver.reboot(spec.serverId, options, c.call("reboot-1"))).power, "running");
      assert.equal(await boots(), 2);
      await c.a.driver.reboot(spec.serverId, options, c.call("reboot-2"));
      await c.until("the third boot", async () => (await boots()) === 3);
    },
  },
  {
    name: "diagnose tells what a running guest has used",
    async run(c) {
      const spec = await c.running(c.a);
      const { driver } = c.a;
      await c.tickAbove(c.a, spec, 0);
      const first = await driver.diagnose(spec.serverId);
      assert.ok(Value.Check(GuestDiagnostics, first));
      assert.equal(first.cpus.length, spec.vcpus);
      assert.deepEqual(
        first.nics.map(({ portId, mac }) => ({ portId, mac })),
        spec.nics.map(({ portId, mac }) => ({ portId, mac })),
      );
      assert.equal(first.memory.maximumMiB, spec.ramMiB);
      const used = ({ cpus, disks }: GuestDiagnostics) => [
        cpus.reduce((sum, cpu) => sum + cpu.timeNs, 0),
        disks.reduce((sum, disk) => sum + disk.readRequests + disk.writeRequests, 0),
      ];
      for (const figure of used(first)) assert.ok(figure > 0, "a guest that has booted has used something");
      await c.until("the processors' time to grow", async () => {
        const [before = 0, now = 0] = [used(first)[0], used(await driver.diagnose(spec.serverId))[0]];
        return now > before;
      });
      await driver.ensureStopped(spec.serverId, { graceMs: 0 }, c.call());
      await rejectsWith(driver.diagnose(spec.serverId), "conflict", "compute.guest_not_running");
    },
  },
  {
    name: "a resized spec takes effect at the next start",
    async run(c) {
      const spec = await c.running(c.a);
      await c.a.driver.ensureStopped(spec.serverId, { graceMs: 0 }, c.call());
      const rootDisk = spec.rootDisk ?? assert.fail("it has no root disk");
      const larger = {
        ...spec,
        vcpus: spec.vcpus + 1,
        ramMiB: spec.ramMiB + 32,
        rootDisk: { ...rootDisk, sizeGiB: rootDisk.sizeGiB + 1 },
      };
      const facts = await c.a.driver.ensure(larger, "running", c.call());
      assert.deepEqual([facts.vcpus, facts.ramMiB], [larger.vcpus, larger.ramMiB]);
    },
  },
  {
    name: "ensureAbsent is idempotent and knows no stranger",
    async run(c) {
      const spec = await c.running(c.a);
      for (let i = 0; i < 2; i += 1) {
        await c.a.driver.ensureAbsent(spec.serverId, { disks: true }, c.call());
        assert.equal(await c.a.driver.inspect(spec.serverId), undefined);
        assert.deepEqual(await c.listed(c.a), []);
        assert.deepEqual(await c.env.leftovers(), []);
      }
      await c.a.driver.ensureAbsent(c.spec().serverId, { disks: true }, c.call());
    },
  },
  {
    name: "ensureAbsent leaves the disk when told so",
    async run(c) {
      const spec = await c.running(c.a);
      await c.tickAbove(c.a, spec, 0);
      await c.a.driver.ensureAbsent(spec.serverId, { disks: false }, c.call());
      assert.notDeepEqual(await c.env.leftovers(), []);
      assert.equal((await c.a.driver.ensure(spec, "running", c.call())).power, "running");
    },
  },
  {
    name: "a shared disk goes with its owner only, unless the server itself goes",
    storage: "shared",
    async run(c) {
      const spec = c.spec({ storage: "shared" });
      await c.a.driver.ensure(spec, "stopped", c.call());
      await c.a.driver.ensureAbsent(spec.serverId, { disks: false }, c.call());
      await c.b.driver.ensureAbsent(spec.serverId, { disks: true }, c.call());
      assert.equal((await c.env.leftovers()).length, 1);
      const last = { disks: true, evenIfOwnedElsewhere: true };
      for (let i = 0; i < 2; i += 1) await c.b.driver.ensureAbsent(spec.serverId, last, c.call());
      assert.deepEqual(await c.env.leftovers(), []);
    },
  },
  {
    name: "list and inspect agree",
    async run(c) {
      const specs = [c.spec(), c.spec(), c.spec()];
      const powers = ["running", "stopped", "paused"] as const;
      for (const [i, spec] of specs.entries()) await c.a.driver.ensure(spec, powers[i] ?? "stopped", c.call());
      const inspected = await Promise.all(specs.map((spec) => c.a.driver.inspect(spec.serverId)));
      assert.deepEqual(
        (await c.listed(c.a)).toSorted(byServer),
        inspected.flatMap((guest) => guest ?? []).toSorted(byServer),
      );
      assert.deepEqual(
        inspected.map((guest) => guest?.power),
        powers,
      );
      assert.deepEqual(await c.listed(c.b), []);
    },
  },
  {
    name: "list tells of a guest that has died",
    async run(c) {
      const [dead, alive] = [await c.running(c.a), await c.running(c.a)];
      await c.env.crash(c.a.name, dead.serverId);
      await c.until("the guest to be listed as crashed", async () => {
        const listed = new Map((await c.listed(c.a)).map((guest) => [guest.serverId, guest.power]));
        assert.equal(listed.get(alive.serverId), "running");
        return listed.get(dead.serverId) === "crashed";
      });
    },
  },
  {
    name: "what acts on a guest needs one",
    async run(c) {
      const { serverId } = c.spec();
      assert.equal(await c.a.driver.inspect(serverId), undefined);
      const { driver } = c.a;
      const code = "compute.guest_not_found";
      await rejectsWith(driver.ensureStopped(serverId, { graceMs: 0 }, c.call()), "notFound", code);
      await rejectsWith(driver.ensurePaused(serverId, c.call()), "notFound", code);
      await rejectsWith(driver.consoleLog(serverId, 10), "notFound", code);
    },
  },
  {
    name: "the console log gives the last lines and the console is alive",
    async run(c) {
      const spec = await c.running(c.a);
      await c.tickAbove(c.a, spec, 3);
      const tail = await c.a.driver.consoleLog(spec.serverId, 2);
      assert.equal(tail.trimEnd().split("\n").length, 2);
      const stream = await c.a.driver.openConsole(spec.serverId);
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      let text = "";
      stream.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        if (/tick \d+/.test(text)) resolve();
      });
      c.call().signal.addEventListener("abort", () => reject(new Error("the console stays silent")));
      await promise;
      stream.end();
    },
  },
  {
    name: "networking: information reaches the guest and the reset leaves it working",
    ability: "networking",
    async run(c) {
      const spec = await c.running(c.a);
      const networking = c.a.driver.networking;
      const [nic] = spec.nics;
      assert.ok(networking && nic);
      const addresses = nic.fixedIps.map((ip) => ip.address);
      for (const verb of ["injectNetworkInfo", "resetNetwork"] as const) {
        await c.until(`${verb} to be seen by the guest`, async () => {
          const seen = (await networking[verb](spec, c.call()))?.[nic.mac] ?? [];
          return addresses.every((address) => seen.includes(address));
        });
      }
    },
  },
  {
    name: "networking: cards come and go while the guest runs",
    ability: "networking",
    async run(c) {
      const both = c.spec({ nics: 2 });
      const one = { ...both, nics: both.nics.slice(0, 1) };
      const ports = (spec: typeof both) => spec.nics.map((nic) => nic.portId);
      await c.a.driver.ensure(one, "running", c.call());
      await c.tickAbove(c.a, one, 0);
      for (const spec of [both, both, one]) {
        const facts = await c.a.driver.networking?.ensureNics(spec, c.call());
        assert.deepEqual(facts?.portIds.toSorted(), ports(spec).toSorted());
      }
      await c.expectPower(c.a, both, "running");
    },
  },
  {
    name: "fencing: the other host's guest is certainly dead",
    ability: "fencing",
    async run(c) {
      const spec = await c.running(c.a);
      const neighbour = await c.running(c.a);
      for (let i = 0; i < 2; i += 1) await c.b.driver.fencing?.fence(c.a.name, spec.serverId, c.call());
      const power = await c.powerOf(c.a, spec);
      assert.ok(power === undefined || power === "stopped" || power === "crashed", `power is ${power}`);
      await c.expectPower(c.a, neighbour, "running");
    },
  },
  {
    name: "fencing: the fenced host launches the guest again only for a newer holder, or after its removal",
    ability: "fencing",
    async run(c) {
      const spec = await c.running(c.a);
      const fence = async (epoch: number) => {
        await c.b.driver.fencing?.fence(c.a.name, spec.serverId, { ...c.call(), epoch });
      };
      const start = (epoch: number) => c.a.driver.ensure(spec, "running", { ...c.call(), epoch });
      await fence(7);
      await c.a.restart();
      await rejectsWith(start(7), "conflict", "compute.fenced");
      const options = { type: "hard", graceMs: 0 } as const;
      const reboot = c.a.driver.reboot(spec.serverId, options, { ...c.call("reboot"), epoch: 6 });
      await rejectsWith(reboot, "conflict", "compute.fenced");
      if (c.a.driver.liveMigration) {
        const incoming = c.a.driver.liveMigration.prepareIncoming(spec, "mirror", { ...c.call(), epoch: 7 });
        await rejectsWith(incoming, "conflict", "compute.fenced");
      }
      assert.equal((await start(8)).power, "running");
      await fence(9);
      await c.a.driver.ensureAbsent(spec.serverId, { disks: true }, { ...c.call(), epoch: 9 });
      assert.equal((await start(9)).power, "running");
    },
  },
];

import assert from "node:assert/strict";
import { test } from "node:test";
import { CloudError } from "../errors/cloud-error.ts";
import { systemIds } from "../ids/ids.ts";
import { onBothStores } from "../store/testing/stores.ts";
import { Membership } from "./join.ts";
import { FleetBench } from "./testing/fleet-bench.ts";

const fails = (code: string) => (error: unknown) => error instanceof CloudError && error.code === code;

onBothStores("Membership", (open) => {
  test("a token is good once, for an hour, for its host", async () => {
    const bench = await FleetBench.open(open);
    const members = new Membership(bench.store, bench.clock, systemIds);
    const token = await members.createToken("a");
    await assert.rejects(members.join(token, "b"), fails("fleet.bad_join_token"));
    await members.join(token, "a");
    await assert.rejects(members.join(token, "a"), fails("fleet.bad_join_token"));
    await assert.rejects(members.join("made up", "a"), fails("fleet.bad_join_token"));
    const late = await members.createToken(null);
    bench.clock.advance(3_600_001);
    await assert.rejects(members.join(late, "c"), fails("fleet.bad_join_token"));
    const anyHost = await members.createToken(null);
    await members.join(anyHost, "c");
    await bench.close();
  });

  test("two that come with one token: one of them joins", async () => {
    const bench = await FleetBench.open(open);
    const members = new Membership(bench.store, bench.clock, systemIds);
    const token = await members.createToken(null);
    const results = await Promise.allSettled(["a", "b", "c"].map((host) => members.join(token, host)));
    assert.equal(results.filter((result) => result.status === "fulfilled").length, 1);
    await bench.close();
  });

  test("a credential names its host until the host joins again, at whichever process", async () => {
    const bench = await FleetBench.open(open);
    const members = new Membership(bench.store, bench.clock, systemIds);
    const elsewhere = new Membership(await bench.again(), bench.clock, systemIds);
    const first = await members.join(await members.createToken("a"), "a");
    assert.deepEqual(await elsewhere.authenticateAgent(first.credential), { hostId: first.hostId, host: "a" });
    const second = await members.join(await members.createToken("a"), "a");
    assert.equal(second.hostId, first.hostId);
    await assert.rejects(members.authenticateAgent(first.credential), fails("fleet.bad_credential"));
    bench.clock.advance(31_000);
    await assert.rejects(elsewhere.authenticateAgent(first.credential), fails("fleet.bad_credential"));
    assert.equal((await elsewhere.authenticateAgent(second.credential)).host, "a");
    for (const bad of ["", ".", first.hostId, `${first.hostId}.`, "x.y"])
      await assert.rejects(members.authenticateAgent(bad), fails("fleet.bad_credential"));
    await bench.close();
  });
});

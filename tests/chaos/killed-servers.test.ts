import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { sleep, systemClock } from "../../kernel/clock/clock.ts";
import { expectRest } from "./support/at-rest.ts";
import { until } from "./support/killable.ts";
import { HOSTS, KilledCloud, SERVERS } from "./support/killed-cloud.ts";
import { seeded } from "./support/seeded.ts";

const GUESTS = 20;
const ROUNDS = 2;
/** Kills fall into this much of a round, from its first request on. */
const SPAN_MS = 5_000;
const ASK_AGAIN_MS = 200;
const AWAY_MS = { least: 200, more: 1_500 };
/** A lease, a migration after it, and room for a busy machine. */
const ROUND_LIMIT_MS = 180_000;
/** A living server renews its leases of 30 s every 10 s: one that has less left than this is of a dead process. */
const LEFT_BEHIND_MS = 12_000;
/** `PILEUS_CHAOS_SEED` repeats who is moved how and who is killed when; the processes' own timing is theirs. */
const SEED = Number(process.env.PILEUS_CHAOS_SEED ?? randomInt(1_000_000));

type Kind = "live" | "confirm" | "revert";
const KINDS: readonly Kind[] = ["live", "confirm", "live", "revert"];

interface ServerView {
  readonly status: string;
  readonly "OS-EXT-STS:task_state": string | null;
  readonly "OS-EXT-SRV-ATTR:host": string;
}

const skip = process.env.PILEUS_TEST_POSTGRES ? false : "PILEUS_TEST_POSTGRES names no server; npm test starts one";

test(`servers on one PostgreSQL and agents are killed during ${GUESTS * ROUNDS} migrations (seed ${SEED})`, {
  skip,
}, async (t) => {
  const random = seeded(SEED);
  const below = (limit: number) => Math.floor(random() * limit);
  const cloud = await KilledCloud.start();
  t.after(() => cloud.dispose());
  t.diagnostic(`seed ${SEED}`);

  const show = async (id: string) => (await cloud.get<{ server: ServerView }>(`/compute/v2.1/servers/${id}`)).server;
  const atRest = async (id: string, but = "BUILD"): Promise<ServerView> => {
    let server = await show(id);
    await until(`server ${id} is at rest`, ROUND_LIMIT_MS, async () => {
      server = await show(id);
      return server["OS-EXT-STS:task_state"] === null && server.status !== but;
    });
    return server;
  };
  /**
   * Asks for an action until somebody answers. After a lost answer, a refusal says that it was heard: it is
   * under way (409), or a confirm or a revert has been done (400). The server shows which.
   */
  const act = async (id: string, action: object) => {
    for (let lost = 0; ; lost += 1) {
      const reply = await cloud.ask("POST", `/compute/v2.1/servers/${id}/action`, action);
      if (reply && (reply.status < 300 || (lost > 0 && [400, 409].includes(reply.status)))) return;
      if (reply)
        assert.fail(`${JSON.stringify(action)} after ${lost} lost: ${reply.status} ${JSON.stringify(reply.body)}`);
      await sleep(systemClock, ASK_AGAIN_MS);
    }
  };

  const endings: Record<string, number> = {};
  const move = async (id: string, kind: Kind) => {
    const before = await show(id);
    const action = kind === "live" ? { "os-migrateLive": { host: null, block_migration: "auto" } } : { migrate: null };
    await act(id, action);
    let now = await atRest(id);
    if (now.status === "VERIFY_RESIZE") {
      await act(id, kind === "revert" ? { revertResize: null } : { confirmResize: null });
      // A confirm that has been heard shows in nothing but its migration until it is done.
      now = await atRest(id, "VERIFY_RESIZE");
    }
    assert.equal(now.status, "ACTIVE", `server ${id} after ${kind}`);
    const ending = `${kind} ${now["OS-EXT-SRV-ATTR:host"] === before["OS-EXT-SRV-ATTR:host"] ? "as before" : "moved"}`;
    endings[ending] = (endings[ending] ?? 0) + 1;
  };

  /** Each server process once, one of them twice, and every agent. */
  const victims = () =>
    [...SERVERS, ...HOSTS, SERVERS[below(SERVERS.length)] ?? ""].map((name) => ({
      name,
      at: below(SPAN_MS),
      away: AWAY_MS.least + below(AWAY_MS.more),
    }));
  const killAll = async (plan: ReturnType<typeof victims>) => {
    const kill = async (name: string) => {
      let passed = 0;
      for (const { at, away } of plan.filter((each) => each.name === name).toSorted((a, b) => a.at - b.at)) {
        await sleep(systemClock, Math.max(0, at - passed));
        await cloud.kill(name);
        await sleep(systemClock, away);
        await cloud.launch(name);
        passed = at + away;
      }
    };
    await Promise.all([...new Set(plan.map(({ name }) => name))].map(kill));
  };

  const guests: string[] = [];
  const { images } = await cloud.get<{ images: { id: string }[] }>("/image/v2/images?name=pileus-guest");
  const { flavors } = await cloud.get<{ flavors: { id: string; name: string }[] }>("/compute/v2.1/flavors");
  const flavor = (name: string) => flavors.find((each) => each.name === name)?.id;
  for (let i = 0; i < GUESTS; i += 1) {
    const flavorRef = flavor(i % 2 === 0 ? "m1.tiny" : "m1.tiny.shared");
    const server = { name: `guest-${i}`, flavorRef, imageRef: images[0]?.id, networks: "auto" };
    guests.push((await cloud.get<{ server: { id: string } }>("/compute/v2.1/servers", "POST", { server })).server.id);
  }
  for (const id of guests) assert.equal((await atRest(id)).status, "ACTIVE");

  const leftBehind = new Set<string>();
  for (let round = 0; round < ROUNDS; round += 1) {
    const kinds = guests.map(() => KINDS[below(KINDS.length)] ?? "live");
    const plan = victims();
    t.diagnostic(`round ${round + 1} kills ${plan.map(({ name, at }) => `${name} at ${at} ms`).join(", ")}`);
    let over = false;
    const watch = async () => {
      while (!over) {
        for (const id of await cloud.leasesNotRenewed(LEFT_BEHIND_MS)) leftBehind.add(id);
        await sleep(systemClock, 500);
      }
    };
    const watching = watch();
    try {
      await Promise.all([killAll(plan), ...guests.map((id, i) => move(id, kinds[i] ?? "live"))]);
    } finally {
      over = true;
      await watching;
    }
    await expectRest(cloud, guests);
  }
  t.diagnostic(JSON.stringify({ leftBehind: leftBehind.size, ...endings }));
  assert.ok(leftBehind.size > 0, "no server process was killed with an operation in hand");
});

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, it } from "node:test";
import { promisify } from "node:util";
import { OTHER_PROJECT } from "../../../kernel/http/testing/people-api.ts";
import { sameShape } from "../../../kernel/http/testing/same-shape.ts";
import { onBothStores } from "../../../kernel/store/testing/stores.ts";
import { setQuotas } from "../store/quotas.ts";
import { type ComputeWorld, computeWorld } from "../testing/compute-world.ts";
import { sample } from "../testing/samples.ts";

const noSshKeygen = existsSync("/usr/bin/ssh-keygen") ? false : "needs ssh-keygen (openssh-client)";
const ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl somebody@somewhere";

onBothStores("key pairs", (open) => {
  let world: ComputeWorld;
  before(async () => {
    world = await computeWorld(open);
  });
  after(() => world.close());

  const create = (keypair: unknown, version: string, who: "member" | "admin" | "stranger" = "member") =>
    world.ask(who, "POST", "/os-keypairs", { version, body: { keypair } });

  it("generates a key that SSH reads", { skip: noSshKeygen }, async () => {
    const made = await create({ name: "generated" }, "2.1");
    assert.equal(made.status, 200, JSON.stringify(made.body));
    const folder = await mkdtemp(join(tmpdir(), "pileus-key-"));
    try {
      const file = join(folder, "key");
      await writeFile(file, made.body.keypair.private_key, { mode: 0o600 });
      const { stdout } = await promisify(execFile)("ssh-keygen", ["-y", "-f", file]);
      assert.equal(stdout.trim(), made.body.keypair.public_key.trim());
      const shown = await promisify(execFile)("ssh-keygen", ["-l", "-E", "md5", "-f", file]);
      assert.ok(shown.stdout.includes(`MD5:${made.body.keypair.fingerprint} `));
    } finally {
      await rm(folder, { recursive: true });
    }
    const read = await world.ask("member", "GET", "/os-keypairs/generated");
    assert.equal("private_key" in read.body.keypair, false);
  });

  it("imports with the fingerprint that OpenStack published", async () => {
    for (const [version, folder, status] of [
      ["2.1", "", 200],
      ["2.2", "v2.2/", 201],
      ["2.10", "v2.10/", 201],
      ["2.92", "v2.92/", 201],
    ] as const) {
      const published = sample(`os-keypairs/${folder}keypairs-import-post-resp`) as {
        keypair: { public_key: string; fingerprint: string };
      };
      const { public_key, fingerprint } = published.keypair;
      const made = await create(
        { name: `imported ${version === "2.92" ? "a.b@c" : version.slice(2)}`, public_key },
        version,
      );
      assert.equal(made.status, status, JSON.stringify(made.body));
      sameShape(made.body, published);
      assert.equal(made.body.keypair.fingerprint, fingerprint);
    }
  });

  it("shows and lists as published", async () => {
    for (const [version, folder] of [
      ["2.1", ""],
      ["2.2", "v2.2/"],
    ] as const) {
      const shown = await world.ask("member", "GET", "/os-keypairs/imported 1", { version });
      sameShape(shown.body, sample(`os-keypairs/${folder}keypairs-get-resp`));
      const list = await world.ask("member", "GET", "/os-keypairs", { version });
      sameShape(list.body, sample(`os-keypairs/${folder}keypairs-list-resp`));
    }
    const page = await world.ask("member", "GET", "/os-keypairs?limit=1", { version: "2.35" });
    sameShape(page.body, sample("os-keypairs/v2.35/keypairs-list-resp"));
    const missing = await world.ask("member", "GET", "/os-keypairs?marker=nobody", { version: "2.35" });
    assert.equal(missing.status, 400);
  });

  it("belongs to a user", async () => {
    assert.equal((await world.ask("stranger", "GET", "/os-keypairs/generated")).status, 404);
    const other = "?user_id=user-member";
    const ask = (who: "stranger" | "admin", version: string) =>
      world.ask(who, "GET", `/os-keypairs/generated${other}`, { version });
    assert.equal((await ask("stranger", "2.10")).status, 403);
    assert.equal((await ask("admin", "2.10")).status, 200);
    assert.equal((await ask("admin", "2.9")).status, 404);
    const forOther = { name: "given", user_id: "user-stranger", public_key: ED25519, type: "ssh" };
    assert.equal((await create(forOther, "2.10")).status, 403);
    assert.equal((await create(forOther, "2.10", "admin")).status, 201);
    assert.equal((await world.ask("stranger", "GET", "/os-keypairs/given")).status, 200);
  });

  it("refuses bad keys, names and repeats", async () => {
    for (const public_key of [
      "",
      "ssh-rsa",
      "ssh-rsa AAAA",
      `${ED25519}\n${ED25519}`,
      ED25519.replace("ed25519", "rsa"),
    ])
      assert.equal((await create({ name: "bad", public_key }, "2.1")).status, 400, public_key);
    assert.equal((await create({ name: "a.b", public_key: ED25519 }, "2.91")).status, 400);
    assert.equal((await create({ name: "none" }, "2.92")).status, 400);
    assert.equal((await create({ name: "typed", type: "ssh" }, "2.1")).status, 400);
    assert.equal((await create({ name: "cert", type: "x509" }, "2.2")).status, 400);
    assert.equal((await create({ name: "generated", public_key: ED25519 }, "2.1")).status, 409);
  });

  it("is limited by the quota and deleted", async () => {
    await world.store.tx((t) => setQuotas(t, OTHER_PROJECT, { key_pairs: 1 }));
    assert.equal((await create({ name: "second", public_key: ED25519 }, "2.1", "stranger")).status, 403);
    const remove = (version: string) => world.ask("stranger", "DELETE", "/os-keypairs/given", { version });
    assert.equal((await remove("2.2")).status, 204);
    assert.equal((await remove("2.2")).status, 404);
    assert.equal((await create({ name: "given", public_key: ED25519 }, "2.1", "stranger")).status, 200);
    assert.equal((await remove("2.1")).status, 202);
  });
});

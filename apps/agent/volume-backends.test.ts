import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { stringify } from "yaml";
import { CloudError } from "../../kernel/errors/cloud-error.ts";
import { readAllVolumeBackends, readVolumeBackends } from "./volume-backends.ts";

describe("the file with volume backends", () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "pileus-backends-"));
  });
  after(() => rm(dir, { recursive: true }));

  const given = async (content: unknown): Promise<string> => {
    const file = join(dir, "backends.yaml");
    await writeFile(file, typeof content === "string" ? content : stringify(content));
    return file;
  };
  const backend = (more: object = {}) => ({ name: "fast", directory: "/srv/fast", capacityGiB: 10, ...more });
  const refused = async (content: unknown, problem: RegExp) => {
    await assert.rejects(readVolumeBackends(await given(content), "a"), (error) => {
      assert.ok(error instanceof CloudError);
      assert.deepEqual([error.kind, error.code], ["invalid", "agent.bad_volume_backends"]);
      assert.match(String(error.fields.problem), problem);
      return true;
    });
  };

  it("gives each host its own backends, and those that name no hosts to all", async () => {
    const shared = backend({ name: "shared", hosts: ["a", "b"], cluster: "pileus@shared", directory: "/srv/shared" });
    const apart = backend({ name: "apart", hosts: ["c"], directory: "/srv/apart" });
    const file = await given([backend(), shared, apart]);
    const names = async (host: string) => (await readVolumeBackends(file, host)).map(({ name }) => name);
    assert.deepEqual(
      [await names("a"), await names("c"), await names("d")],
      [["fast", "shared"], ["fast", "apart"], ["fast"]],
    );
    assert.equal((await readAllVolumeBackends(file)).length, 3);
  });

  it("may be JSON, and may be empty", async () => {
    assert.deepEqual(await readVolumeBackends(await given(JSON.stringify([backend()])), "a"), [backend()]);
    assert.deepEqual(await readVolumeBackends(await given([]), "a"), []);
  });

  it("is refused with what is wrong and where", async () => {
    await refused([backend({ capacityGiB: 0 })], /backends\.yaml: \/0\/capacityGiB/);
    await refused([backend({ directory: "relative" })], /\/0\/directory/);
    await refused([backend({ name: "no/slash" })], /\/0\/name/);
    await refused([backend({ cluster: "no-backend" })], /\/0\/cluster/);
    await refused([backend({ colour: "red" })], /\/0/);
    await refused({ fast: backend() }, /array/);
  });

  it("is refused when two backends of a host share a name or an array, however it is written", async () => {
    await refused([backend(), backend({ directory: "/srv/other" })], /two backends have one name/);
    await refused([backend(), backend({ name: "slow", directory: "/srv/x/../fast" })], /two arrays have one directory/);
    const target = { id: "second", directory: "/srv/fast" };
    await refused([backend({ replicationTargets: [target] })], /two arrays have one directory/);
    const elsewhere = [backend({ hosts: ["a"] }), backend({ hosts: ["b"] })];
    assert.equal((await readVolumeBackends(await given(elsewhere), "a")).length, 1);
  });
});

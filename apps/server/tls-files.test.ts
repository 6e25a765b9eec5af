import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parse } from "yaml";
import { runCommand } from "../../agent/process/run-command.ts";
import { httpLink } from "../../agent/runtime/http-link.ts";
import { credentialPaths } from "./credential-files.ts";
import { runProgram } from "./testing/running-program.ts";
import { ownAuthority } from "./tls-files.ts";

describe("TLS", () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), "pileus-tls-"));
    const openssl = (...args: string[]) => runCommand("openssl", args, { cwd: dir });
    const names = ["-subj", "/CN=pileus", "-addext", "subjectAltName=IP:127.0.0.1"];
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    await openssl("req", "-x509", ...key, "-keyout", "own.key", "-out", "own.pem", ...names);
    await openssl("req", ...key, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=leaf");
    const signing = ["-req", "-in", "leaf.csr", "-CA", "own.pem", "-CAkey", "own.key", "-CAcreateserial"];
    await openssl("x509", ...signing, "-out", "leaf.pem");
  });
  after(() => rm(dir, { recursive: true }));

  it("a chain that ends in an authority of its own is named to clients, others are not", async () => {
    assert.equal(await ownAuthority(join(dir, "own.pem")), join(dir, "own.pem"));
    assert.equal(await ownAuthority(join(dir, "leaf.pem")), null);
    const chain = await Promise.all(["leaf.pem", "own.pem"].map((name) => readFile(join(dir, name), "utf8")));
    await writeFile(join(dir, "chain.pem"), chain.join(""));
    assert.equal(await ownAuthority(join(dir, "chain.pem")), join(dir, "chain.pem"));
  });

  it("an agent that does not know it is told how to name it", async () => {
    const state = await mkdtemp(join(dir, "state-"));
    const tls = { key: join(dir, "own.key"), cert: join(dir, "own.pem") };
    const program = await runProgram({ settings: { stateDir: state, tls } });
    try {
      const joining = httpLink({ url: program.server.address }).join(
        { host: "h", token: "t" },
        new AbortController().signal,
      );
      await assert.rejects(joining, /--ca-file/);
    } finally {
      await program.close();
    }
  });

  it("clouds.yaml and openrc name it", async () => {
    const state = await mkdtemp(join(dir, "state-"));
    const files = credentialPaths(state);
    for (const tls of [{ key: join(dir, "own.key"), cert: join(dir, "own.pem") }, null]) {
      const program = await runProgram({ settings: { stateDir: state, tls } });
      try {
        const { clouds } = parse(await readFile(files.clouds, "utf8"));
        assert.equal(clouds.pileus.cacert, tls?.cert);
        assert.equal(clouds["pileus-demo"].cacert, tls?.cert);
        assert.match(clouds.pileus.auth.auth_url, tls ? /^https:/ : /^http:/);
        assert.equal((await readFile(files.openrc, "utf8")).includes(`OS_CACERT='${tls?.cert}'`), tls !== null);
      } finally {
        await program.close();
      }
    }
  });
});

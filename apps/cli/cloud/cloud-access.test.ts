import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { findCloud } from "./cloud-access.ts";

const CLOUDS = `clouds:
  pileus:
    auth: { auth_url: "http://here:5000/identity/v3", username: admin, password: one, project_name: admin, user_domain_name: Default, project_domain_name: Default }
  other:
    auth: { auth_url: "https://there/identity", application_credential_id: abc, application_credential_secret: two }
    cacert: /there.pem
    verify: false
`;

function folders() {
  const base = mkdtempSync(join(tmpdir(), "pileus-access-"));
  const [cwd, home] = [join(base, "cwd"), join(base, "home")];
  mkdirSync(join(cwd, ".pileus"), { recursive: true });
  mkdirSync(home);
  return { cwd, home, [Symbol.dispose]: () => rmSync(base, { recursive: true }) };
}

test("the cloud of the state folder is found without a word", () => {
  using around = folders();
  writeFileSync(join(around.cwd, ".pileus", "clouds.yaml"), CLOUDS);
  const access = findCloud(null, { ...around, env: {} });
  assert.equal(access.authUrl, "http://here:5000/identity/v3");
  assert.deepEqual([access.caFile, access.verify], [null, true]);
  assert.deepEqual(access.login, {
    identity: {
      methods: ["password"],
      password: { user: { name: "admin", domain: { name: "Default" }, password: "one" } },
    },
    scope: { project: { name: "admin", domain: { name: "Default" } } },
  });
});

test("a named cloud, an application credential, a URL without its version", () => {
  using around = folders();
  const file = join(around.home, "mine.yaml");
  writeFileSync(file, CLOUDS);
  const env = { OS_CLIENT_CONFIG_FILE: file, OS_CLOUD: "pileus" };
  const access = findCloud("other", { ...around, env });
  assert.deepEqual(access, {
    source: `cloud 'other' of ${file}`,
    authUrl: "https://there/identity/v3",
    login: {
      identity: { methods: ["application_credential"], application_credential: { id: "abc", secret: "two" } },
    },
    caFile: "/there.pem",
    verify: false,
  });
});

test("variables count before files, but not before a name", () => {
  using around = folders();
  writeFileSync(join(around.cwd, "clouds.yaml"), CLOUDS);
  const env = {
    OS_AUTH_URL: "http://env:5000/identity/",
    OS_USERNAME: "me",
    OS_PASSWORD: "three",
    OS_PROJECT_ID: "p1",
    OS_INSECURE: "true",
  };
  const access = findCloud(null, { ...around, env });
  assert.deepEqual([access.authUrl, access.verify], ["http://env:5000/identity/v3", false]);
  assert.deepEqual(access.login.scope, { project: { id: "p1" } });
  assert.equal(findCloud("pileus", { ...around, env }).authUrl, "http://here:5000/identity/v3");
});

test("who finds no cloud learns what to do, and reads no secret", () => {
  using around = folders();
  assert.throws(() => findCloud(null, { ...around, env: {} }), { code: "cli.no_cloud", message: /pileus up/ });
  writeFileSync(join(around.cwd, "clouds.yaml"), CLOUDS.replace("pileus:", "first:"));
  assert.throws(() => findCloud(null, { ...around, env: {} }), { message: /--cloud: first, other/ });
  assert.throws(() => findCloud("othr", { ...around, env: {} }), { message: /Did you mean 'other'/ });
  writeFileSync(join(around.cwd, "clouds.yaml"), CLOUDS.replace("username: admin, ", ""));
  assert.throws(
    () => findCloud("pileus", { ...around, env: {} }),
    (error: Error) => {
      assert.match(error.message, /lacks a user and a password/);
      return !error.message.includes("one");
    },
  );
  writeFileSync(join(around.cwd, "clouds.yaml"), "clouds: [");
  assert.throws(() => findCloud(null, { ...around, env: {} }), { code: "cli.bad_clouds_file" });
});

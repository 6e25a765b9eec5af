import assert from "node:assert/strict";
import { test } from "node:test";
import { dropSecrets, withoutSecrets } from "./secret-environment.ts";

test("children get the environment without what opens the database or the cloud", () => {
  const secrets = {
    PILEUS_DATABASE: "postgres://u:p@h/d",
    PILEUS_ADMIN_PASSWORD: "p",
    OS_PASSWORD: "p",
    PGPASSWORD: "p",
  };
  const environment: NodeJS.ProcessEnv = { PATH: "/bin", HOME: "/root", ...secrets };
  assert.deepEqual(withoutSecrets(environment), { PATH: "/bin", HOME: "/root" });
  dropSecrets(environment);
  assert.deepEqual(environment, { PATH: "/bin", HOME: "/root" });
});

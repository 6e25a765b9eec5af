import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { systemIds } from "../../../kernel/ids/ids.ts";
import { hashPassword, verifyPassword } from "./password-hash.ts";

describe("passwords", () => {
  it("match their own hash only, and no hash is like another", async () => {
    const hash = await hashPassword("secret", systemIds);
    assert.ok(!hash.includes("secret"));
    assert.notEqual(hash, await hashPassword("secret", systemIds));
    assert.equal(await verifyPassword("secret", hash), true);
    assert.equal(await verifyPassword("Secret", hash), false);
    assert.equal(await verifyPassword("", null), false);
  });
});

import { type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";
import type { IdSource } from "../../../kernel/ids/ids.ts";

/** 16 MiB and some 40 ms for each guess. */
const COST = { N: 16_384, r: 8, p: 1 };
const KEY_BYTES = 32;
const SALT_BYTES = 16;

/** `scrypt$N$r$p$salt$key`: the cost is kept, so that it can be raised later. */
export async function hashPassword(password: string, ids: IdSource): Promise<string> {
  const salt = ids.secret(SALT_BYTES);
  const key = await derive(password, salt, COST);
  return ["scrypt", COST.N, COST.r, COST.p, salt, key.toString("base64url")].join("$");
}

/** Takes as long when there is no hash (unknown user, no password) as when there is one. */
export async function verifyPassword(password: string, hash: string | null): Promise<boolean> {
  const [scheme, n, r, p, salt, key] = (hash ?? "").split("$");
  if (scheme !== "scrypt" || salt === undefined || key === undefined) {
    await derive(password, "nobody", COST);
    return false;
  }
  const expected = Buffer.from(key, "base64url");
  const actual = await derive(password, salt, { N: Number(n), r: Number(r), p: Number(p) });
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}

function derive(password: string, salt: string, cost: ScryptOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, KEY_BYTES, cost, (error, key) => (error ? reject(error) : resolve(key)));
  });
}

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { addressKey, formatAddress, formatCidr, fromKey, overlap, parseAddress, parseCidr } from "./ip.ts";

const address = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((value) => ({ version: 4 as const, value })),
  fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((value) => ({ version: 6 as const, value })),
);

test("text and keys give the same address again, and keys sort as addresses do", () => {
  fc.assert(
    fc.property(address, address, (a, b) => {
      assert.deepEqual(parseAddress(formatAddress(a)), a);
      assert.deepEqual(fromKey(a.version, addressKey(a)), a);
      if (a.version === b.version) assert.equal(a.value < b.value, addressKey(a) < addressKey(b));
    }),
  );
});

test("canonical texts", () => {
  const texts = [
    ["10.0.0.1", "10.0.0.1"],
    ["::", "::"],
    ["::1", "::1"],
    ["FD00:0:0:1:0:0:0:1", "fd00:0:0:1::1"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["1::", "1::"],
    ["::ffff:10.0.0.1", "::ffff:a00:1"],
  ];
  for (const [text = "", canonical] of texts) {
    const parsed = parseAddress(text);
    assert.equal(parsed && formatAddress(parsed), canonical);
  }
  for (const text of ["", "10.0.0", "10.0.0.256", "fe80::1%eth0", "1:2", "host"])
    assert.equal(parseAddress(text), undefined);
});

test("prefixes lose their host bits", () => {
  const cidr = parseCidr("10.1.2.3/24");
  assert.equal(cidr && formatCidr(cidr), "10.1.2.0/24");
  for (const text of ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "fd00::/129"])
    assert.equal(parseCidr(text), undefined);
  const overlaps = (a: string, b: string) => {
    const [left, right] = [parseCidr(a), parseCidr(b)];
    assert.ok(left && right);
    return overlap(left, right);
  };
  assert.equal(overlaps("10.0.0.0/8", "10.9.0.0/16"), true);
  assert.equal(overlaps("10.0.0.0/24", "10.0.1.0/24"), false);
  assert.equal(overlaps("0.0.0.0/0", "::/0"), false);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { isLike, likeOf } from "./name-pattern.ts";

test("what clients use of regular expressions becomes a LIKE pattern", () => {
  assert.equal(likeOf("web"), "%web%");
  assert.equal(likeOf("^Web-1$"), "web-1");
  assert.equal(likeOf("^web.*"), "web%%");
  assert.equal(likeOf("10.0.0.1"), "%10_0_0_1%");
  assert.equal(likeOf("10\\.0"), "%10.0%");
  assert.equal(likeOf("100%_\\$"), "%100\\%\\_$%");
});

test("the pattern is matched the same way outside the database", () => {
  assert.ok(isLike(likeOf("^10.0.0.5$"), "10.0.0.5"));
  assert.ok(!isLike(likeOf("^10.0.0.5$"), "10.0.0.55"));
  assert.ok(isLike(likeOf("0.5"), "10.0.0.55"));
  assert.ok(isLike(likeOf("a.*c.*e"), "xxabcdexx"));
  assert.ok(!isLike(likeOf("a.*c.*f"), "xxabcdexx"));
  assert.ok(isLike(likeOf(""), ""));
});

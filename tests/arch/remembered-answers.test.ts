import assert from "node:assert/strict";
import { test } from "node:test";
import { assertRule, type Finding, findingsOf } from "./support/findings.ts";
import { mask } from "./support/mask.ts";
import { sourceFiles } from "./support/source.ts";

/** docs/decisions/0011: what such a callback reads otherwise than by its parameters, its answer is remembered without. */
const RULE = "remembered answers";
const ASKED = /\banswers\.of\(/g;
/** Without a `q` of its own it would read another one that is in scope. */
const WITHOUT_Q = /\banswers\.of\((?!\s*\w+,\s*async \(q\b)/g;
const BEHIND_ITS_BACK = /\bstore\.|\bkernel\b|\bclock\b/g;

/** The arguments of `answers.of(`, each where it stands; all else is blank. */
function askedFor(code: string): string {
  const blank = (text: string) => text.replace(/[^\n]/g, " ");
  let [seen, at] = ["", 0];
  for (const { index, 0: call } of code.matchAll(ASKED)) {
    const start = index + call.length;
    const end = endOfArguments(code, start);
    if (start < at) continue;
    seen += blank(code.slice(at, start)) + code.slice(start, end);
    at = end;
  }
  return seen + blank(code.slice(at));
}

function endOfArguments(code: string, start: number): number {
  let depth = 1;
  for (let at = start; at < code.length; at += 1) {
    if (code[at] === "(") depth += 1;
    else if (code[at] === ")") depth -= 1;
    if (depth === 0) return at;
  }
  return code.length;
}

function findingsIn(path: string, code: string): Finding[] {
  const says = "a remembered answer is made from q and moment alone";
  return [...findingsOf(path, code, WITHOUT_Q, says), ...findingsOf(path, askedFor(code), BEHIND_ITS_BACK, says)];
}

test(RULE, () => {
  const files = sourceFiles().filter(({ code, forTests }) => !forTests && code.search(ASKED) >= 0);
  assert.ok(files.length > 0, "nobody remembers answers: has the call another name now?");
  assertRule(
    RULE,
    files.flatMap(({ path, code }) => findingsIn(path, code)),
  );
});

test("an answer that is made from something else is noticed", () => {
  const planted = `
    const before = clock.now(); // fine: outside
    return await answers.of(request, async (q, moment) => {
      const rows = await listRows(q, "store.read is only named here");
      const others = await listRows(store.read, filter);
      return view(rows, others, deps.kernel.clock.now());
    });
    await store.tx(change);
    return await answers.of(request, async () => await listRows(q, filter));`;
  assert.deepEqual(
    findingsIn("planted.ts", mask(planted).code).map(({ line }) => line),
    [9, 5, 6, 6],
  );
});

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Journal, MemoryJournal } from "./journal.ts";
import { SqliteJournal } from "./sqlite-journal.ts";

const ok = { ok: true, result: { n: 1 } } as const;

function contract(make: () => Journal, reopen: (journal: Journal) => Journal): void {
  const journal = make();
  assert.equal(journal.highestEpoch("s"), -1);
  journal.begin("started", "s", 3);
  journal.begin("finished", "s", 2);
  journal.finish("finished", ok);
  journal.raiseEpoch("other", 7);
  journal.raiseEpoch("other", 6);
  const later = reopen(journal);
  assert.equal(later.highestEpoch("s"), 3);
  assert.equal(later.highestEpoch("other"), 7);
  assert.equal(later.outcome("started"), undefined);
  assert.deepEqual(later.outcome("finished"), ok);
  assert.deepEqual(later.finished(), [{ key: "finished", outcome: ok }]);
  assert.deepEqual(later.finishedKeys(), ["finished"]);
  later.begin("finished", "s", 3);
  later.forget(["finished", "never heard of"]);
  assert.equal(later.outcome("finished"), undefined);
  later.ageEpochs();
  assert.deepEqual([later.highestEpoch("s"), later.highestEpoch("other")], [3, 7], "still young");
  later.raiseEpoch("s", 2);
  later.raiseEpoch("other", 7);
  const old = reopen(later);
  old.ageEpochs();
  assert.deepEqual([old.highestEpoch("s"), old.highestEpoch("other")], [-1, 7], "what was seen again stays");
  old.raiseEpoch("s", 1);
  old.ageEpochs();
  old.ageEpochs();
  assert.deepEqual([old.highestEpoch("s"), old.highestEpoch("other")], [-1, -1]);
  old.close();
}

test("the memory journal keeps epochs and answers", () => {
  contract(
    () => new MemoryJournal(),
    (journal) => journal,
  );
});

test("the file journal keeps them over a restart", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "journal-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const file = join(dir, "journal.sqlite");
  contract(
    () => new SqliteJournal(file),
    (journal) => {
      journal.close();
      return new SqliteJournal(file);
    },
  );
});

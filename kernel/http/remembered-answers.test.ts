import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { sql } from "kysely";
import { ManualClock } from "../clock/manual-clock.ts";
import type { Moment } from "../clock/moment.ts";
import type { Migration } from "../store/migrate.ts";
import type { Queries } from "../store/store.ts";
import { openSqlite, type TestStore } from "../store/testing/stores.ts";
import { RememberedAnswers } from "./remembered-answers.ts";
import type { ApiRequest } from "./request.ts";

const things: Migration = { name: "test-0001", statements: ["CREATE TABLE things (id text PRIMARY KEY)"] };

const START = Date.UTC(2026, 0, 1);

/** What an answer may depend on of a request. */
interface Asked {
  readonly path: string;
  readonly rawQuery: Record<string, string>;
  readonly version: string;
  readonly base: string;
  readonly roles: readonly string[];
  readonly policyRevision: number;
}
const ASKED: Asked = {
  path: "/things",
  rawQuery: {},
  version: "2.1",
  base: "http://a",
  roles: ["admin"],
  policyRevision: 0,
};

function requestOf(asked: Asked): ApiRequest<unknown, unknown> {
  const { path, rawQuery, version, base, roles, policyRevision } = asked;
  const credentials = { userId: "u", projectId: "p", domainId: null, systemScope: null, roles };
  const urls = { self: (rest: string) => base + rest };
  const request = { path, rawQuery, version: { text: version }, urls, context: { credentials }, policyRevision };
  return request as unknown as ApiRequest<unknown, unknown>;
}

describe("remembered answers", () => {
  let opened: TestStore;
  before(async () => {
    opened = await openSqlite([things]);
  });
  after(() => opened.dispose());

  const write = (id: string) =>
    opened.store.tx(async (t) => void (await sql`INSERT INTO things VALUES (${id})`.execute(t.tables())));

  /** Asks several times; tells how often the answer was made, and what the last one was. */
  function asking(make: (q: Queries, moment: Moment) => Promise<unknown>) {
    const clock = new ManualClock(START);
    const answers = new RememberedAnswers({ store: opened.store, clock });
    let made = 0;
    return {
      clock,
      made: () => made,
      ask: async (asked: Partial<Asked> = {}) => {
        const { raw } = await answers.of(requestOf({ ...ASKED, ...asked }), async (q, moment) => {
          made += 1;
          return await make(q, moment);
        });
        return JSON.parse(String(raw)) as unknown;
      },
    };
  }
  const ids = async (q: Queries) =>
    (await sql<{ id: string }>`SELECT id FROM things ORDER BY id`.execute(q.tables())).rows;

  test("an answer is made once, and anew after a write to what it was made from", async () => {
    const { ask, made } = asking(ids);
    await write("a");
    assert.deepEqual([await ask(), await ask()], [[{ id: "a" }], [{ id: "a" }]]);
    assert.equal(made(), 1);
    await write("b");
    assert.deepEqual(
      [await ask(), await ask()],
      [
        [{ id: "a" }, { id: "b" }],
        [{ id: "a" }, { id: "b" }],
      ],
    );
    assert.equal(made(), 2);
  });

  const others: readonly [string, Partial<Asked>][] = [
    ["another path", { path: "/others" }],
    ["another query", { rawQuery: { limit: "1" } }],
    ["another version", { version: "2.2" }],
    ["another address", { base: "http://b" }],
    ["somebody else", { roles: ["reader"] }],
    ["other rules", { policyRevision: 1 }],
  ];
  for (const [what, other] of others)
    test(`${what} has an answer of its own`, async () => {
      const { ask, made } = asking(async () => ({ made: made() }));
      assert.deepEqual(
        [await ask(), await ask(other), await ask(), await ask(other)].map((each) => (each as { made: number }).made),
        [1, 2, 1, 2],
      );
    });

  test("what is judged by the time is judged again when it may have turned", async () => {
    const { ask, clock, made } = asking(async (_q, moment) => ({ over: moment.isPast(START + 1000) }));
    assert.deepEqual(await ask(), { over: false });
    clock.advance(1000);
    assert.deepEqual([await ask(), made()], [{ over: false }, 1]);
    clock.advance(1);
    assert.deepEqual([await ask(), made()], [{ over: true }, 2]);
  });

  test("an answer under which something was written is not kept", async () => {
    const { ask, made } = asking(async (q) => {
      const before = await ids(q);
      await write(`during-${made()}`);
      return before;
    });
    await ask();
    await ask();
    assert.equal(made(), 2);
  });

  test("an answer that cannot be made is not kept", async () => {
    const { ask, made } = asking(async () => {
      if (made() === 1) throw new Error("no");
      return "well";
    });
    await assert.rejects(ask(), /no/);
    assert.equal(await ask(), "well");
  });
});

import { type ReaderRows, RenderedRows } from "../../../kernel/http/rendered-rows.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { type ServerHead, type ServerStamp, wholeServers } from "../store/server-lists.ts";
import type { ServerRow } from "../store/tables.ts";
import { type Asking, type FactSources, factsOfServers, viewOf, visibilityOf } from "./server-facts.ts";
import { type Json, type ServerVisibility, serverSummary } from "./server-view.ts";

/** Some ten thousand servers with all their details. */
const KEPT_BYTES = 32 * 2 ** 20;

/** A server in a list, of which only the stamp is known so far. */
interface Wanted {
  readonly stamp: ServerStamp;
  /** What it depends on beside its row, as text. */
  readonly facts: string;
  readonly rows: ReaderRows;
  render(row: ServerRow): Json;
}

/**
 * Servers as lists send them, rendered anew only when they have changed: a list is polled far more often than the servers
 * in it change, and nearly all its cost was in reading their rows and in making the same text of them again. Nothing that
 * is sent is older than the request: each row's revision and all other facts are read every time.
 */
export class ServerPages {
  readonly #rendered = new RenderedRows(KEPT_BYTES);

  /** The short form. */
  async summaries(q: Queries, request: Asking, stamps: readonly ServerStamp[]): Promise<Buffer[]> {
    const rows = this.#rendered.of(readerOf(request, "summary"));
    const render = (row: ServerRow) => serverSummary(row, request.urls);
    return await inJson(
      q,
      stamps.map((stamp) => ({ stamp, facts: "", rows, render })),
    );
  }

  /** The full form. */
  async details(from: FactSources, request: Asking, heads: readonly ServerHead[]): Promise<Buffer[]> {
    if (heads.length === 0) return [];
    const factsOf = await factsOfServers(from, heads);
    const ownedBy = this.#owners(request);
    const wanted = heads.map((head) => {
      const facts = factsOf(head);
      const { rows, sees } = ownedBy(head);
      const render = (row: ServerRow) => viewOf(request, row, facts, sees);
      return { stamp: head, facts: JSON.stringify(facts), rows, render };
    });
    return await inJson(from.q, wanted);
  }

  /** Asks the policy once per owner, which is all of a server that rules look at. */
  #owners(request: Asking): (head: ServerHead) => { sees: ServerVisibility; rows: ReaderRows } {
    const known = new Map<string, { sees: ServerVisibility; rows: ReaderRows }>();
    return (head) => {
      const key = `${head.project_id} ${head.user_id}`;
      let owner = known.get(key);
      if (!owner) {
        const sees = visibilityOf(request, head);
        owner = { sees, rows: this.#rendered.of(readerOf(request, JSON.stringify(sees))) };
        known.set(key, owner);
      }
      return owner;
    };
  }
}

/** What was rendered before, where it is current; the rest is read, rendered and kept. What is gone is left out. */
async function inJson(q: Queries, wanted: readonly Wanted[]): Promise<Buffer[]> {
  const known = wanted.map(({ stamp, facts, rows }) => rows.find(stamp.id, stamp.revision + facts));
  const missing = wanted.filter((_, i) => known[i] === undefined).map(({ stamp }) => stamp.id);
  const changed = new Map((await wholeServers(q, missing)).map((row) => [row.id, row]));
  return wanted.flatMap(({ facts, rows, render }, i) => {
    const bytes = known[i];
    if (bytes) return [bytes];
    const row = changed.get(wanted[i]?.stamp.id ?? "");
    if (!row) return [];
    const made = Buffer.from(JSON.stringify(render(row)));
    rows.keep(row.id, row.revision + facts, made);
    return [made];
  });
}

/** Everything that a rendering depends on and that is not of the server: the version, the addresses in links, what may be seen. */
function readerOf(request: Asking, sees: string): string {
  return `${request.version.text} ${request.urls.self("")} ${request.urls.bookmark("")} ${sees}`;
}

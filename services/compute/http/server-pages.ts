import { type ReaderRows, RenderedRows } from "../../../kernel/http/rendered-rows.ts";
import type { Queries } from "../../../kernel/store/store.ts";
import { type ServerHead, wholeServers } from "../store/server-lists.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { type Asking, factsOfServers, viewOf, visibilityOf } from "./server-facts.ts";
import { type ServerFacts, type ServerVisibility, serverSummary } from "./server-view.ts";

/** Some ten thousand servers with all their details. */
const KEPT_BYTES = 32 * 2 ** 20;

/**
 * Servers as lists send them, rendered anew only when they have changed: a list is polled far more often than the servers
 * in it change, and nearly all its cost was in reading their rows and in making the same text of them again. Nothing that
 * is sent is older than the request: each row's revision and all other facts are read every time, and are its stamp.
 */
export class ServerPages {
  readonly #rendered = new RenderedRows(KEPT_BYTES);

  /** The short form. */
  summaries(request: Asking, heads: readonly ServerHead[]): Buffer[] {
    const rows = this.#rendered.of(readerOf(request, "summary"));
    return heads.map((head) => {
      const stamp = String(head.revision);
      const known = rows.find(head.id, stamp);
      if (known) return known;
      const bytes = asBytes(serverSummary(head, request.urls));
      rows.keep(head.id, stamp, bytes);
      return bytes;
    });
  }

  /** The full form, without what is gone in the meantime. */
  async details(q: Queries, deps: FaceDependencies, request: Asking, heads: readonly ServerHead[]): Promise<Buffer[]> {
    if (heads.length === 0) return [];
    const factsOf = await factsOfServers(q, deps, heads);
    const ownedBy = this.#owners(request);
    const pages = heads.map((head) => {
      const facts = factsOf(head);
      const owner = ownedBy(head);
      return { id: head.id, facts, owner, bytes: owner.rows.find(head.id, stampOf(head, facts)) };
    });
    const missing = pages.filter((page) => page.bytes === undefined).map((page) => page.id);
    const changed = new Map((await wholeServers(q, missing)).map((row) => [row.id, row]));
    return pages.flatMap(({ id, facts, owner, bytes }) => {
      if (bytes) return [bytes];
      const row = changed.get(id);
      if (!row) return [];
      const made = asBytes(viewOf(request, row, facts, owner.sees));
      owner.rows.keep(id, stampOf(row, facts), made);
      return [made];
    });
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

function stampOf({ revision }: Pick<ServerHead, "revision">, facts: ServerFacts): string {
  return `${revision}${JSON.stringify(facts)}`;
}

function asBytes(view: unknown): Buffer {
  return Buffer.from(JSON.stringify(view));
}

/** Everything that a rendering depends on and that is not of the server: the version, the addresses in links, what may be seen. */
function readerOf(request: Asking, sees: string): string {
  return `${request.version.text} ${request.urls.self("")} ${request.urls.bookmark("")} ${sees}`;
}

import { createHash } from "node:crypto";
import type { Compilable, Kysely } from "kysely";
import type { Queries, Statement, Store } from "./store.ts";

/** Stands for a parameter while the query is compiled. */
class Placeholder {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

interface Compiled {
  readonly statement: Statement;
  readonly parameters: readonly unknown[];
}

/**
 * A query that Kysely builds and compiles once per dialect and the database parses once per connection; a run then only
 * binds parameters. For hot paths: building a query anew costs more than SQLite takes to answer it.
 */
export class Prepared<Parameters, Row> {
  readonly #compile: (q: Queries) => Compiled;
  readonly #compiled = new Map<Store["dialect"], Compiled>();

  constructor(compile: (q: Queries) => Compiled) {
    this.#compile = compile;
  }

  /** Every row: those selected, or those of `returning`. */
  async all(q: Queries, parameters: Parameters): Promise<Row[]> {
    let compiled = this.#compiled.get(q.dialect);
    if (!compiled) {
      compiled = this.#compile(q);
      this.#compiled.set(q.dialect, compiled);
    }
    const given = parameters as Readonly<Record<string, unknown>>;
    const values = compiled.parameters.map((value) => (value instanceof Placeholder ? given[value.name] : value));
    return (await q.run(compiled.statement, values)) as Row[];
  }

  async first(q: Queries, parameters: Parameters): Promise<Row | undefined> {
    return (await this.all(q, parameters))[0];
  }
}

/**
 * Declares a hot query, at the top of a module:
 *
 *     const byId = prepared((db: Kysely<Tables>, p: { id: string }) => db.selectFrom("things").selectAll().where("id", "=", p.id));
 *     await byId.first(store.read, { id });
 *
 * `p` may only be handed on to Kysely as values, one at a time: nothing can be decided by it, and a list of any length
 * (`in`) does not fit. For those there are `preparedPer` and `isAmong`, or plain Kysely.
 */
export function prepared<Tables, Parameters extends object, Row>(
  build: (db: Kysely<Tables>, p: Parameters, dialect: Store["dialect"]) => Compilable<Row>,
): Prepared<Parameters, Row> {
  const placeholders = new Proxy({}, { get: (_, name) => new Placeholder(String(name)) }) as Parameters;
  return new Prepared((q) => {
    const { sql, parameters } = build(q.tables<Tables>(), placeholders, q.dialect).compile();
    return { statement: { sql, name: createHash("sha256").update(sql).digest("hex").slice(0, 32) }, parameters };
  });
}

/** A family of prepared queries that differ by a list of names, such as the columns that an update sets. Few lists, please: each is kept. */
export function preparedPer<Name extends string, Parameters, Row>(
  make: (names: readonly Name[]) => Prepared<Parameters, Row>,
): (names: readonly Name[]) => Prepared<Parameters, Row> {
  const made = new Map<string, Prepared<Parameters, Row>>();
  return (names) => {
    const key = names.join();
    let one = made.get(key);
    if (!one) {
      one = make(names);
      made.set(key, one);
    }
    return one;
  };
}

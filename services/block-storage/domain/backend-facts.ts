import type { BackendFacts } from "../../../agent/protocol/block-storage.ts";

/** What the agent of a backend said of it last. */
export function factsOf(row: { readonly facts: string }): BackendFacts {
  return JSON.parse(row.facts) as BackendFacts;
}

/** Our backends have one pool, named as they are. */
export function poolOf(facts: BackendFacts): string {
  return facts.backend;
}

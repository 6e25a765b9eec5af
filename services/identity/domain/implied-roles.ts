/** Which roles a role implies directly, by role id. */
export type RoleGraph = ReadonlyMap<string, readonly string[]>;

export function roleGraph(edges: readonly { prior_role_id: string; implied_role_id: string }[]): RoleGraph {
  const graph = new Map<string, string[]>();
  for (const { prior_role_id, implied_role_id } of edges) {
    const implied = graph.get(prior_role_id);
    if (implied) implied.push(implied_role_id);
    else graph.set(prior_role_id, [implied_role_id]);
  }
  return graph;
}

/** The given roles and everything they imply, in any number of steps; circles do no harm. */
export function withImplied(roleIds: Iterable<string>, graph: RoleGraph): Set<string> {
  const found = new Set(roleIds);
  for (const id of found) for (const implied of graph.get(id) ?? []) found.add(implied);
  return found;
}

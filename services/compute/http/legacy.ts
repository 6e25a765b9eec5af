import type { TSchema } from "typebox";
import { versionNumber } from "../../../kernel/http/api-version.ts";
import { type Action, type Endpoint, type Route, SchemasByVersion } from "../../../kernel/http/route.ts";
import { MIN_VERSION } from "./face.ts";

const FROZEN = versionNumber(MIN_VERSION);

/** The routes of the legacy face: those of version 2.1, which take bodies with keys that they do not know. */
export function legacyRoutes(routes: readonly Route[]): Route[] {
  return routes.flatMap((route) => {
    if (route.range.min > FROZEN) return [];
    if (!route.actions) return [{ ...route, ...lenientEndpoint(route) }];
    const actions = new Map<string, Action[]>();
    for (const [key, all] of route.actions) {
      const old = all.filter((each) => each.range.min <= FROZEN).map((each) => ({ ...each, ...lenientEndpoint(each) }));
      if (old.length > 0) actions.set(key, old);
    }
    return [{ ...route, actions }];
  });
}

function lenientEndpoint(endpoint: Endpoint): Pick<Endpoint, "body" | "query"> {
  return { body: lenient(frozen(endpoint.body)), query: frozen(endpoint.query) };
}

function frozen(schema: Endpoint["body"]): TSchema | undefined {
  if (!(schema instanceof SchemasByVersion)) return schema;
  return schema.steps.find((step) => step.since <= FROZEN)?.schema;
}

/** The same schema with closed objects opened; maps of names to values stay as they are. */
function lenient(schema: TSchema | undefined): TSchema | undefined {
  return schema === undefined ? undefined : (opened(schema) as TSchema);
}

function opened(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(opened);
  if (typeof value !== "object" || value === null) return value;
  const isMap = "patternProperties" in value;
  const entries = Object.entries(value).filter(
    ([key, each]) => isMap || key !== "additionalProperties" || each !== false,
  );
  return Object.fromEntries(entries.map(([key, each]) => [key, opened(each)]));
}

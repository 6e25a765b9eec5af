import { type Route, route } from "../../../kernel/http/route.ts";
import type { Urls } from "../../../kernel/http/urls.ts";

const COLLECTIONS = ["networks", "subnets", "ports", "security-groups", "security-group-rules", "quotas", "extensions"];

export const versionRoutes: readonly Route[] = [
  route({
    name: "versions.list",
    method: "GET",
    path: "/",
    at: "root",
    auth: "none",
    handler: (request) => ({ body: { versions: [version(request.urls)] } }),
  }),
  route({
    name: "versions.show",
    method: "GET",
    path: "/",
    policy: "authenticated",
    handler: (request) => ({
      body: {
        resources: COLLECTIONS.map((collection) => ({
          name: collection.replaceAll("-", "_").replace(/s$/, ""),
          collection: collection.replaceAll("-", "_"),
          links: [{ rel: "self", href: request.urls.self(`/${collection}`) }],
        })),
      },
    }),
  }),
];

function version(urls: Urls) {
  return { id: "v2.0", status: "CURRENT", links: [{ rel: "self", href: urls.root("/v2.0/") }] };
}

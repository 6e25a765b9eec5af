import { healthcheckRoutes } from "../../../kernel/http/healthcheck.ts";
import type { ApiRequest } from "../../../kernel/http/request.ts";
import { type Route, route } from "../../../kernel/http/route.ts";

/** Clients follow the self link: it must be the address under which they reached us. */
function versionView(request: ApiRequest) {
  return {
    id: "v3.14",
    status: "stable",
    updated: "2020-04-07T00:00:00Z",
    links: [{ rel: "self", href: request.urls.self("/") }],
    "media-types": [{ base: "application/json", type: "application/vnd.openstack.identity-v3+json" }],
  };
}

export const versionRoutes: readonly Route[] = [
  route({
    name: "versions.list",
    method: "GET",
    path: "",
    at: "root",
    auth: "none",
    handler: (request) => ({
      status: 300,
      headers: { Location: request.urls.self("/") },
      body: { versions: { values: [versionView(request)] } },
    }),
  }),
  route({
    name: "versions.show",
    method: "GET",
    path: "",
    auth: "none",
    handler: (request) => ({ body: { version: versionView(request) } }),
  }),
  ...healthcheckRoutes(),
];

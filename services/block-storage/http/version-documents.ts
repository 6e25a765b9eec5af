import { type Route, route } from "../../../kernel/http/route.ts";
import type { Urls } from "../../../kernel/http/urls.ts";
import { MAX_VERSION, MIN_VERSION } from "./face.ts";

function document(urls: Urls) {
  const version = {
    id: "v3.0",
    status: "CURRENT",
    version: MAX_VERSION,
    min_version: MIN_VERSION,
    updated: "2023-08-31T00:00:00Z",
    links: [
      { rel: "describedby", type: "text/html", href: "https://docs.openstack.org/" },
      { rel: "self", href: urls.root("/v3/") },
    ],
    "media-types": [{ base: "application/json", type: "application/vnd.openstack.volume+json;version=3" }],
  };
  return { versions: [version] };
}

/** 300 although there is nothing to choose: clients and conformance tests expect it. */
export const versionList: Route = route({
  name: "volume.versions",
  method: "GET",
  path: "",
  at: "root",
  auth: "none",
  handler: ({ urls }) => ({ status: 300, body: document(urls) }),
});

/** The list again, not the one version; and it takes a token. */
export const currentVersion: Route = route({
  name: "volume.version",
  method: "GET",
  path: "",
  policy: "authenticated",
  handler: ({ urls }) => ({ body: document(urls) }),
});

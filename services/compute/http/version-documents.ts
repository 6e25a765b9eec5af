import type { ApiResponse } from "../../../kernel/http/response.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import type { Urls } from "../../../kernel/http/urls.ts";

const MAX = "2.104";
const JSON_MEDIA = (version: string) => [
  { base: "application/json", type: `application/vnd.openstack.compute+json;version=${version}` },
];

interface VersionFacts {
  readonly id: string;
  readonly path: string;
  readonly status: string;
  readonly version: string;
  readonly minVersion: string;
  readonly updated: string;
  readonly media: string;
}

const V20: VersionFacts = {
  id: "v2.0",
  path: "/v2/",
  status: "DEPRECATED",
  version: "",
  minVersion: "",
  updated: "2025-07-04T12:00:00Z",
  media: "2",
};
const V21: VersionFacts = {
  id: "v2.1",
  path: "/v2.1/",
  status: "CURRENT",
  version: MAX,
  minVersion: "2.1",
  updated: "2013-07-23T11:33:21Z",
  media: "2.1",
};

const DESCRIBED_BY = { href: "http://docs.openstack.org/", rel: "describedby", type: "text/html" };

function summary(facts: VersionFacts, urls: Urls) {
  return {
    id: facts.id,
    status: facts.status,
    version: facts.version,
    min_version: facts.minVersion,
    updated: facts.updated,
    links: [{ rel: "self", href: urls.root(facts.path) }],
  };
}

function full(facts: VersionFacts, urls: Urls) {
  const base = summary(facts, urls);
  return { ...base, links: [...base.links, DESCRIBED_BY], "media-types": JSON_MEDIA(facts.media) };
}

/** The answer to a path that is no version: what there is to choose from. */
export function unknownVersion({ path, urls }: { path: string; urls: Urls }): ApiResponse {
  const rest = path.replace(/^\/compute\/?/, "");
  const choice = (facts: VersionFacts) => ({
    id: facts.id,
    status: facts.status,
    links: [{ rel: "self", href: urls.root(`${facts.path}${rest}`) }],
    "media-types": JSON_MEDIA(facts.media),
  });
  return { status: 300, body: { choices: [choice(V20), choice(V21)] } };
}

/** `GET /compute` */
export const versionList: Route = route({
  name: "compute.versions",
  method: "GET",
  path: "",
  at: "root",
  auth: "none",
  handler: ({ urls }) => ({ body: { versions: [summary(V20, urls), summary(V21, urls)] } }),
});

/** `GET /compute/v2.1` */
export const currentVersion: Route = route({
  name: "compute.version",
  method: "GET",
  path: "",
  auth: "none",
  handler: ({ urls }) => ({ body: { version: full(V21, urls) } }),
});

/** `GET /compute/v2` */
export const legacyVersion: Route = route({
  name: "compute-legacy.version",
  method: "GET",
  path: "",
  auth: "none",
  handler: ({ urls }) => ({ body: { version: full(V20, urls) } }),
});

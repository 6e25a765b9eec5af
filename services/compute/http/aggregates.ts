import { type Route, route } from "../../../kernel/http/route.ts";

const RULE = "os_compute_api:os-aggregates:index";

/** Hosts are not grouped into aggregates here, so the list is always empty; clients ask for it beside hypervisors. */
export function aggregateRoutes(): Route[] {
  return [
    route({
      name: "aggregates.list",
      method: "GET",
      path: "/os-aggregates",
      policy: RULE,
      handler(request) {
        request.authorize(RULE);
        return { body: { aggregates: [] } };
      },
    }),
  ];
}

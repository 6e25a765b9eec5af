import { type Route, route } from "./route.ts";

/**
 * `GET /healthcheck` at the root of a face, as OpenStack's services have it for load balancers: that this process answers.
 * What the whole server needs is checked by `/healthz`. HEAD answers 204.
 */
export function healthcheckRoutes(): Route[] {
  const common = { path: "/healthcheck", at: "root", auth: "none" } as const;
  return [
    route({
      ...common,
      name: "health.show",
      method: "GET",
      head: false,
      handler: ({ headers }) =>
        String(headers.accept).includes("application/json")
          ? { body: { detailed: false, reasons: ["OK"] } }
          : { raw: "OK", contentType: "text/plain; charset=UTF-8" },
    }),
    route({
      ...common,
      name: "health.probe",
      method: "HEAD",
      success: 204,
      handler: () => undefined,
    }),
  ];
}

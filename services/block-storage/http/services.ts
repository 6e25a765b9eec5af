import { Type } from "typebox";
import { RememberedAnswers } from "../../../kernel/http/remembered-answers.ts";
import { type Route, route } from "../../../kernel/http/route.ts";
import { listVolumeServices } from "../store/services.ts";
import type { FaceDependencies } from "./dependencies.ts";
import { serviceVersions, serviceView } from "./service-view.ts";

const text = Type.Optional(Type.String());

/** `/os-services` */
export function serviceRoutes(deps: FaceDependencies): Route[] {
  const answers = new RememberedAnswers(deps.kernel);
  return [
    route({
      name: "services.list",
      method: "GET",
      path: "/os-services",
      policy: "volume_extension:services:index",
      query: Type.Object({ host: text, binary: text }),
      async handler(request) {
        request.authorize("volume_extension:services:index");
        return await answers.of(request, async (q, moment) => {
          const services = await listVolumeServices(q, request.query);
          const views = services.map((service) => serviceView(service, moment, deps));
          return { services: views.map((view) => serviceVersions.down(request.version, view)) };
        });
      },
    }),
  ];
}

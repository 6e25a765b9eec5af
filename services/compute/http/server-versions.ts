import { versionSteps } from "../../../kernel/http/version-steps.ts";
import type { AttachedVolume, Json, ServerAnswer } from "./server-view.ts";

const SINCE_2_3 = ["kernel_id", "ramdisk_id", "launch_index", "reservation_id", "root_device_name", "user_data"];

/** Each microversion that changed how a server looks. */
export const serverVersions = versionSteps<ServerAnswer>([
  {
    since: "2.3",
    name: "extended attributes for administrators",
    down({ server }) {
      for (const name of [...SINCE_2_3, "hostname"]) delete server[`OS-EXT-SRV-ATTR:${name}`];
      const volumes = server["os-extended-volumes:volumes_attached"] as readonly AttachedVolume[];
      server["os-extended-volumes:volumes_attached"] = volumes.map(({ id }) => ({ id }));
    },
  },
  { since: "2.9", name: "locked", down: without("locked") },
  { since: "2.16", name: "host_status", down: without("host_status") },
  { since: "2.19", name: "description", down: without("description") },
  { since: "2.26", name: "tags", down: without("tags") },
  {
    since: "2.47",
    name: "flavor embedded instead of referred to",
    down: ({ server, flavorReference }) => {
      server.flavor = flavorReference;
    },
  },
  { since: "2.63", name: "trusted image certificates", down: without("trusted_image_certificates") },
  { since: "2.71", name: "server groups", down: without("server_groups") },
  { since: "2.73", name: "locked_reason", down: without("locked_reason") },
  {
    since: "2.90",
    name: "hostname for everybody",
    down({ server }) {
      if (!("OS-EXT-SRV-ATTR:host" in server)) delete server["OS-EXT-SRV-ATTR:hostname"];
    },
  },
  { since: "2.96", name: "pinned availability zone", down: without("pinned_availability_zone") },
  {
    since: "2.98",
    name: "image properties",
    down({ server }) {
      const { image } = server;
      if (typeof image === "object" && image !== null) delete (image as Json).properties;
    },
  },
  { since: "2.100", name: "scheduler hints", down: without("scheduler_hints") },
]);

function without(key: string): (answer: ServerAnswer) => void {
  return ({ server }) => {
    delete server[key];
  };
}

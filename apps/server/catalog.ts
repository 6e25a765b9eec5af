import type { CatalogTemplate } from "../../services/identity/bootstrap.ts";

/** Where each service is published. Types are those that clients look up; a service with two types has two rows. */
export const catalog: readonly CatalogTemplate[] = [
  { type: "identity", name: "keystone", path: "/identity" },
  { type: "compute", name: "nova", path: "/compute/v2.1" },
  { type: "volumev3", name: "cinderv3", path: "/volume/v3/%(project_id)s" },
  { type: "block-storage", name: "cinder", path: "/volume/v3/%(project_id)s" },
  { type: "image", name: "glance", path: "/image" },
  { type: "network", name: "neutron", path: "/network" },
];

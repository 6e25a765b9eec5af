import type { BlockStorageDependencies } from "../dependencies.ts";

/** What the API face works with. */
export type FaceDependencies = BlockStorageDependencies;

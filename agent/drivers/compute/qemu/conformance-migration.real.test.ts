import { migrationCases } from "../../../conformance/compute-migration-cases.ts";
import { labConformance } from "./testing/lab-conformance.ts";

await labConformance(migrationCases);

import { coreCases } from "../../../conformance/compute-core-cases.ts";
import { labConformance } from "./testing/lab-conformance.ts";

await labConformance(coreCases);

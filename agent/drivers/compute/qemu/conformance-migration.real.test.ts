import { computeDriverConformance } from "../../../conformance/compute-driver-conformance.ts";
import { migrationCases } from "../../../conformance/compute-migration-cases.ts";
import { conformanceLab } from "./testing/lab-conformance.ts";

computeDriverConformance({ name: "qemu", cases: migrationCases, ...(await conformanceLab()) });

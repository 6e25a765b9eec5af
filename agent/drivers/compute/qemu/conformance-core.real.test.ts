import { coreCases } from "../../../conformance/compute-core-cases.ts";
import { computeDriverConformance } from "../../../conformance/compute-driver-conformance.ts";
import { conformanceLab } from "./testing/lab-conformance.ts";

computeDriverConformance({ name: "qemu", cases: coreCases, ...(await conformanceLab()) });

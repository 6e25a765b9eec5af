import { computeDriverConformance } from "../../../conformance/compute-driver-conformance.ts";
import { volumeCases } from "../../../conformance/compute-volume-cases.ts";
import { conformanceLab } from "./testing/lab-conformance.ts";

computeDriverConformance({ name: "qemu", cases: volumeCases, ...(await conformanceLab()) });

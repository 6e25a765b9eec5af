import type { GuestEvent } from "../../../agent/drivers/compute/driver.ts";
import type { PublicFault } from "../../../kernel/errors/cloud-error.ts";

/** What an agent's process asks of the machine that it runs on, over its channel to the process that holds the world. */
export type ToMachine =
  | {
      readonly type: "act";
      readonly id: number;
      readonly act: string;
      readonly args: unknown[];
      readonly call: WireCall | null;
    }
  | { readonly type: "abort"; readonly id: number };

export interface WireCall {
  readonly key: string;
  readonly epoch: number;
  readonly deadline: Date;
}

export type FromMachine =
  | {
      readonly type: "progress";
      readonly id: number;
      readonly percent: number;
      readonly detail?: Record<string, unknown>;
    }
  | { readonly type: "answer"; readonly id: number; readonly value: unknown }
  | { readonly type: "refusal"; readonly id: number; readonly fault: PublicFault }
  | { readonly type: "event"; readonly event: GuestEvent };

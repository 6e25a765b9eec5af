export interface FaultBody {
  readonly code: string;
  readonly message: string;
  /** Shown to administrators. */
  readonly reason?: string;
}

export const OPERATION_STATES = ["ready", "running", "waiting", "stuck", "done", "undone", "abandoned"] as const;
export type OperationStateName = (typeof OPERATION_STATES)[number];

/** An operation as `/v1/operations` shows it; times without a zone are UTC. */
export interface OperationBody {
  readonly id: string;
  readonly name: string;
  readonly resource: { readonly type: string; readonly id: string };
  readonly project_id: string | null;
  readonly request_id: string | null;
  readonly state: OperationStateName;
  readonly direction: "forward" | "undo";
  readonly cancelled: boolean;
  readonly late: boolean;
  readonly step: string | null;
  readonly percent: number;
  readonly fault: FaultBody | null;
  readonly trouble: FaultBody | null;
  readonly attempts: number;
  readonly waiting_for: readonly string[];
  readonly next_run_at: string | null;
  readonly created_at: string;
  readonly updated_at: string;
  readonly finished_at: string | null;
  readonly steps?: readonly StepBody[];
}

export interface StepBody {
  readonly step: string;
  readonly run: number;
  readonly state: string;
  readonly attempts: number;
  readonly host: string | null;
  readonly fault: FaultBody | null;
  readonly started_at: string;
  readonly finished_at: string | null;
}

/** Whether it has ended, one way or another. */
export function hasEnded({ state }: OperationBody): boolean {
  return state === "done" || state === "undone" || state === "abandoned";
}

import { type FaultBody, hasEnded, type OperationBody } from "../cloud/operation-body.ts";

const BAR = 20;

/** Where it stands, and why it is not further: `running copy 52 %`, `undone: No host has room.` */
export function standing(operation: OperationBody): string {
  const { state, resource, step, percent, fault, trouble, attempts, waiting_for, direction, cancelled, late } =
    operation;
  if (state === "done") return "done";
  if (state === "undone") return cancelled ? "undone: cancelled" : `undone${because(fault)}`;
  if (state === "abandoned")
    return fault === null ? `abandoned: a later request took the ${resource.type} over` : `abandoned${because(fault)}`;
  if (state === "stuck")
    return `stuck in ${step}${because(trouble)} 'pileus operations retry ${operation.id}' tries again at once.`;
  const notes = [
    ...(direction === "undo" ? [`undoing${because(fault)}`] : []),
    ...(waiting_for.length > 0 ? [`waits for ${waiting_for.join(" or ")}`] : []),
    ...(trouble === null ? [] : [`try ${attempts + 1} follows${because(trouble)}`]),
    ...(late ? ["late"] : []),
  ];
  return [`${state} ${step ?? ""} ${percent} %`.replace("  ", " "), ...notes].join("; ");
}

function because(fault: FaultBody | null): string {
  if (fault === null) return "";
  return fault.reason === undefined ? `: ${fault.message}` : `: ${fault.message} (${fault.reason})`;
}

/** `1f0c93ab  server.live_migrate  server 61bd3874  running copy 52 %` */
export function plainLine(operation: OperationBody): string {
  return `${title(operation)}  ${standing(operation)}`;
}

/** The same with a bar. */
export function barLine(operation: OperationBody): string {
  const filled = hasEnded(operation) ? BAR : Math.round((operation.percent / 100) * BAR);
  return `${title(operation)}  [${"#".repeat(filled).padEnd(BAR, ".")}]  ${standing(operation)}`;
}

function title({ id, name, resource }: OperationBody): string {
  return `${id.slice(0, 8)}  ${name}  ${resource.type} ${resource.id.slice(0, 8)}`;
}

/** `2026-05-01 12:00:03` of a time on the wire. */
export function shortTime(time: string | null): string {
  return time === null ? "" : time.slice(0, 19).replace("T", " ");
}

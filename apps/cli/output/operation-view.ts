import { hasEnded, type OperationBody } from "../cloud/operation-body.ts";
import { barLine, plainLine, standing } from "./operation-text.ts";

/** Shows operations as they change. */
export interface OperationView {
  show(operation: OperationBody): void;
  /** Something to say between the lines. */
  note(text: string): void;
}

/** A line whenever something about an operation changed: for files and pipes. */
export function plainView(write: (text: string) => void): OperationView {
  const shown = new Map<string, string>();
  return {
    show(operation) {
      const text = standing(operation);
      if (shown.get(operation.id) === text) return;
      if (hasEnded(operation)) shown.delete(operation.id);
      else shown.set(operation.id, text);
      write(`${plainLine(operation)}\n`);
    },
    note: (text) => write(`${text}\n`),
  };
}

interface Screen {
  write(text: string): void;
  readonly columns: () => number;
  readonly rows: () => number;
}

/** One line per operation that lives, redrawn in place at the foot of the screen; those that ended scroll away above. */
export function liveView(screen: Screen): OperationView {
  const living = new Map<string, OperationBody>();
  let drawn = 0;
  const draw = (above: readonly string[]) => {
    const width = Math.max(20, screen.columns() - 1);
    const room = Math.max(1, screen.rows() - 2);
    const bars = [...living.values()].slice(-room).map((each) => barLine(each).slice(0, width));
    const erase = drawn === 0 ? "" : `\x1b[${drawn}A\x1b[J`;
    screen.write(`${erase}${[...above, ...bars].map((line) => `${line}\n`).join("")}`);
    drawn = bars.length;
  };
  return {
    show(operation) {
      if (!hasEnded(operation)) {
        living.set(operation.id, operation);
        draw([]);
        return;
      }
      living.delete(operation.id);
      draw([barLine(operation)]);
    },
    note: (text) => draw([text]),
  };
}

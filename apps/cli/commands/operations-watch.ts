import { seconds, sleep, systemClock } from "../../../kernel/clock/clock.ts";
import { CloudError } from "../../../kernel/errors/cloud-error.ts";
import type { CloudClient } from "../cloud/cloud-client.ts";
import { CLOUD_NOTES, cloudFlags, connectCloud } from "../cloud/cloud-flags.ts";
import { hasEnded, type OperationBody, type OperationStateName } from "../cloud/operation-body.ts";
import type { Command } from "../command.ts";
import { liveView, type OperationView, plainView } from "../output/operation-view.ts";
import { untilStopped } from "../until-stopped.ts";

const CONNECT_AGAIN_MS = seconds(1);
const LIVING = "ready,running,waiting,stuck";
const EXIT_INTERRUPTED = 130;

/** What `watch ID` ends with, for scripts. */
const EXIT_CODES: Partial<Record<OperationStateName, number>> = { done: 0, undone: 3, abandoned: 4 };

export const operationsWatchCommand: Command = {
  positionals: ["[ID]"],
  flags: cloudFlags,
  notes: `With ID it ends with the operation; exit code 0: done, 3: undone, 4: abandoned. Without, Ctrl-C ends it.\nA server that restarts meanwhile is waited for.\n\n${CLOUD_NOTES}`,
  async run(args) {
    const cloud = connectCloud(args);
    const over = new AbortController();
    void untilStopped().then(() => over.abort());
    const [id] = args.positionals;
    const watch = new Watch(cloud, viewOf(process.stdout), over.signal);
    const last = id === undefined ? await watch.all() : await watch.one(id);
    if (last === null) return id === undefined ? 0 : EXIT_INTERRUPTED;
    return EXIT_CODES[last.state] ?? 1;
  },
};

function viewOf(stdout: NodeJS.WriteStream): OperationView {
  const write = (text: string) => void stdout.write(text);
  return stdout.isTTY ? liveView({ write, columns: () => stdout.columns, rows: () => stdout.rows }) : plainView(write);
}

/** A watch that outlives restarts of the server: it looks first, then listens, and starts over when the stream ends. */
class Watch {
  readonly #cloud: CloudClient;
  readonly #view: OperationView;
  readonly #over: AbortSignal;

  constructor(cloud: CloudClient, view: OperationView, over: AbortSignal) {
    this.#cloud = cloud;
    this.#view = view;
    this.#over = over;
  }

  /** The operation when it has ended; null when the watch was over first. */
  async one(id: string): Promise<OperationBody | null> {
    const path = `/v1/operations/${encodeURIComponent(id)}`;
    let ended: OperationBody | null = null;
    await this.#again(async () => {
      for await (const event of await this.#cloud.events(`${path}/events`, this.#over)) {
        const operation = operationOf(event);
        this.#view.show(operation);
        if (hasEnded(operation)) ended = operation;
      }
      return ended !== null;
    });
    return ended;
  }

  /** Until the watch is over. */
  async all(): Promise<null> {
    await this.#again(async () => {
      // Listening starts before looking, or what changes in between would be missed.
      const events = await this.#cloud.events("/v1/operations/events", this.#over);
      const { operations } = (await this.#cloud.get("/v1/operations", { state: LIVING })) as {
        operations: readonly OperationBody[];
      };
      for (const operation of operations.toReversed()) this.#view.show(operation);
      for await (const event of events) this.#view.show(operationOf(event));
      return false;
    });
    return null;
  }

  /** Repeats `attempt` until it says true or the watch is over. Only a cloud that was there may go away for a while. */
  async #again(attempt: () => Promise<boolean>): Promise<void> {
    let lost = false;
    let reached = false;
    while (!this.#over.aborted) {
      try {
        if (await attempt()) return;
        reached = true;
        lost = false;
      } catch (error) {
        if (this.#over.aborted) return;
        if (!(error instanceof CloudError && error.retryable && reached)) throw error;
        if (!lost) this.#view.note("The cloud does not answer; waiting for it …");
        lost = true;
      }
      await sleep(systemClock, CONNECT_AGAIN_MS, this.#over).catch(() => undefined);
    }
  }
}

const operationOf = (event: unknown): OperationBody => (event as { operation: OperationBody }).operation;

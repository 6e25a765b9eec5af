import { connect, type Socket } from "node:net";
import type { Clock, Timer } from "../../kernel/clock/clock.ts";
import { CloudError } from "../../kernel/errors/cloud-error.ts";

export interface QmpEvent {
  event: string;
  data: Record<string, unknown>;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: CloudError): void;
  timer: Timer;
}

const OPEN_TIMEOUT_MS = 10_000;
const COMMAND_TIMEOUT_MS = 30_000;

/**
 * A connection to a QEMU process: one JSON object per line, commands answered by id, events in between. QEMU serves one
 * connection at a time, so this one is shared by all that is done to the process.
 */
export class Qmp {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  readonly #changeWaiters = new Set<() => void>();
  readonly #closeListeners = new Set<() => void>();
  #lastId = 0;
  #rest = "";
  #greet: (() => void) | undefined;
  #closed = false;

  private constructor(socket: Socket, clock: Clock) {
    this.#socket = socket;
    this.#clock = clock;
  }

  /** Throws `qemu.lost` when there is no such process, `qemu.silent` when it does not answer in time. */
  static open(path: string, clock: Clock, timeoutMs = OPEN_TIMEOUT_MS): Promise<Qmp> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      const qmp = new Qmp(socket, clock);
      const fail = (cause?: unknown) => {
        timer.cancel();
        socket.destroy();
        reject(isUnreachable(cause) ? cause : isCrowded(cause) ? silent(cause.message) : lost(cause));
      };
      const timer = clock.after(timeoutMs, () => fail(silent("no greeting")));
      qmp.#greet = () => {
        qmp.execute("qmp_capabilities").then(() => {
          timer.cancel();
          resolve(qmp);
        }, fail);
      };
      socket.on("error", fail);
      socket.setEncoding("utf8").on("data", (text: string) => qmp.#read(text));
      socket.on("close", () => {
        qmp.#onClose();
        fail();
      });
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Runs a command and returns its answer. Throws `qemu.refused` (with the error class in `fields`), `qemu.lost` when the
   * connection has gone, `qemu.silent` when nobody answers.
   */
  execute<T = unknown>(
    command: string,
    args: Record<string, unknown> = {},
    timeoutMs = COMMAND_TIMEOUT_MS,
  ): Promise<T> {
    if (this.#closed) return Promise.reject(lost());
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise<T>((resolve, reject) => {
      const timer = this.#clock.after(timeoutMs, () => {
        this.#waiting.delete(id);
        reject(silent(`no answer to ${command}`));
      });
      this.#waiting.set(id, { resolve: (value) => resolve(value as T), reject, timer });
      this.#socket.write(`${JSON.stringify({ execute: command, arguments: args, id })}\n`);
    });
  }

  /** Returns the way to stop listening. */
  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `fn` once, when the process ends or the connection breaks; not after `close`. */
  onClose(fn: () => void): void {
    this.#closeListeners.add(fn);
  }

  /** Resolves at the next event, when the connection ends, or after `maxMs`: for loops that look at the state again. */
  changed(maxMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel();
        this.#changeWaiters.delete(done);
        resolve();
      };
      const timer = this.#clock.after(this.#closed ? 0 : maxMs, done);
      this.#changeWaiters.add(done);
    });
  }

  /** Makes `changed` return now: something that its waiters look at was changed by this process. */
  poke(): void {
    for (const waiter of [...this.#changeWaiters]) waiter();
  }

  close(): void {
    this.#closeListeners.clear();
    this.#socket.destroy();
  }

  #read(text: string): void {
    this.#rest += text;
    for (let end = this.#rest.indexOf("\n"); end >= 0; end = this.#rest.indexOf("\n")) {
      const line = this.#rest.slice(0, end).trim();
      this.#rest = this.#rest.slice(end + 1);
      if (line !== "") this.#take(JSON.parse(line));
    }
  }

  #take(message: Record<string, unknown>): void {
    if ("QMP" in message) this.#greet?.();
    else if (typeof message.event === "string") this.#announce(message.event, message.data);
    else if (typeof message.id === "number") this.#answer(message.id, message);
  }

  #announce(event: string, data: unknown): void {
    const announced: QmpEvent = { event, data: typeof data === "object" && data !== null ? { ...data } : {} };
    for (const listener of [...this.#listeners]) listener(announced);
    this.poke();
  }

  #answer(id: number, message: Record<string, unknown>): void {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    this.#waiting.delete(id);
    waiting.timer.cancel();
    if ("error" in message) waiting.reject(refused(message.error));
    else waiting.resolve(message.return);
  }

  #onClose(): void {
    this.#closed = true;
    for (const waiting of this.#waiting.values()) {
      waiting.timer.cancel();
      waiting.reject(lost());
    }
    this.#waiting.clear();
    this.poke();
    for (const listener of this.#closeListeners) listener();
  }
}

/** True for an answer that says "there is no such device, node or job". */
export function isRefusal(error: unknown): error is CloudError {
  return error instanceof CloudError && error.code === "qemu.refused";
}

function refused(error: unknown): CloudError {
  const { class: kind, desc } = error as { class?: string; desc?: string };
  return new CloudError("internal", "qemu.refused", "QEMU refused a command.", {
    internal: `${kind}: ${desc}`,
    fields: { class: kind },
  });
}

/** True for a process that has gone or that does not answer. */
export function isUnreachable(error: unknown): error is CloudError {
  return error instanceof CloudError && (error.code === "qemu.lost" || error.code === "qemu.silent");
}

/** Connections that nobody takes have piled up. */
function isCrowded(cause: unknown): cause is Error {
  return cause instanceof Error && "code" in cause && cause.code === "EAGAIN";
}

/** The next look tells whether the process has ended or only the connection. */
function lost(cause?: unknown): CloudError {
  return new CloudError("unavailable", "qemu.lost", "The connection to a QEMU process has gone.", {
    ...(cause instanceof Error ? { internal: cause.message, cause } : {}),
  });
}

/** A process that hangs does not recover because it is asked again: somebody must end it. */
function silent(why: string): CloudError {
  return new CloudError("internal", "qemu.silent", "A QEMU process does not answer.", { internal: why });
}

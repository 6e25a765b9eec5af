import { connect } from "node:net";
import { type Clock, sleep } from "../../../../kernel/clock/clock.ts";
import { CloudError } from "../../../../kernel/errors/cloud-error.ts";
import type { SeenByGuest } from "../driver.ts";

/** A guest on a busy machine takes its time; one that is not up yet answers when it is. */
const PING_TIMEOUT_MS = 5_000;
const COMMAND_TIMEOUT_MS = 10_000;

/**
 * Talks to the agent inside a guest. There is no greeting and no id in the protocol, and an answer to a request that was
 * given up can arrive later, so each request uses a connection of its own and first synchronises with a number.
 */
export class GuestAgent {
  readonly #path: string;
  readonly #clock: Clock;
  #lastSync: number;

  constructor(path: string, clock: Clock) {
    this.#path = path;
    this.#clock = clock;
    this.#lastSync = clock.now() % 1_000_000_000;
  }

  /** Throws `compute.guest_unresponsive` when the guest does not answer in time, `compute.guest_refused` when it says no. */
  async execute<T = unknown>(command: string, args: object = {}, timeoutMs = COMMAND_TIMEOUT_MS): Promise<T> {
    this.#lastSync += 1;
    const sync = this.#lastSync;
    const requests = [
      { execute: "guest-sync-delimited", arguments: { id: sync } },
      { execute: command, arguments: args },
    ];
    const answers = await this.#exchange(requests, sync, timeoutMs);
    if ("error" in answers) {
      const { desc } = answers.error as { desc?: string };
      throw new CloudError("conflict", "compute.guest_refused", "The guest's agent refused a command.", {
        internal: `${command}: ${desc}`,
      });
    }
    return answers.return as T;
  }

  /** Sends a command that the guest does not answer when it obeys (shutdown). */
  async send(command: string, args: object): Promise<void> {
    await this.execute(command, args, PING_TIMEOUT_MS).catch(() => undefined);
  }

  async answers(): Promise<boolean> {
    return this.execute("guest-ping", {}, PING_TIMEOUT_MS).then(
      () => true,
      () => false,
    );
  }

  /** Waits for the first answer; false when `limitMs` went by without. */
  async waitUntilAnswers(limitMs: number, signal: AbortSignal): Promise<boolean> {
    const until = this.#clock.now() + limitMs;
    while (!(await this.answers())) {
      if (this.#clock.now() >= until) return false;
      await sleep(this.#clock, 200, signal);
    }
    return true;
  }

  /** Runs a program in the guest to its end and returns its exit code. */
  async run(path: string, args: string[], limitMs: number, signal: AbortSignal): Promise<number> {
    const { pid } = await this.execute<{ pid: number }>("guest-exec", { path, arg: args });
    const until = this.#clock.now() + limitMs;
    for (;;) {
      const state = await this.execute<{ exited: boolean; exitcode?: number }>("guest-exec-status", { pid });
      if (state.exited) return state.exitcode ?? -1;
      if (this.#clock.now() >= until) throw unresponsive(`${path} did not end`);
      await sleep(this.#clock, 100, signal);
    }
  }

  /** Addresses (link-local left out) by MAC as the guest sees them. */
  async addresses(): Promise<NonNullable<SeenByGuest>> {
    const cards = await this.execute<GuestInterface[]>("guest-network-get-interfaces");
    const seen: Record<string, string[]> = {};
    for (const card of cards) {
      const mac = card["hardware-address"];
      if (mac === undefined || card.name === "lo") continue;
      const addresses = card["ip-addresses"] ?? [];
      seen[mac] = addresses.map((a) => a["ip-address"]).filter((address) => !address.startsWith("fe80:"));
    }
    return seen;
  }

  #exchange(requests: object[], sync: number, timeoutMs: number): Promise<Record<string, unknown>> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.#path);
      let rest = "";
      let synced = false;
      const fail = (why: string) => {
        timer.cancel();
        socket.destroy();
        reject(unresponsive(why));
      };
      const timer = this.#clock.after(timeoutMs, () => fail("no answer in time"));
      socket.on("error", (error) => fail(error.message));
      socket.on("close", () => fail("connection closed"));
      socket.on("connect", () => {
        // The leading byte makes the agent drop half a request that an earlier connection may have left.
        socket.write(
          Buffer.concat([
            Buffer.from([0xff]),
            Buffer.from(requests.map((r) => JSON.stringify(r)).join("\n")),
            Buffer.from("\n"),
          ]),
        );
      });
      socket.setEncoding("latin1").on("data", (text: string) => {
        rest += text;
        for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
          const message = parsed(rest.slice(0, end));
          rest = rest.slice(end + 1);
          if (!synced) synced = message?.return === sync;
          else if (message) {
            timer.cancel();
            socket.removeAllListeners("close");
            socket.destroy();
            resolve(message);
            return;
          }
        }
      });
    });
  }
}

interface GuestInterface {
  name: string;
  "hardware-address"?: string;
  "ip-addresses"?: { "ip-address": string }[];
}

/** Bytes before the last delimiter belong to nobody any more. */
function parsed(line: string): Record<string, unknown> | undefined {
  const text = Buffer.from(line.slice(line.lastIndexOf("\xff") + 1), "latin1").toString("utf8");
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function unresponsive(why: string): CloudError {
  return new CloudError("conflict", "compute.guest_unresponsive", "The guest does not answer.", { internal: why });
}

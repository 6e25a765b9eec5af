import type { ChildProcess } from "node:child_process";
import { createSimComputeDriver } from "../../../agent/drivers/compute/sim/sim-compute-driver.ts";
import type { SimWorld } from "../../../agent/drivers/compute/sim/sim-world.ts";
import type { Call } from "../../../agent/runtime/call.ts";
import { publicFault } from "../../../kernel/errors/cloud-error.ts";
import { silentLogger } from "../../../kernel/log/logger.ts";
import type { FromMachine, ToMachine, WireCall } from "./driver-wire.ts";

type Act = (...args: unknown[]) => Promise<unknown>;

/**
 * Lets an agent's process act on its machine, which is in this process and outlives it. What the agent was doing itself (waiting,
 * copying) ends with its process; what the machine does by itself (a migration that was sent off) goes on.
 */
export function serveMachine(child: ChildProcess, world: SimWorld, host: string): void {
  const driver = createSimComputeDriver({ world, host });
  const underWay = new Map<number, AbortController>();
  const say = (message: FromMachine) => {
    if (child.connected) child.send(message, () => undefined);
  };
  const callOf = (id: number, wire: WireCall, signal: AbortSignal): Call => ({
    ...wire,
    signal,
    log: silentLogger,
    progress: (percent, detail) => say({ type: "progress", id, percent, ...(detail ? { detail } : {}) }),
    image: () => Promise.reject(new Error("a simulated machine reads no image")),
  });
  const find = (name: string): Act => {
    if (name === "list") return () => Array.fromAsync(driver.list());
    let holder: unknown = driver;
    const path = name.split(".");
    for (const part of path.slice(0, -1)) holder = (holder as Record<string, unknown>)[part];
    return (...args) => (holder as Record<string, Act>)[path.at(-1) ?? ""]?.call(holder, ...args) ?? Promise.reject();
  };
  const unsubscribe = driver.events?.subscribe((event) => say({ type: "event", event }));
  child.on("message", (message: ToMachine) => {
    if (message.type === "abort") {
      underWay.get(message.id)?.abort(new Error("aborted by the agent"));
      return;
    }
    const { id, act, args, call } = message;
    const abort = new AbortController();
    underWay.set(id, abort);
    find(act)(...args, ...(call ? [callOf(id, call, abort.signal)] : []))
      .then((value) => say({ type: "answer", id, value }))
      .catch((error: unknown) => say({ type: "refusal", id, fault: publicFault(error) }))
      .finally(() => underWay.delete(id));
  });
  child.once("exit", () => {
    unsubscribe?.();
    for (const abort of underWay.values()) abort.abort(new Error("the agent is dead"));
    void driver.close();
  });
}

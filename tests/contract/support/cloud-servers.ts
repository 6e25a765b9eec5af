import assert from "node:assert/strict";
import { sleep, systemClock } from "../../../kernel/clock/clock.ts";
import type { CloudUser } from "./cloud-user.ts";

/** A server as the administrator sees it in the newest version, or any other record of the API. */
// biome-ignore lint/suspicious/noExplicitAny: tests look into any field
export type Json = any;

const LIMIT_MS = 30_000;
const NEWEST = "2.92";

/** Asks until the answer satisfies `holds`; fails with the last answer. */
export async function until<T>(what: string, ask: () => Promise<T>, holds: (answer: T) => boolean): Promise<T> {
  const limit = systemClock.now() + LIMIT_MS;
  for (;;) {
    const answer = await ask();
    if (holds(answer)) return answer;
    if (systemClock.now() > limit) assert.fail(`never ${what}: ${JSON.stringify(answer)}`);
    await sleep(systemClock, 20);
  }
}

/** What happens to servers, as an administrator sees it over plain HTTP: the effects that tests assert. */
export class CloudServers {
  readonly #admin: CloudUser;
  #names = 0;

  constructor(admin: CloudUser) {
    this.#admin = admin;
  }

  /** A new server that is ACTIVE; `fields` and `hints` go into the request. */
  async boot(fields: Json = {}, owner: CloudUser = this.#admin, hints: Json = {}): Promise<Json> {
    this.#names += 1;
    const { images } = (await owner.ask("GET", "/images?name=pileus-guest", { root: "/image/v2" })).body;
    const server = {
      name: `server-${this.#names}`,
      imageRef: images[0].id,
      flavorRef: "1",
      networks: "auto",
      ...fields,
    };
    const answer = await owner.ask("POST", "/servers", {
      version: NEWEST,
      body: { server, "os:scheduler_hints": hints },
    });
    assert.equal(answer.status, 202, JSON.stringify(answer.body));
    return await this.settled(answer.body.server.id, "ACTIVE");
  }

  async show(id: string): Promise<Json> {
    const answer = await this.#admin.ask("GET", `/servers/${id}`, { version: NEWEST });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body.server;
  }

  /** The server once it has this status and nothing is under way on it. */
  settled(id: string, status: string): Promise<Json> {
    const holds = (server: Json) => server.status === status && server["OS-EXT-STS:task_state"] === null;
    return until(`${status}`, () => this.show(id), holds);
  }

  /** The server once nothing is under way on it. */
  idle(id: string): Promise<Json> {
    return until(
      "idle",
      () => this.show(id),
      (server) => server["OS-EXT-STS:task_state"] === null,
    );
  }

  async host(id: string): Promise<string> {
    return (await this.show(id))["OS-EXT-SRV-ATTR:host"];
  }

  /** Migration records of the server, newest first. */
  async migrations(id: string): Promise<Json[]> {
    const answer = await this.#admin.ask("GET", `/os-migrations?instance_uuid=${id}`, { version: NEWEST });
    return answer.body.migrations;
  }

  /** The newest migration record once it has one of these statuses. */
  async migrated(id: string, ...statuses: [string, ...string[]]): Promise<Json> {
    const [newest] = await until(
      `migration ${statuses.join(" or ")}`,
      () => this.migrations(id),
      ([m]) => statuses.includes(m?.status),
    );
    return newest;
  }

  /** The newest instance action of that name with its events, oldest first. */
  async action(id: string, name: string): Promise<Json> {
    const path = `/servers/${id}/os-instance-actions`;
    const { instanceActions } = (await this.#admin.ask("GET", path, { version: NEWEST })).body;
    const found = instanceActions.find((each: Json) => each.action === name);
    assert.ok(found, `no action ${name} among ${instanceActions.map((each: Json) => each.action)}`);
    const { body } = await this.#admin.ask("GET", `${path}/${found.request_id}`, { version: NEWEST });
    return { ...body.instanceAction, events: body.instanceAction.events.toReversed() };
  }

  async eventNames(id: string, action: string): Promise<string[]> {
    return (await this.action(id, action)).events.map((each: Json) => each.event);
  }
}

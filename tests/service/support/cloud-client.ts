import { Agent, request } from "node:http";

export interface Ask {
  readonly method: string;
  /** With the root of the face: `/compute/v2.1/servers`. */
  readonly path: string;
  readonly token?: string | undefined;
  /** Sent as JSON, or as it is when bytes. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** Asks over the wire. Of a stream that does not end only the head is read. */
export class CloudClient {
  readonly #address: string;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(address: string) {
    this.#address = address;
  }

  ask({ method, path, token, body, headers }: Ask): Promise<Answer> {
    const bytes = body === undefined || Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const sent = request(
      this.#address + path,
      {
        method,
        agent: this.#agent,
        headers: {
          ...(token === undefined ? {} : { "X-Auth-Token": token }),
          ...(bytes === undefined ? {} : { "Content-Type": "application/json", "Content-Length": bytes.length }),
          ...headers,
        },
      },
      (response) => {
        const answer = { status: response.statusCode ?? 0, headers: response.headers };
        if (response.headers["content-type"]?.startsWith("text/event-stream")) {
          response.destroy();
          resolve({ ...answer, text: "" });
          return;
        }
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => resolve({ ...answer, text: Buffer.concat(chunks).toString() }));
        response.on("error", reject);
      },
    );
    sent.on("error", reject);
    sent.end(bytes);
    return promise;
  }

  /** The JSON of a success; throws otherwise. */
  async must<T>(ask: Ask): Promise<T> {
    const answer = await this.ask(ask);
    if (answer.status >= 300) throw new Error(`${ask.method} ${ask.path}: ${answer.status} ${answer.text}`);
    return (answer.text === "" ? {} : JSON.parse(answer.text)) as T;
  }

  /** A token by password; the scope as on the wire. */
  async logIn(user: { id?: string; name?: string; password: string }, scope?: unknown): Promise<string> {
    const who = user.id === undefined ? { name: user.name, domain: { id: "default" } } : { id: user.id };
    const identity = { methods: ["password"], password: { user: { ...who, password: user.password } } };
    const answer = await this.ask({
      method: "POST",
      path: "/identity/v3/auth/tokens",
      body: { auth: scope === undefined ? { identity } : { identity, scope } },
    });
    if (answer.status !== 201) throw new Error(`login: ${answer.status} ${answer.text}`);
    return String(answer.headers["x-subject-token"]);
  }

  close(): void {
    this.#agent.destroy();
  }
}

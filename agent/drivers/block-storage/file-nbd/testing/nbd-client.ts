import { connect, type Socket } from "node:net";
import { sleep, systemClock } from "../../../../../kernel/clock/clock.ts";
import type { DiskClient } from "../../../../conformance/block-storage-environment.ts";
import type { Connection } from "../../../../protocol/connection.ts";

const [OPT_GO, REP_ACK, REP_INFO] = [7, 1, 3];
const [CMD_READ, CMD_WRITE] = [0, 1];
const CONNECT_AGAIN_MS = 10;

/** A small NBD client, one request at a time. It connects again and repeats what was not acknowledged, for `limitMs`. */
export class NbdClient implements DiskClient {
  readonly #target: Connection;
  readonly #limitMs: number;
  #session: NbdSession | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(target: Connection, limitMs: number) {
    this.#target = target;
    this.#limitMs = limitMs;
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    await this.#persist((session) => session.request(CMD_WRITE, offset, data.length, data));
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    return this.#persist((session) => session.request(CMD_READ, offset, length));
  }

  async size(): Promise<number> {
    return this.#persist(async (session) => session.size);
  }

  close(): void {
    this.#closed = true;
    this.#session?.end();
  }

  #persist<T>(work: (session: NbdSession) => Promise<T>): Promise<T> {
    const done = this.#turn.then(() => this.#attempt(work));
    this.#turn = done.catch(() => {});
    return done;
  }

  async #attempt<T>(work: (session: NbdSession) => Promise<T>): Promise<T> {
    const until = systemClock.now() + this.#limitMs;
    for (;;) {
      try {
        this.#session ??= await NbdSession.open(this.#target);
        return await work(this.#session);
      } catch (error) {
        this.#session?.end();
        this.#session = undefined;
        if (this.#closed || error instanceof NbdRefusal || systemClock.now() > until) throw error;
        await sleep(systemClock, CONNECT_AGAIN_MS);
      }
    }
  }
}

/** The server answered with an error: a guest would see one. */
class NbdRefusal extends Error {}

class NbdSession {
  readonly #socket: Socket;
  #buffer = Buffer.alloc(0);
  #wake: () => void = () => {};
  #ended = false;
  size = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk]);
      this.#wake();
    });
    const end = () => {
      this.#ended = true;
      this.#wake();
    };
    socket.on("error", end).on("close", end);
  }

  static async open(target: Connection): Promise<NbdSession> {
    const session = new NbdSession(
      target.kind === "unix" ? connect(target.path) : connect({ host: target.host, port: target.port }),
    );
    try {
      await session.#negotiate(target.export);
      return session;
    } catch (error) {
      session.end();
      throw error;
    }
  }

  end(): void {
    this.#socket.destroy();
  }

  async request(type: number, offset: number, length: number, data?: Uint8Array): Promise<Buffer> {
    const head = Buffer.alloc(28);
    head.writeUInt32BE(0x25609513, 0);
    head.writeUInt16BE(type, 6);
    head.writeBigUInt64BE(BigInt(offset), 16);
    head.writeUInt32BE(length, 24);
    this.#socket.write(data ? Buffer.concat([head, data]) : head);
    const reply = await this.#take(16);
    const error = reply.readUInt32BE(4);
    // ESHUTDOWN tells that the export ends: that is no answer to the request.
    if (error === 108) throw new Error("the server is shutting down");
    if (error !== 0) throw new NbdRefusal(`NBD error ${error}`);
    return type === CMD_READ ? this.#take(length) : reply;
  }

  async #negotiate(name: string): Promise<void> {
    await this.#take(18);
    const flags = Buffer.alloc(4);
    flags.writeUInt32BE(3);
    const text = Buffer.from(name);
    const head = Buffer.alloc(20);
    head.write("IHAVEOPT", 0, "latin1");
    head.writeUInt32BE(OPT_GO, 8);
    head.writeUInt32BE(text.length + 6, 12);
    head.writeUInt32BE(text.length, 16);
    this.#socket.write(Buffer.concat([flags, head, text, Buffer.alloc(2)]));
    for (;;) {
      const reply = await this.#take(20);
      const type = reply.readUInt32BE(12);
      const body = await this.#take(reply.readUInt32BE(16));
      if (type === REP_INFO && body.readUInt16BE(0) === 0) this.size = Number(body.readBigUInt64BE(2));
      if (type === REP_ACK) return;
      if (type !== REP_INFO) throw new Error(`no such export (${type})`);
    }
  }

  async #take(length: number): Promise<Buffer> {
    while (this.#buffer.length < length) {
      if (this.#ended) throw new Error("the connection has ended");
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const taken = this.#buffer.subarray(0, length);
    this.#buffer = this.#buffer.subarray(length);
    return taken;
  }
}

import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** One address for several servers, as a load balancer is: each connection goes to the next that accepts it. */
export class Forwarder {
  /** Ports of the servers that are there. */
  readonly targets = new Map<string, number>();
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((client) => this.#forward(client, [...this.targets.values()]));
  #turn = 0;

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #forward(client: Socket, ports: number[]): void {
    const port = ports.splice(this.#turn % Math.max(ports.length, 1), 1)[0];
    this.#turn += 1;
    if (port === undefined) {
      client.destroy();
      return;
    }
    const server = connect(port, "127.0.0.1");
    let reached = false;
    this.#sockets.add(client).add(server);
    client.on("error", () => server.destroy()).once("close", () => this.#sockets.delete(client) && server.destroy());
    server
      .on("error", () => undefined)
      .once("connect", () => {
        reached = true;
        client.pipe(server).pipe(client);
      });
    server.once("close", () => {
      this.#sockets.delete(server);
      if (reached) client.destroy();
      else this.#forward(client, ports);
    });
  }
}

/** A TCP relay between the two ends of a test: what passes can be counted, stopped and cut. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class Relay implements AsyncDisposable {
  /** Bytes that have passed towards the client. */
  bytesDown = 0;
  connections = 0;
  /** Called with each piece on its way to the client. */
  onDown: () => void = () => undefined;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isFrozen = false;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(port: number): Promise<Relay> {
    const server = createServer();
    const relay = new Relay(server);
    server.on('connection', (client) => relay.#join(client, connect({ host: '127.0.0.1', port })));
    server.listen({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    return relay;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Both ends see their connection reset. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Nothing passes any more, and nobody is told: a cable that was pulled. */
  freeze(): void {
    this.#isFrozen = true;
    for (const socket of this.#sockets) socket.pause();
  }

  #join(client: Socket, upstream: Socket): void {
    this.connections++;
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      this.#sockets.add(from);
      from.on('data', (bytes) => {
        if (this.#isFrozen) return;
        if (from === upstream) this.bytesDown += bytes.length;
        to.write(bytes);
        if (from === upstream) this.onDown();
      });
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#sockets.delete(from);
        if (!this.#isFrozen) to.destroy();
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A server of DNS on loopback, by UDP and TCP on one port: names of services are answered, all others passed on. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import { Frames, framed } from './dns-forward.ts';
import { answerTo, type Question, RCODES, readQuestion, refusalOf, TYPES } from './dns-message.ts';

export interface AnswererOptions {
  /** Address of a service, whose name is lower case; undefined for what is none. Never rejects, and takes a second at most. */
  readonly find: (name: string) => Promise<string | undefined> | string | undefined;
  /** Of everybody else. @returns undefined when nobody answers */
  readonly forward: (query: Uint8Array, question: Question, transport: Transport) => Promise<Uint8Array | undefined>;
}

export type Transport = 'udp' | 'tcp';

/** Addresses of services stay the same; how long a service that is gone is still believed in. */
const TTL_S = 30;

/** Clients of TCP. Beyond: closed. */
const CONNECTIONS_MAX = 64;
const IDLE_MS = 10_000;

/** Questions that wait, of all clients together. Beyond: dropped, and asked again. */
const WAITING_MAX = 512;

export class DnsAnswerer {
  readonly #options: AnswererOptions;
  readonly #udp: UdpSocket[] = [];
  readonly #tcp: Server[] = [];
  readonly #sockets = new Set<Socket>();
  #waiting = 0;

  private constructor(options: AnswererOptions) {
    this.#options = options;
  }

  /** @throws {Error} when a port of the addresses is taken */
  static async open(addresses: readonly string[], port: number, options: AnswererOptions): Promise<DnsAnswerer> {
    const answerer = new DnsAnswerer(options);
    try {
      for (const address of addresses) {
        // oxlint-disable-next-line no-await-in-loop -- two of them, and the first that fails ends it
        await Promise.all([answerer.#bindUdp(address, port), answerer.#bindTcp(address, port)]);
      }
    } catch (error) {
      answerer.close();
      throw error;
    }
    return answerer;
  }

  close(): void {
    for (const socket of this.#udp) socket.close();
    for (const server of this.#tcp) server.close();
    for (const socket of this.#sockets) socket.destroy();
    this.#udp.length = 0;
    this.#tcp.length = 0;
  }

  async #bindUdp(address: string, port: number): Promise<void> {
    const socket = createSocket(address.includes(':') ? { type: 'udp6', ipv6Only: true } : { type: 'udp4' });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.once('error', reject);
    socket.bind(port, address, resolve);
    await promise.catch((error: unknown) => {
      socket.close();
      throw error;
    });
    // A client that is gone is told by an error of its next datagram: nothing to do about it.
    socket.on('error', () => undefined);
    socket.on('message', (query, from) => {
      void this.#answer(query, 'udp', (answer) => {
        if (this.#udp.includes(socket)) socket.send(answer, from.port, from.address, () => undefined);
      });
    });
    this.#udp.push(socket);
  }

  async #bindTcp(address: string, port: number): Promise<void> {
    const server = createServer((socket) => this.#serve(socket));
    server.maxConnections = CONNECTIONS_MAX;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once('error', reject);
    server.listen({ host: address, port, ipv6Only: address.includes(':') }, resolve);
    await promise;
    server.on('error', () => undefined);
    this.#tcp.push(server);
  }

  #serve(socket: Socket): void {
    const frames = new Frames();
    this.#sockets.add(socket);
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (bytes: Buffer) => {
      for (const query of frames.push(bytes)) void this.#answer(query, 'tcp', (answer) => socket.write(framed(answer)));
    });
  }

  async #answer(query: Uint8Array, transport: Transport, send: (answer: Uint8Array) => void): Promise<void> {
    const question = readQuestion(query);
    if (question === undefined) return;
    if (typeof question === 'number') return send(refusalOf(query, question));
    if (this.#waiting >= WAITING_MAX) return;
    this.#waiting++;
    const answer = await this.#answerOf(query, question, transport);
    this.#waiting--;
    send(answer);
  }

  async #answerOf(query: Uint8Array, question: Question, transport: Transport): Promise<Uint8Array> {
    const { name, isInternet, type } = question;
    const address = name === undefined || !isInternet ? undefined : await this.#options.find(name);
    if (address !== undefined) {
      // There is the name, with an address of IPv4 and nothing else: no AAAA, no HTTPS, and not "no such name".
      const addresses = type === TYPES.a || type === TYPES.any ? [address] : [];
      return answerTo(query, question, { addresses, ttlS: TTL_S });
    }
    return (await this.#options.forward(query, question, transport)) ?? refusalOf(query, RCODES.failed, question);
  }
}

/**
 * An agent of Consul as its HTTP API is documented, as far as `/v1/health/service/NAME` goes: blocking queries, tags,
 * datacenters, ACL tokens. For tests.
 */
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

export interface Registered {
  readonly address?: string;
  readonly node?: string;
  readonly port: number;
  readonly weight?: number;
  readonly tags?: readonly string[];
  readonly passing?: boolean;
  readonly locality?: { readonly Region: string; readonly Zone: string };
}

export class ConsulAgent implements AsyncDisposable {
  /** Path and query of each question, in the order in which they came. */
  readonly queries: URL[] = [];
  /** When it is set, questions need it. */
  token: string | undefined;
  /** What the token may not see: all instances, or those at this port. */
  hidden: 'all' | number | undefined;
  index = 10;
  readonly #server: http.Server;
  readonly #services = new Map<string, readonly Registered[]>();
  readonly #held = new Set<() => void>();
  readonly #sockets = new Set<Socket>();
  #port = 0;

  private constructor(server: http.Server) {
    this.#server = server;
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    server.on('request', (request: http.IncomingMessage, answer: http.ServerResponse) => this.#take(request, answer));
  }

  static async start(tls?: { readonly cert: string; readonly key: string }): Promise<ConsulAgent> {
    const agent = new ConsulAgent(tls === undefined ? http.createServer() : https.createServer(tls));
    await agent.comeBack();
    return agent;
  }

  get port(): number {
    return this.#port;
  }

  set(service: string, ...instances: readonly Registered[]): void {
    this.#services.set(service, instances);
    this.index++;
    for (const go of this.#held) go();
    this.#held.clear();
  }

  /** As if it were killed. */
  async goAway(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async comeBack(): Promise<void> {
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  #take(request: http.IncomingMessage, answer: http.ServerResponse): void {
    const url = new URL(request.url!, 'http://agent');
    this.queries.push(url);
    if (this.token !== undefined && request.headers['x-consul-token'] !== this.token) {
      return void answer.writeHead(403).end(`Permission denied: token "${String(request.headers['x-consul-token'])}"`);
    }
    const go = (): void => this.#answer(url, answer);
    if (Number(url.searchParams.get('index')) !== this.index) return go();
    this.#held.add(go);
    answer.on('close', () => this.#held.delete(go));
  }

  #answer(url: URL, answer: http.ServerResponse): void {
    const name = decodeURIComponent(url.pathname.slice('/v1/health/service/'.length));
    const tags = url.searchParams.getAll('tag');
    const entries = (this.#services.get(name) ?? [])
      .filter((one) => one.passing !== false || !url.searchParams.has('passing'))
      .filter((one) => tags.every((tag) => one.tags?.includes(tag)));
    const seen = entries.filter(({ port }) => this.hidden !== 'all' && this.hidden !== port);
    const body = seen.map((one) => ({
      Node: { Node: 'n', Address: one.node ?? '127.0.0.1', Datacenter: url.searchParams.get('dc') ?? 'dc1' },
      Service: {
        Service: name,
        Address: one.address ?? '',
        Port: one.port,
        Tags: one.tags ?? [],
        Weights: { Passing: one.weight ?? 1, Warning: 1 },
        ...(one.locality !== undefined && { Locality: one.locality }),
      },
      Checks: [{ Status: one.passing === false ? 'critical' : 'passing' }],
    }));
    answer.writeHead(200, {
      'content-type': 'application/json',
      'x-consul-index': String(this.index),
      'x-consul-results-filtered-by-acls': String(seen.length < entries.length),
    });
    answer.end(JSON.stringify(body));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#server.listening) await this.goAway();
  }
}

/** Server-sent events and long polls: what a service says leaves at once, and who goes away is missed at once. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import type net from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { test } from 'node:test';
import { CONNECTION_TIMEOUTS } from '../base/limits.ts';
import type { PlanClusterSettings } from '../ir/plan.ts';
import { clusterTo, Harness, LISTENER, routeOf, ruleTo } from './testing/node-harness.ts';

type WireName = 'h1' | 'h2';

const PAIRINGS: readonly (readonly [client: WireName, upstream: WireName])[] = [
  ['h1', 'h1'],
  ['h1', 'h2'],
  ['h2', 'h1'],
  ['h2', 'h2'],
];

const ROUNDS = 100;

/** What the gateway may add to the way of one piece, whatever the machine adds to both ways. */
const ADDED_MS_MAX = 1;

/** An answer that is under way at a service. */
interface Serving {
  readonly answer: Writable;
  /** Sends the head; the body follows. */
  begin(): void;
  readonly gone: Promise<unknown>;
}

class Service implements AsyncDisposable {
  readonly port: number;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  #take: ((serving: Serving) => void) | undefined;

  private constructor(server: net.Server) {
    this.#server = server;
    this.port = (server.address() as net.AddressInfo).port;
    server.on('connection', (socket: net.Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
    });
  }

  static async start(wire: WireName): Promise<Service> {
    const type = { 'content-type': 'text/event-stream' };
    let server: net.Server;
    if (wire === 'h1') {
      server = http.createServer((_, answer) => {
        const begin = (): void => answer.writeHead(200, type).flushHeaders();
        service.#take?.({ answer, begin, gone: once(answer, 'close') });
      });
    } else {
      const streams = http2.createServer();
      streams.on('stream', (answer: http2.ServerHttp2Stream) => {
        answer.on('error', () => undefined);
        const begin = (): void => answer.respond({ ':status': 200, ...type });
        service.#take?.({ answer, begin, gone: once(answer, 'close') });
      });
      server = streams;
    }
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const service: Service = new Service(server);
    return service;
  }

  /** The next request that arrives here. */
  next(): Promise<Serving> {
    return new Promise((resolve) => (this.#take = resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

interface Client extends AsyncDisposable {
  /** Asks, and gives what is answered as soon as its head is there. */
  ask(): Promise<Readable>;
  /** Goes away in the middle of an answer. */
  leave(answer: Readable): void;
}

function clientOf(wire: WireName, port: number): Client {
  return wire === 'h1' ? clientOfH1(port) : clientOfH2(port);
}

function clientOfH1(port: number): Client {
  const agent = new http.Agent({ keepAlive: true });
  return {
    ask: () =>
      new Promise((resolve, reject) => {
        const request = http.get({ host: '127.0.0.1', port, agent }, resolve);
        request.on('error', reject);
      }),
    leave: (answer) => answer.destroy(),
    [Symbol.asyncDispose]: async () => agent.destroy(),
  };
}

function clientOfH2(port: number): Client {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.on('error', () => undefined);
  return {
    async ask() {
      const stream = session.request({ ':path': '/' });
      stream.on('error', () => undefined);
      await once(stream, 'response');
      return stream;
    },
    leave: (answer) => (answer as http2.ClientHttp2Stream).close(http2.constants.NGHTTP2_CANCEL),
    [Symbol.asyncDispose]: async () => session.destroy(),
  };
}

async function gatewayTo(
  upstream: WireName,
  port: number,
  settings: Partial<PlanClusterSettings> = {},
): Promise<Harness> {
  const proxy = new Harness();
  const cluster = clusterTo([port], { protocol: upstream === 'h2' ? 'h2' : 'http1' });
  await proxy.start(
    {
      listeners: { l: { ...LISTENER, settings: { ...LISTENER.settings, httpVersions: ['h2', 'http/1.1'] } } },
      routes: { r: routeOf(ruleTo()) },
      clusters: { c: { ...cluster, settings: { ...cluster.settings, ...settings } } },
    },
    { timeouts: { ...CONNECTION_TIMEOUTS, bodyIdleMs: 100, keepAliveMs: 100, headMs: 100, writeIdleMs: 100 } },
  );
  return proxy;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** How long the head of an answer, and then each piece of it, is on its way. */
async function measure(service: Service, client: Client): Promise<{ headMs: number; pieceMs: number }> {
  const arriving = service.next();
  const asked = client.ask();
  const serving = await arriving;
  const beganMs = performance.now();
  serving.begin();
  const answer = await asked;
  const headMs = performance.now() - beganMs;
  const pieces: number[] = [];
  for (let i = 0; i < 8; i++) {
    const event = `data: ${i}\n\n`;
    const sentMs = performance.now();
    serving.answer.write(event);
    const [bytes] = (await once(answer, 'data')) as [Buffer];
    pieces.push(performance.now() - sentMs);
    // Each piece came alone: it waited for nothing.
    assert.equal(bytes.toString(), event);
  }
  serving.answer.end();
  answer.resume();
  await once(answer, 'end');
  return { headMs, pieceMs: median(pieces) };
}

for (const [clientWire, upstreamWire] of PAIRINGS) {
  const title = `${clientWire} to ${upstreamWire}`;

  test(`streaming ${title}: head and pieces of an answer are passed on within ${ADDED_MS_MAX} ms`, async () => {
    await using service = await Service.start(upstreamWire);
    await using proxy = await gatewayTo(upstreamWire, service.port);
    await using direct = clientOf(upstreamWire, service.port);
    await using through = clientOf(clientWire, proxy.port);
    const near: { headMs: number; pieceMs: number }[] = [];
    const far: { headMs: number; pieceMs: number }[] = [];
    for (let i = 0; i < ROUNDS; i++) {
      near.push(await measure(service, direct));
      far.push(await measure(service, through));
    }
    for (const what of ['headMs', 'pieceMs'] as const) {
      const addedMs = median(far.map((round) => round[what])) - median(near.map((round) => round[what]));
      assert.ok(addedMs < ADDED_MS_MAX, `${what}: ${addedMs} ms more than without a gateway`);
    }
  });

  test(`streaming ${title}: an upstream hears at once that the client of a quiet stream has gone`, async () => {
    await using service = await Service.start(upstreamWire);
    await using proxy = await gatewayTo(upstreamWire, service.port);
    await using client = clientOf(clientWire, proxy.port);
    for (const when of ['after an event', 'before the first']) {
      const arriving = service.next();
      const asked = client.ask();
      const serving = await arriving;
      serving.begin();
      const answer = await asked;
      answer.on('error', () => undefined);
      if (when === 'after an event') {
        serving.answer.write('data: 1\n\n');
        await once(answer, 'data');
      }
      const leftMs = performance.now();
      client.leave(answer);
      await serving.gone;
      assert.ok(performance.now() - leftMs < 500, when);
    }
    while (proxy.lines().length < 2) await new Promise((resolve) => setTimeout(resolve, 2));
    assert.deepEqual(
      proxy.log.map(({ fault }) => fault),
      ['request.aborted', 'request.aborted'],
    );
  });

  test(`streaming ${title}: a stream is quiet for as long as it likes where the backend has no idle timeout`, async () => {
    for (const idleMs of [150, 0]) {
      await using service = await Service.start(upstreamWire);
      await using proxy = await gatewayTo(upstreamWire, service.port, { idleMs });
      await using client = clientOf(clientWire, proxy.port);
      const arriving = service.next();
      const asked = client.ask();
      const serving = await arriving;
      serving.begin();
      const answer = await asked;
      const broken = new Promise((resolve) => answer.on('error', resolve));
      await Promise.race([broken, new Promise((resolve) => setTimeout(resolve, 600))]);
      if (idleMs === 0) {
        serving.answer.write('data: still here\n\n');
        const [bytes] = (await once(answer, 'data')) as [Buffer];
        assert.equal(bytes.toString(), 'data: still here\n\n');
      } else {
        await broken; // the other way round, so that it is known what the timeout does
        while (proxy.lines().length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
        assert.equal(proxy.log[0]!['fault'], 'upstream.timeout');
      }
    }
  });
}

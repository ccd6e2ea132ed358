/** One suite for all pools: whatever an endpoint speaks, those who wait are served in the same way. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { Fault } from '../../base/fault.ts';
import { TimerWheel } from '../../base/timers.ts';
import { GET } from '../../http/h2/testing/ask.ts';
import type { ResponseHead } from '../../http/message.ts';
import type { ClientStream, ClientStreamEvents } from '../../http/stream.ts';
import type { PlanClusterSettings } from '../../ir/plan.ts';
import { CLUSTER } from '../../ir/testing/plans.ts';
import { SocketConnector } from './connector.ts';
import { Endpoint } from './endpoint.ts';
import type { ConnWaiter } from './pool.ts';

type Kind = 'http1' | 'h2';

/** An upstream that answers when the test says so. */
class Upstream implements AsyncDisposable {
  readonly held: ((status: number) => void)[] = [];
  readonly sockets = new Set<net.Socket>();
  opened = 0;
  port = 0;
  readonly #server: net.Server;
  #wake: (() => void) | undefined;

  private constructor(kind: Kind, streamsMax: number) {
    const hold = (answer: (status: number) => void): void => {
      this.held.push(answer);
      this.#wake?.();
    };
    if (kind === 'http1') {
      this.#server = http.createServer((_, answer) => hold((status) => answer.writeHead(status).end('body')));
    } else {
      const server = http2.createServer({ settings: { maxConcurrentStreams: streamsMax } });
      server.on('stream', (stream: http2.ServerHttp2Stream) => {
        stream.on('error', () => undefined);
        hold((status) => {
          if (stream.destroyed) return;
          stream.respond({ ':status': status });
          stream.end('body');
        });
      });
      this.#server = server;
    }
    this.#server.on('connection', (socket: net.Socket) => {
      this.opened++;
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
    });
  }

  static async start(kind: Kind, streamsMax = 100): Promise<Upstream> {
    const upstream = new Upstream(kind, streamsMax);
    upstream.#server.listen(0, '127.0.0.1');
    await once(upstream.#server, 'listening');
    upstream.port = (upstream.#server.address() as AddressInfo).port;
    return upstream;
  }

  /** Until so many requests are here at once. */
  async holds(count: number): Promise<void> {
    while (this.held.length < count) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  answer(count = this.held.length): void {
    for (const answer of this.held.splice(0, count)) answer(200);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** One request on whatever place the endpoint gives. */
class Attempt implements ConnWaiter, ClientStreamEvents {
  readonly upgrade = undefined;
  readonly ended: Promise<string>;
  uses = -1;
  stream: ClientStream | undefined;
  #end!: (how: string) => void;

  constructor(endpoint: Endpoint, how: 'any' | 'fresh' = 'any') {
    this.ended = new Promise((resolve) => (this.#end = resolve));
    const got = endpoint.acquire(this, how);
    if (got instanceof Fault) this.#end(got.code);
    else if (got !== 'wait') this.onConnection(got);
  }

  onConnection(stream: ClientStream): void {
    this.stream = stream;
    stream.begin(this);
    this.uses = stream.uses;
    stream.sendHead(GET);
    stream.sendEnd(undefined);
    stream.flush();
  }

  onNoConnection({ code }: Fault): void {
    this.#end(code);
  }

  onAnswerHead(head: ResponseHead): void {
    this.status = head.status;
  }

  status = 0;

  onAnswerEnd(): void {
    this.#end(String(this.status));
  }

  onAttemptFault({ code }: Fault): void {
    this.#end(code);
  }

  onInformational(): void {}
  onAnswerBody(): void {}
  onSwitched(): void {}
  onUpstreamWritable(): void {}
  onAnswerIdle(): void {}
}

interface Counts {
  opened: number;
  reused: number;
  failed: number;
  open: number;
  idle: number;
  waiting: number;
}

class Bed implements Disposable {
  readonly wheel = new TimerWheel(systemClock);
  readonly counts: Counts = { opened: 0, reused: 0, failed: 0, open: 0, idle: 0, waiting: 0 };
  readonly endpoint: Endpoint;

  constructor(kind: Kind, port: number, settings: Partial<PlanClusterSettings> = {}) {
    const { counts, wheel } = this;
    this.endpoint = new Endpoint({
      cluster: 'c',
      address: '127.0.0.1',
      port,
      weight: 1,
      protocol: kind,
      settings: { ...CLUSTER.settings, ...settings },
      connector: new SocketConnector({ wheel: wheel, connectMs: 1_000, secure: undefined, reads: 'codec' }),
      wheel,
      counters: {
        opened: () => counts.opened++,
        reused: () => counts.reused++,
        failed: () => counts.failed++,
        open: (change) => (counts.open += change),
        idle: (change) => (counts.idle += change),
        waiting: (change) => (counts.waiting += change),
      },
      log: { warn: () => undefined },
      onOpened: () => undefined,
    });
  }

  [Symbol.dispose](): void {
    this.endpoint.retire();
    this.wheel.close();
  }
}

/** Settings under which a connection carries one request at a time, or two, whatever it speaks. */
const ONE_EACH: Partial<PlanClusterSettings> = { http2: { ...CLUSTER.settings.http2, streamsMax: 1 } };

for (const kind of ['http1', 'h2'] as const) {
  test(`Endpoint (${kind}): a connection is kept and used again`, async () => {
    await using upstream = await Upstream.start(kind);
    using bed = new Bed(kind, upstream.port);
    for (let i = 0; i < 3; i++) {
      const attempt = new Attempt(bed.endpoint);
      await upstream.holds(1);
      upstream.answer();
      assert.equal(await attempt.ended, '200');
      assert.equal(attempt.uses, i);
    }
    assert.deepEqual(bed.counts, { opened: 1, reused: 2, failed: 0, open: 1, idle: 1, waiting: 0 });
  });

  test(`Endpoint (${kind}): those who wait are served in order, and no more connections are made than may be`, async () => {
    await using upstream = await Upstream.start(kind);
    using bed = new Bed(kind, upstream.port, { ...ONE_EACH, connectionsMax: 2 });
    const attempts = Array.from({ length: 6 }, () => new Attempt(bed.endpoint));
    const order: number[] = [];
    for (const [i, attempt] of attempts.entries()) void attempt.ended.then(() => order.push(i));
    for (let left = 6; left > 0; left -= 2) {
      await upstream.holds(2);
      assert.equal(bed.counts.waiting, left - 2);
      upstream.answer();
    }
    assert.deepEqual(
      await Promise.all(attempts.map(({ ended }) => ended)),
      Array.from({ length: 6 }, () => '200'),
    );
    assert.deepEqual(
      [order.slice(0, 2), order.slice(2, 4), order.slice(4)].map((pair) => pair.toSorted((a, b) => a - b)),
      [
        [0, 1],
        [2, 3],
        [4, 5],
      ],
    );
    assert.equal(upstream.opened, 2);
    assert.deepEqual(bed.counts, { opened: 2, reused: 4, failed: 0, open: 2, idle: 2, waiting: 0 });
  });

  test(`Endpoint (${kind}): a full queue refuses at once; who leaves it makes room`, async () => {
    await using upstream = await Upstream.start(kind);
    using bed = new Bed(kind, upstream.port, { ...ONE_EACH, connectionsMax: 1, queueMax: 1 });
    const first = new Attempt(bed.endpoint);
    await upstream.holds(1);
    const waiting = new Attempt(bed.endpoint);
    assert.equal(await new Attempt(bed.endpoint).ended, 'upstream.overloaded');
    bed.endpoint.forget(waiting);
    assert.equal(bed.counts.waiting, 0);
    const second = new Attempt(bed.endpoint);
    upstream.answer();
    assert.equal(await first.ended, '200');
    await upstream.holds(1);
    upstream.answer();
    assert.equal(await second.ended, '200');
    assert.equal(waiting.stream, undefined);
  });

  test(`Endpoint (${kind}): everybody learns that no connection can be made`, async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    using bed = new Bed(kind, port, { connectionsMax: 1 });
    const attempts = Array.from({ length: 3 }, () => new Attempt(bed.endpoint));
    const refused = 'upstream.connect-refused';
    assert.deepEqual(await Promise.all(attempts.map(({ ended }) => ended)), [refused, refused, refused]);
    assert.equal(bed.endpoint.healthy(bed.wheel.readMs()), false);
    assert.equal(bed.counts.waiting, 0);
  });

  test(`Endpoint (${kind}): failures of one outage count once`, () => {
    using bed = new Bed(kind, 1, {});
    const { endpoint, wheel } = bed;
    for (let i = 0; i < 16; i++) endpoint.noteFailed();
    const nowMs = wheel.readMs();
    assert.equal(endpoint.healthy(nowMs + 400), false);
    assert.equal(endpoint.healthy(nowMs + 500), true);
    endpoint.noteReached();
    assert.equal(endpoint.healthy(nowMs), true);
  });

  test(`Endpoint (${kind}): an unused connection that the upstream closes is forgotten`, async () => {
    await using upstream = await Upstream.start(kind);
    using bed = new Bed(kind, upstream.port);
    const attempt = new Attempt(bed.endpoint);
    await upstream.holds(1);
    upstream.answer();
    await attempt.ended;
    const [socket] = upstream.sockets;
    socket!.destroy();
    while (bed.counts.open > 0) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([bed.endpoint.connections, bed.endpoint.idleConnections, bed.counts.idle], [0, 0, 0]);
    const next = new Attempt(bed.endpoint);
    await upstream.holds(1);
    upstream.answer();
    assert.equal(await next.ended, '200');
    assert.equal(next.uses, 0);
  });

  test(`Endpoint (${kind}): a connection that is lost takes its request with it, and those who wait get another`, async () => {
    await using upstream = await Upstream.start(kind);
    using bed = new Bed(kind, upstream.port, { ...ONE_EACH, connectionsMax: 1 });
    const [lost, next] = [new Attempt(bed.endpoint), new Attempt(bed.endpoint)];
    await upstream.holds(1);
    upstream.held.length = 0;
    for (const socket of upstream.sockets) socket.destroy();
    assert.equal(await lost.ended, 'upstream.closed');
    await upstream.holds(1);
    upstream.answer();
    assert.equal(await next.ended, '200');
    assert.equal(upstream.opened, 2);
  });

  test(`Endpoint (${kind}): no more unused connections are kept than may be`, async () => {
    await using upstream = await Upstream.start(kind);
    using bed = new Bed(kind, upstream.port, { ...ONE_EACH, idleConnectionsMax: 1 });
    const attempts = Array.from({ length: 3 }, () => new Attempt(bed.endpoint));
    await upstream.holds(3);
    upstream.answer();
    await Promise.all(attempts.map(({ ended }) => ended));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([bed.counts.open, bed.counts.idle, bed.endpoint.connections], [1, 1, 1]);
  });

  test(`Endpoint (${kind}): a retired endpoint finishes what it carries and keeps nothing`, async () => {
    await using upstream = await Upstream.start(kind);
    using bed = new Bed(kind, upstream.port, { ...ONE_EACH, connectionsMax: 1 });
    const [busy, waiting] = [new Attempt(bed.endpoint), new Attempt(bed.endpoint)];
    await upstream.holds(1);
    bed.endpoint.retire();
    upstream.answer();
    assert.equal(await busy.ended, '200');
    await upstream.holds(1);
    upstream.answer();
    assert.equal(await waiting.ended, '200');
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(bed.counts, { opened: 2, reused: 0, failed: 0, open: 0, idle: 0, waiting: 0 });
  });

  test(`Endpoint (${kind}): who gives up gives the place to the next`, async () => {
    await using upstream = await Upstream.start(kind);
    using bed = new Bed(kind, upstream.port, { ...ONE_EACH, connectionsMax: 1 });
    const [given, next] = [new Attempt(bed.endpoint), new Attempt(bed.endpoint)];
    await upstream.holds(1);
    upstream.held.length = 0;
    given.stream!.abort();
    await upstream.holds(1);
    upstream.answer();
    assert.equal(await next.ended, '200');
  });
}

test('Endpoint (h2): one connection carries what it can, the next is made at its limit, the emptier one takes more', async () => {
  await using upstream = await Upstream.start('h2', 3);
  using bed = new Bed('h2', upstream.port, { connectionsMax: 3 });
  const first = new Attempt(bed.endpoint);
  await upstream.holds(1);
  upstream.answer();
  await first.ended;
  const attempts = Array.from({ length: 11 }, () => new Attempt(bed.endpoint));
  await upstream.holds(9);
  assert.equal(upstream.opened, 3);
  assert.equal(bed.counts.waiting, 2);
  upstream.answer();
  await upstream.holds(2);
  upstream.answer();
  assert.ok((await Promise.all(attempts.map(({ ended }) => ended))).every((how) => how === '200'));
  assert.equal(bed.counts.idle, 3);
});

test('Endpoint (h2): many who wait at the start share one connection', async () => {
  await using upstream = await Upstream.start('h2');
  using bed = new Bed('h2', upstream.port);
  const attempts = Array.from({ length: 80 }, () => new Attempt(bed.endpoint));
  await upstream.holds(80);
  upstream.answer();
  assert.ok((await Promise.all(attempts.map(({ ended }) => ended))).every((how) => how === '200'));
  assert.equal(upstream.opened, 1);
});

test('Endpoint: a stream that is given up while its connection is made is no failure of anybody', async () => {
  await using upstream = await Upstream.start('http1');
  using bed = new Bed('http1', upstream.port);
  const { endpoint, counts } = bed;
  const told: string[] = [];
  const done = { onOpen: () => void told.push('open'), onFailed: () => void told.push('failed') };
  const cancel = endpoint.openStream(undefined, done);
  assert.ok(!(cancel instanceof Fault));
  assert.equal(endpoint.connections, 1);
  cancel();
  assert.equal(endpoint.connections, 0);
  // A whole other connection later nothing was heard of the first.
  await new Promise<void>((resolve) => {
    endpoint.openStream(undefined, {
      onOpen: (socket) => {
        socket.destroy();
        resolve();
      },
      onFailed: () => resolve(),
    });
  });
  assert.deepEqual(told, []);
  assert.equal(counts.failed, 0);
  assert.equal(endpoint.healthy(bed.wheel.readMs()), true);
  endpoint.streamClosed();
});

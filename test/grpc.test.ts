/** gRPC from end to end: a client and servers that are not ours, and the real program between them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import * as grpc from '@grpc/grpc-js';
import { DOOR_HOST, Fourways, freePort } from './client/fourways.ts';
import { type Behaviour, collect, EchoClient, EchoServer, SERVICE } from './client/grpc.ts';
import { type Backend, gateway, gatewayClass, type Manifest, service, writeManifests } from './client/manifests.ts';

const dirs: string[] = [];
after(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

function grpcRoute(version = '0'): Manifest {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GRPCRoute',
    metadata: { name: 'echo', namespace: 'default' },
    spec: {
      parentRefs: [{ name: 'gw' }],
      hostnames: ['grpc.test'],
      rules: [
        {
          matches: [{ method: { service: SERVICE } }],
          filters: [
            {
              type: 'ResponseHeaderModifier',
              responseHeaderModifier: { set: [{ name: 'x-version', value: version }] },
            },
          ],
          backendRefs: [{ name: 'echo', port: 80 }],
        },
      ],
    },
  };
}

/** The program with one GRPCRoute to these servers. */
class Bed implements AsyncDisposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'fourways-grpc-'));
  program!: Fourways;
  target = '';

  static async start(backends: readonly Backend[], more: readonly Manifest[] = []): Promise<Bed> {
    const bed = new Bed();
    dirs.push(bed.dir);
    const port = await freePort(DOOR_HOST);
    bed.target = `${DOOR_HOST}:${port}`;
    writeManifests(bed.dir, 'gateway.yaml', [gatewayClass(), gateway({ port }), ...more]);
    bed.route('0');
    bed.backends(backends);
    bed.program = await Fourways.start({ config: bed.dir, workers: 1, drain: '20s' });
    return bed;
  }

  route(version: string): void {
    writeManifests(this.dir, 'route.yaml', [grpcRoute(version)]);
  }

  backends(backends: readonly Backend[]): void {
    writeManifests(this.dir, 'service.yaml', service('echo', backends));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
  }
}

function policy(spec: Manifest): Manifest {
  return {
    apiVersion: 'fourways.io/v1alpha1',
    kind: 'Policy',
    metadata: { name: 'calls', namespace: 'default' },
    spec: { targetRefs: [{ kind: 'GRPCRoute', name: 'echo' }], grpc: spec },
  };
}

/** A server and the program before it, for tests that change nothing. */
async function withEcho(
  behaviour: Behaviour,
  run: (client: EchoClient) => Promise<void>,
  more: Manifest[] = [],
): Promise<void> {
  await using server = await EchoServer.start(behaviour);
  await using bed = await Bed.start([server], more);
  using client = new EchoClient(bed.target);
  await run(client);
}

test('grpc-js: four shapes, metadata, binary metadata, large messages, errors', async () => {
  const behaviour: Behaviour = {
    unary(call, answer) {
      if (call.request.toString() !== 'fail') return answer(null, call.request, call.metadata);
      const trailers = new grpc.Metadata();
      trailers.set('x-why-bin', Buffer.from([0, 1, 255]));
      answer({ code: grpc.status.NOT_FOUND, details: 'Kein Würfel ☃', metadata: trailers });
    },
  };
  await withEcho(behaviour, async (client) => {
    const metadata = new grpc.Metadata();
    metadata.set('x-text', 'hello');
    metadata.set('x-data-bin', Buffer.from([0, 1, 2, 253, 254, 255]));
    const unary = await client.unary('hi', metadata);
    assert.equal(unary.status.code, grpc.status.OK);
    assert.equal(unary.body?.toString(), 'hi');
    assert.deepEqual(unary.metadata?.get('x-version'), ['0']);
    assert.deepEqual(unary.status.metadata.get('x-text'), ['hello']);
    assert.deepEqual(unary.status.metadata.get('x-data-bin'), [Buffer.from([0, 1, 2, 253, 254, 255])]);

    const failed = await client.unary('fail');
    assert.equal(failed.status.code, grpc.status.NOT_FOUND);
    assert.equal(failed.status.details, 'Kein Würfel ☃');
    assert.deepEqual(failed.status.metadata.get('x-why-bin'), [Buffer.from([0, 1, 255])]);

    const up = client.up();
    for (let i = 0; i < 100; i++) up.call.write(Buffer.from(String(i)));
    up.call.end();
    assert.equal((await up.answer).toString(), '100');

    const down = await collect(client.down());
    assert.deepEqual(down.messages, ['0', '1', '2', '3', '4']);
    assert.equal(down.status.code, grpc.status.OK);

    const both = client.both();
    for (const word of ['a', 'b', 'c']) {
      both.write(Buffer.from(word));
      const [echoed] = (await once(both, 'data')) as [Buffer];
      assert.equal(echoed.toString(), word, 'an answer comes before the request has ended');
    }
    both.end();
    const [ended] = (await once(both.resume(), 'status')) as [grpc.StatusObject];
    assert.equal(ended.code, grpc.status.OK);

    const large = Buffer.alloc(8 * 1024 * 1024, 'x');
    const echoed = await client.unary(large);
    assert.ok(echoed.body?.equals(large));
  });
});

test('grpc-js: deadlines, cancellation, faults', async () => {
  let left = 0;
  let cancelled: Promise<void> | undefined;
  const behaviour: Behaviour = {
    unary(call, answer) {
      left = (call.getDeadline() as Date).valueOf() - Date.now();
      call.on('cancelled', () => answer(null, Buffer.alloc(0)));
    },
    down(call) {
      call.write(Buffer.from('first'));
      cancelled = new Promise((resolve) => call.on('cancelled', () => resolve()));
    },
  };
  await withEcho(behaviour, async (client) => {
    const late = await client.unary('x', undefined, { deadline: Date.now() + 300 });
    assert.equal(late.status.code, grpc.status.DEADLINE_EXCEEDED);
    assert.ok(left > 0 && left <= 300, `the server was told of ${left} ms`);

    const down = client.down();
    const result = collect(down);
    await once(down, 'data');
    down.cancel();
    await cancelled;
    assert.equal((await result).status.code, grpc.status.CANCELLED);

    const lost = await new Promise<grpc.ServiceError | null>((resolve) =>
      client.client.makeUnaryRequest(
        '/other.Service/Call',
        (b: Buffer) => b,
        (b) => b,
        Buffer.alloc(0),
        resolve,
      ),
    );
    assert.equal(lost?.code, grpc.status.UNIMPLEMENTED);
    assert.match(lost.details, /route\.none/);
  });
});

test('grpc-js: a policy bounds time and messages, and tries again', async () => {
  let asked = 0;
  const behaviour: Behaviour = {
    unary(call, answer) {
      if (call.request.toString() === 'slow') return;
      if (++asked % 3 !== 0) return answer({ code: grpc.status.UNAVAILABLE, details: 'not now' });
      answer(null, call.request);
    },
  };
  const calls = {
    timeout: '400ms',
    requestMessageBytesMax: 1000,
    retry: { attempts: 2, codes: ['UNAVAILABLE'], backoff: '1ms' },
  };
  await withEcho(
    behaviour,
    async (client) => {
      assert.equal((await client.unary('again')).body?.toString(), 'again');
      assert.equal(asked, 3);
      assert.equal((await client.unary('x'.repeat(1001))).status.code, grpc.status.RESOURCE_EXHAUSTED);
      assert.equal((await client.unary('slow')).status.code, grpc.status.DEADLINE_EXCEEDED);
    },
    [policy(calls)],
  );
});

/** Unary calls in eight lanes until it is told to stop. */
class CallLoad {
  calls = 0;
  readonly failed: string[] = [];
  readonly #lanes: Promise<void>[];
  #on = true;

  constructor(client: EchoClient) {
    this.#lanes = Array.from({ length: 8 }, async () => {
      while (this.#on) {
        const { status, body } = await client.unary('load');
        this.calls++;
        if (status.code !== grpc.status.OK || body?.toString() !== 'load')
          this.failed.push(`${status.code} ${status.details}`);
      }
    });
  }

  /** Resolves after this many more calls. */
  async more(count: number): Promise<void> {
    const until = this.calls + count;
    while (this.calls < until) await new Promise((resolve) => setImmediate(resolve));
  }

  async stop(): Promise<void> {
    this.#on = false;
    await Promise.all(this.#lanes);
    assert.deepEqual(this.failed, []);
  }
}

test('grpc-js: no call is lost while servers come and go, routes change, and the gateway ends', async () => {
  const servers = [await EchoServer.start(), await EchoServer.start()];
  await using bed = await Bed.start(servers);
  using client = new EchoClient(bed.target);
  using watcher = new EchoClient(bed.target);
  const stream = watcher.both();
  const streamed = collect(stream);
  const load = new CallLoad(client);

  for (let i = 0; i < 6; i++) {
    await load.more(50);
    // The server says GOAWAY and finishes what it has; its place is taken by another one.
    const next = await EchoServer.start();
    const [old] = servers.splice(0, 1, next);
    servers.reverse();
    bed.backends(servers);
    bed.route(String(i));
    stream.write(Buffer.from(`s${i}`));
    await load.more(50);
    if (i < 5) void old!.shutdown();
    else await old!.shutdown();
  }
  await load.more(100);
  await load.stop();
  assert.ok(load.calls > 500, `${load.calls} calls`);

  // A drain lets the stream come to its end.
  const ended = bed.program.stop('SIGTERM');
  await new Promise((resolve) => setTimeout(resolve, 300));
  stream.write(Buffer.from('last'));
  stream.end();
  const { messages, status } = await streamed;
  assert.equal(status.code, grpc.status.OK);
  assert.deepEqual(messages, ['s0', 's1', 's2', 's3', 's4', 's5', 'last']);
  assert.equal((await ended).code, 0);
  for (const server of servers) server.server.forceShutdown();
});

test('grpc-js: clients that come and go under load lose no call', async () => {
  await using server = await EchoServer.start();
  await using bed = await Bed.start([server]);
  for (let i = 0; i < 5; i++) {
    using client = new EchoClient(bed.target);
    const load = new CallLoad(client);
    await load.more(100);
    await load.stop();
  }
});

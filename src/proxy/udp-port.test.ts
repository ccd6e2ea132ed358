import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import test from 'node:test';
import type { PlanListener } from '../ir/plan.ts';
import { CONNECTION_LIMITS, CONNECTION_TIMEOUTS } from '../base/limits.ts';
import { Harness, LISTENER } from './testing/node-harness.ts';
import { streamCluster, streamTo } from './testing/streams.ts';

const UDP = { protocol: 'udp' } as const;

function listener(more: Partial<{ idleMs: number; sessionsMax: number }> = {}): PlanListener {
  return { ...LISTENER, stream: { kind: 'udp', idleMs: 5_000, sessionsMax: 10, ...more } };
}

/** Answers each datagram with its name, the datagram, and the port that it came from. */
async function answering(name: string, address = '127.0.0.1'): Promise<AsyncDisposable & { readonly port: number }> {
  const socket = dgram.createSocket(address.includes(':') ? 'udp6' : 'udp4');
  socket.on('message', (bytes, from) => socket.send(`${name} ${String(bytes)} ${from.port}`, from.port, from.address));
  socket.bind(0, address);
  await once(socket, 'listening');
  let open = true;
  return {
    port: socket.address().port,
    [Symbol.asyncDispose]: async () => {
      if (open) socket.close();
      open = false;
    },
  };
}

class Client implements Disposable {
  readonly #socket: dgram.Socket;
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
    this.#socket = dgram.createSocket('udp4');
  }

  send(text: string): void {
    this.#socket.send(text, this.#port, '127.0.0.1');
  }

  /** The answer; undefined when none comes. It has to come from the port that was asked. */
  async ask(text: string): Promise<string | undefined> {
    this.send(text);
    const late = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => late.resolve(undefined), 400);
    const answer = await Promise.race([once(this.#socket, 'message'), late.promise]);
    clearTimeout(timer);
    if (answer === undefined) return undefined;
    assert.equal((answer[1] as dgram.RemoteInfo).port, this.#port);
    return String(answer[0]);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

test('datagrams of one client go to one endpoint from one port, and the answers come back', async () => {
  await using one = await answering('one');
  await using two = await answering('two');
  await using harness = new Harness();
  const clusters = { c: streamCluster([one.port, two.port], { stream: 'udp' }) };
  await harness.start({ listeners: { l: listener() }, streams: { s: streamTo('c') }, clusters }, UDP);
  using first = new Client(harness.port);
  using second = new Client(harness.port);
  const [name, , from] = (await first.ask('a'))!.split(' ');
  for (const text of ['b', 'c']) assert.equal(await first.ask(text), `${name} ${text} ${from}`);
  assert.notEqual((await second.ask('a'))!.split(' ')[0], name, 'sessions are spread by weight');
  assert.equal(harness.node.stats().connections, 2);
});

test('a session ends when it is silent, and says what went through it', async () => {
  await using upstream = await answering('up');
  await using harness = new Harness();
  const clusters = { c: streamCluster([upstream.port], { stream: 'udp' }) };
  await harness.start({ listeners: { l: listener({ idleMs: 100 }) }, streams: { s: streamTo('c') }, clusters }, UDP);
  using client = new Client(harness.port);
  const before = await client.ask('hello');
  while (harness.node.stats().connections > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  const line = harness.lines().at(-1)!;
  assert.deepEqual([line['protocol'], line['bytes_in'], line['bytes_out']], ['udp', 5, before!.length]);
  assert.notEqual(await client.ask('hello'), before, 'the next one has a socket of its own');
});

test('beyond sessionsMax new clients are dropped, those who are there are served', async () => {
  await using upstream = await answering('up');
  await using harness = new Harness();
  const clusters = { c: streamCluster([upstream.port], { stream: 'udp' }) };
  await harness.start({ listeners: { l: listener({ sessionsMax: 2 }) }, streams: { s: streamTo('c') }, clusters }, UDP);
  using first = new Client(harness.port);
  using second = new Client(harness.port);
  assert.ok(await first.ask('a'));
  assert.ok(await second.ask('a'));
  for (let i = 0; i < 20; i++) {
    using flood = new Client(harness.port);
    flood.send('x');
    if (i === 19) assert.equal(await flood.ask('x'), undefined);
  }
  assert.ok(await first.ask('b'));
  assert.equal(harness.node.stats().connections, 2);
  const [line] = harness.said;
  assert.deepEqual([line?.['message'], line?.['reason']], ['A datagram of a new client was dropped', 'sessions-max']);
  assert.ok(harness.said.length < 10, 'a flood does not write the log');
});

test('an endpoint that nobody listens on is left for another one', async () => {
  await using gone = await answering('gone');
  const gonePort = gone.port;
  await gone[Symbol.asyncDispose]();
  await using upstream = await answering('up');
  await using harness = new Harness();
  const clusters = { c: streamCluster([gonePort, upstream.port], { stream: 'udp' }) };
  await harness.start({ listeners: { l: listener() }, streams: { s: streamTo('c') }, clusters }, UDP);
  using client = new Client(harness.port);
  let answer: string | undefined;
  for (let i = 0; i < 3 && answer === undefined; i++) answer = await client.ask('a');
  assert.match(answer ?? '', /^up/);
});

test('a change of the plan leaves sessions alone, a drain lets them go on and takes no new ones', async () => {
  await using one = await answering('one');
  await using two = await answering('two');
  await using harness = new Harness();
  const clusters = { c: streamCluster([one.port], { stream: 'udp' }) };
  await harness.start({ listeners: { l: listener() }, streams: { s: streamTo('c') }, clusters }, UDP);
  using client = new Client(harness.port);
  const first = await client.ask('a');
  await harness.change({
    streams: { s: streamTo('d') },
    clusters: { d: streamCluster([two.port], { stream: 'udp' }) },
  });
  assert.equal(await client.ask('a'), first);
  using next = new Client(harness.port);
  assert.match((await next.ask('a'))!, /^two/);
  const drained = harness.node.drain(1_000);
  assert.equal(await client.ask('a'), first);
  using late = new Client(harness.port);
  assert.equal(await late.ask('a'), undefined);
  await drained;
  assert.equal(await client.ask('a'), undefined);
});

test('over IPv6, to an IPv4 endpoint', async () => {
  await using upstream = await answering('up');
  await using harness = new Harness();
  await harness.start({}, {});
  const port = { ...LISTENER, port: '[::1]:0' };
  const result = await harness.change({
    ports: {
      '[::1]:0/udp': {
        address: '::1',
        port: 0,
        protocol: 'udp',
        limits: CONNECTION_LIMITS,
        timeouts: CONNECTION_TIMEOUTS,
      },
    },
    listeners: { l6: { ...port, port: '[::1]:0/udp', stream: { kind: 'udp', idleMs: 1_000, sessionsMax: 10 } } },
    streams: { s: streamTo('c', { attach: [{ listener: 'l6', hosts: ['*'] }] }) },
    clusters: { c: streamCluster([upstream.port], { stream: 'udp' }) },
  });
  const state = result.kind === 'ack' ? result.ports['[::1]:0/udp'] : undefined;
  assert.equal(state?.state, 'bound');
  const socket = dgram.createSocket('udp6');
  socket.send('six', state!.port, '::1');
  const [answer] = (await once(socket, 'message')) as [Buffer];
  socket.close();
  assert.match(String(answer), /^up six/);
});

test('of two workers on one port, each client stays with one', async () => {
  const sockets: dgram.Socket[] = [];
  const seen = new Map<number, Set<number>>();
  let port = 0;
  for (const worker of [0, 1]) {
    const socket = dgram.createSocket({ type: 'udp4', reusePort: true });
    socket.on('message', (bytes, from) => {
      const workers = seen.get(from.port) ?? new Set();
      seen.set(from.port, workers.add(worker));
      socket.send(bytes, from.port, from.address);
    });
    socket.bind(port, '127.0.0.1');
    await once(socket, 'listening');
    ({ port } = socket.address());
    sockets.push(socket);
  }
  for (let i = 0; i < 24; i++) {
    using client = new Client(port);
    for (const text of ['a', 'b', 'c', 'd']) assert.equal(await client.ask(text), text);
  }
  for (const socket of sockets) socket.close();
  assert.equal(seen.size, 24);
  for (const workers of seen.values()) assert.equal(workers.size, 1);
  assert.equal(new Set([...seen.values()].flatMap((workers) => [...workers])).size, 2, 'both workers had clients');
});

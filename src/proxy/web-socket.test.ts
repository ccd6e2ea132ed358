/** One script over all pairings of wires: what a WebSocket is must not depend on who carries it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TUNNEL_LIMITS } from '../base/limits.ts';
import { OPCODES } from '../http/ws/testing/frames.ts';
import type { PlanRule } from '../ir/plan.ts';
import { clusterTo, Harness, LISTENER, routeOf, ruleTo } from './testing/node-harness.ts';
import {
  type Doorman,
  open,
  openSocket,
  type WireName,
  type WsPeer,
  WsPeer as Peer,
  WsUpstream,
} from './testing/web-sockets.ts';

const PAIRINGS: readonly (readonly [client: WireName, upstream: WireName])[] = [
  ['h1', 'h1'],
  ['h1', 'h2'],
  ['h2', 'h1'],
  ['h2', 'h2'],
];

/** A gateway between the two wires. */
class Between implements AsyncDisposable {
  readonly proxy: Harness;
  readonly upstream: WsUpstream;
  readonly wire: WireName;

  private constructor(proxy: Harness, upstream: WsUpstream, wire: WireName) {
    this.proxy = proxy;
    this.upstream = upstream;
    this.wire = wire;
  }

  static async start(
    [client, server]: readonly [WireName, WireName],
    options: { readonly doorman?: Doorman; readonly rule?: Partial<PlanRule>; readonly drainMs?: number } = {},
  ): Promise<Between> {
    const upstream = await WsUpstream.start(server, options.doorman);
    const proxy = new Harness([], options.drainMs);
    const protocol = server === 'h2' ? 'h2' : 'http1';
    await proxy.start({
      listeners: { l: { ...LISTENER, settings: { ...LISTENER.settings, httpVersions: ['h2', 'http/1.1'] } } },
      routes: { r: routeOf(ruleTo(options.rule)) },
      clusters: { c: clusterTo([upstream.port], { protocol }) },
    });
    return new Between(proxy, upstream, client);
  }

  async pair(): Promise<{ client: WsPeer; server: WsPeer }> {
    const [client, server] = await Promise.all([openSocket(this.wire, this.proxy.port), this.upstream.accept()]);
    return { client: client.read(), server: server.read() };
  }

  /** The line of the access log of the tunnel that has ended, once it is there. */
  async line(): Promise<Record<string, unknown>> {
    while (this.proxy.lines().length === 0) await turn();
    return this.proxy.log.at(-1)!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    await this.upstream[Symbol.asyncDispose]();
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2));
}

/** Answers Close with Close, as a server of RFC 6455 does, and ends first (section 7.1.1). */
async function closeProperly(server: WsPeer): Promise<{ code: number; reason: string }> {
  const close = await server.nextClose();
  server.close(close.code);
  server.end();
  return close;
}

for (const pairing of PAIRINGS) {
  const title = pairing.join(' to ');

  test(`WebSocket ${title}: messages, fragments, control frames between them, reserved bits; masks as they came`, async () => {
    await using between = await Between.start(pairing);
    const { client, server } = await between.pair();
    const sent = [
      client.frame(OPCODES.text, 'hello'),
      client.frame(OPCODES.text, 'frag', { fin: false }),
      client.frame(OPCODES.ping, 'are you there'),
      client.frame(OPCODES.continuation, 'ment', { fin: true }),
      client.frame(OPCODES.binary, Buffer.alloc(1_000, 7), { reserved: 0x40 }),
      client.frame(0xb, ''),
    ];
    // Cut where no frame ends.
    const bytes = Buffer.concat(sent);
    for (let at = 0; at < bytes.length; at += 7) client.raw(bytes.subarray(at, at + 7));
    const got = [];
    for (const _ of sent) got.push(await server.next());
    assert.deepEqual(
      got.map(({ opcode, fin, reserved, masked, payload }) => [opcode, fin, reserved, masked, payload.length]),
      [
        [1, true, 0, true, 5],
        [1, false, 0, true, 4],
        [9, true, 0, true, 13],
        [0, true, 0, true, 4],
        [2, true, 0x40, true, 1_000],
        [0xb, true, 0, true, 0],
      ],
    );
    server.send(OPCODES.pong, 'are you there');
    server.text('back');
    assert.equal((await client.next()).masked, false);
    assert.equal(await client.nextText(), 'back');
  });

  test(`WebSocket ${title}: a message of 1 MB both ways is the same behind the gateway`, async () => {
    await using between = await Between.start(pairing);
    const { client, server } = await between.pair();
    const payload = Buffer.from(Array.from({ length: 1_048_576 }, (_, i) => i & 0xff));
    client.send(OPCODES.binary, payload);
    assert.ok((await server.next()).payload.equals(payload));
    server.send(OPCODES.binary, payload);
    assert.ok((await client.next()).payload.equals(payload));
  });

  for (const [code, reason] of [
    [1000, 'done'],
    [1001, ''],
    [3999, 'ours'],
    [4999, 'x'.repeat(123)],
  ] as const) {
    test(`WebSocket ${title}: Close ${code} and its answer go through, and both connections end`, async () => {
      await using between = await Between.start(pairing);
      const { client, server } = await between.pair();
      client.close(code, reason);
      assert.deepEqual(await closeProperly(server), { code, reason });
      assert.equal((await client.nextClose()).code, code);
      client.end();
      assert.deepEqual([await client.left, await server.left], ['ended', 'ended']);
      const line = await between.line();
      assert.equal(line['status'], 101);
      assert.equal('fault' in line, false);
      assert.equal(line['bytes_in'], server.bytesReceived);
      assert.equal(line['bytes_out'], client.bytesReceived);
    });
  }

  test(`WebSocket ${title}: subprotocols and extensions are agreed on from end to end`, async () => {
    const doorman: Doorman = (headers) => ({
      headers: {
        'sec-websocket-protocol': headers['sec-websocket-protocol']!.split(', ')[1]!,
        'sec-websocket-extensions': headers['sec-websocket-extensions']!,
      },
    });
    await using between = await Between.start(pairing, { doorman });
    const extensions = 'permessage-deflate; client_max_window_bits';
    const client = await openSocket(between.wire, between.proxy.port, { protocols: 'chat.v1, chat.v2', extensions });
    assert.equal(client.headers['sec-websocket-protocol'], 'chat.v2');
    assert.equal(client.headers['sec-websocket-extensions'], extensions);
    const server = await between.upstream.accept();
    assert.equal(server.headers['sec-websocket-version'], '13');
    assert.match(server.headers['x-request-id'] as string, /^[0-9a-f]{32}$/);
  });

  test(`WebSocket ${title}: a refusal is an answer like any other, and the connections live on`, async () => {
    await using between = await Between.start(pairing, { doorman: () => ({ status: 403, body: 'members only' }) });
    for (let i = 0; i < 3; i++) {
      const answer = await open(between.wire, between.proxy.port);
      assert.ok(!(answer instanceof Peer));
      assert.deepEqual([answer.status, answer.body, answer.headers['x-why']], [403, 'members only', 'asked']);
    }
  });

  test(`WebSocket ${title}: a half-close leaves the other direction open`, async () => {
    for (const first of ['client', 'server'] as const) {
      await using between = await Between.start(pairing);
      const { client, server } = await between.pair();
      const [early, late] = first === 'client' ? [client, server] : [server, client];
      early.text('last words');
      early.end();
      assert.equal(await late.nextText(), 'last words');
      assert.equal(await late.left, 'ended');
      late.text('and mine');
      assert.equal(await early.nextText(), 'and mine');
      late.end();
      assert.equal(await early.left, 'ended');
    }
  });

  for (const who of ['client', 'server'] as const) {
    test(`WebSocket ${title}: a reset by the ${who} reaches the other side as a reset`, async () => {
      await using between = await Between.start(pairing);
      const { client, server } = await between.pair();
      client.text('there');
      assert.equal(await server.nextText(), 'there');
      const [gone, left] = who === 'client' ? [client, server] : [server, client];
      gone.reset();
      assert.equal(await left.left, 'reset');
      assert.equal((await between.line())['fault'], who === 'client' ? 'request.aborted' : 'upstream.closed');
    });
  }

  for (const who of ['client', 'server'] as const) {
    test(`WebSocket ${title}: a reset by the ${who} after both have said Close is no fault`, async () => {
      await using between = await Between.start(pairing);
      const { client, server } = await between.pair();
      client.close(1000);
      assert.equal((await server.nextClose()).code, 1000);
      server.close(1000);
      assert.equal((await client.nextClose()).code, 1000);
      (who === 'client' ? client : server).reset();
      assert.equal((await between.line())['fault'], undefined);
    });
  }

  test(`WebSocket ${title}: who does not read is not buffered for`, async () => {
    await using between = await Between.start(pairing);
    const [client, server] = await Promise.all([
      openSocket(between.wire, between.proxy.port),
      between.upstream.accept(),
    ]);
    const piece = server.frame(OPCODES.binary, Buffer.alloc(65_536));
    // Until nothing has left for a while: all buffers on the way are full.
    let [pieces, still] = [0, 0];
    while (still < 20 && pieces < 2_000) {
      if (server.stream.writableLength < 262_144) {
        server.raw(piece);
        pieces++;
        still = 0;
      } else {
        still++;
        await turn();
      }
    }
    const accepted = pieces * piece.length;
    assert.ok(accepted < 48 * 1_048_576, `${accepted} bytes went nowhere`);
    client.read();
    for (let i = 0; i < pieces; i++) assert.equal((await client.next()).payload.length, 65_536);
  });

  test(`WebSocket ${title}: at idle both sides hear Close 1001, and the log says why`, async () => {
    await using between = await Between.start(pairing, { rule: { tunnel: { idleMs: 150 } } });
    const { client, server } = await between.pair();
    // What is alive does not end.
    for (let i = 0; i < 5; i++) {
      await new Promise((resolve) => setTimeout(resolve, 60));
      server.text(`${i}`);
      assert.equal(await client.nextText(), `${i}`);
    }
    assert.deepEqual(await client.nextClose(), { code: 1001, reason: 'idle for too long' });
    client.close(1001);
    assert.equal((await closeProperly(server)).code, 1001);
    client.end();
    await Promise.all([client.left, server.left]);
    assert.equal((await between.line())['fault'], 'tunnel.idle');
  });

  test(`WebSocket ${title}: at its total limit it ends while it talks; a client that does not answer is spoken for`, async () => {
    await using between = await Between.start(pairing, { rule: { tunnel: { maxMs: 200 } } });
    const { client, server } = await between.pair();
    const talk = setInterval(() => server.text('on and on'), 20);
    try {
      let got = await client.next();
      while (got.opcode !== OPCODES.close) got = await client.next();
      assert.equal(got.payload.readUInt16BE(0), 1001);
      // The client says nothing: the upstream hears it from us, masked.
      const close = await server.next();
      assert.deepEqual(
        [close.opcode, close.masked, close.payload.toString('latin1')],
        [8, true, '\u0003\u00e9open for too long'],
      );
    } finally {
      clearInterval(talk);
    }
    server.close(1001);
    server.end();
    assert.equal(await client.left, 'ended');
    client.end();
    assert.equal((await between.line())['fault'], 'tunnel.max');
  });

  test(`WebSocket ${title}: a drain says 1001 where a frame ends, and what the client still says arrives`, async () => {
    await using between = await Between.start(pairing);
    const { client, server } = await between.pair();
    // A frame is under way to the client; the word of the gateway has to wait for its end.
    const long = server.frame(OPCODES.text, 'x'.repeat(70_000));
    server.raw(long.subarray(0, 40_000));
    while (client.bytesReceived < 40_000) await turn();
    const drained = between.proxy.node.drain(5_000);
    client.text('said before I heard');
    assert.equal(await server.nextText(), 'said before I heard');
    server.raw(long.subarray(40_000));
    assert.equal((await client.nextText()).length, 70_000);
    assert.deepEqual(await client.nextClose(), { code: 1001, reason: 'going away' });
    const heard = client.bytesReceived;
    server.text('too late');
    client.text('one more');
    client.close(1001);
    assert.equal(await server.nextText(), 'one more');
    assert.equal((await closeProperly(server)).code, 1001);
    assert.equal(await client.left, 'ended');
    assert.equal(client.bytesReceived, heard, 'Nothing follows a Close');
    client.end();
    await drained;
    const line = await between.line();
    assert.equal('fault' in line, false, 'Who was asked to go and went has failed in nothing');
  });

  test(`WebSocket ${title}: a drain is over at its deadline, whatever the two sides do`, async () => {
    await using between = await Between.start(pairing);
    const { client, server } = await between.pair();
    const startMs = performance.now();
    await between.proxy.node.drain(600);
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs >= 550 && tookMs < 2_000, `${tookMs} ms`);
    assert.equal((await client.nextClose()).code, 1001);
    assert.equal((await server.nextClose()).code, 1001);
    await Promise.all([client.left, server.left]);
    assert.equal((await between.line())['fault'], 'proxy.draining');
  });

  test(`WebSocket ${title}: hundreds of changes, its route and its endpoint gone among them, and not one message is lost`, async () => {
    await using between = await Between.start(pairing);
    const { client, server } = await between.pair();
    const { proxy } = between;
    let said = 0;
    const talk = (async () => {
      for (; said < 400; said++) {
        client.text(`${said}`);
        assert.equal(await server.nextText(), `${said}`);
        server.text(`${said}`);
        assert.equal(await client.nextText(), `${said}`);
        await turn();
      }
    })();
    for (let i = 0; i < 300; i++) {
      const rule = ruleTo({ timeouts: { requestMs: 1 + i }, tunnel: { idleMs: 1 + i } });
      const protocol = pairing[1] === 'h2' ? 'h2' : 'http1';
      const settings = { ...clusterTo([]).settings, connectMs: 100 + i };
      await proxy.change({ routes: { r: routeOf(rule) }, clusters: { c: clusterTo([1], { protocol, settings }) } });
      await proxy.change({ listeners: { l: { ...LISTENER, publicPort: 1 + i } } });
      assert.equal((await proxy.change({}, { routes: ['r'] })).kind, 'ack');
      assert.equal((await proxy.change({}, { clusters: ['c'] })).kind, 'ack');
    }
    await talk;
    assert.equal(said, 400);
    client.close(1000);
    assert.equal((await closeProperly(server)).code, 1000);
  });

  test(`WebSocket ${title}: a port that leaves the plan drains within the deadline, the others live on`, async () => {
    await using between = await Between.start(pairing, { drainMs: 600 });
    const { client, server } = await between.pair();
    const startMs = performance.now();
    const result = await between.proxy.change({}, { ports: ['127.0.0.1:0'], listeners: ['l'], routes: ['r'] });
    assert.equal(result.kind, 'ack');
    assert.equal((await client.nextClose()).code, 1001);
    assert.equal((await server.nextClose()).code, 1001);
    await Promise.all([client.left, server.left]);
    assert.ok(performance.now() - startMs < 2_000);
    assert.equal((await between.line())['fault'], 'proxy.draining');
  });
}

test('WebSocket: limits of a route that says none are those of its listener', async () => {
  await using upstream = await WsUpstream.start('h1');
  await using proxy = new Harness();
  const tunnel = { ...TUNNEL_LIMITS, maxMs: 100 };
  await proxy.start({
    listeners: { l: { ...LISTENER, settings: { ...LISTENER.settings, tunnel } } },
    routes: { r: routeOf(ruleTo()) },
    clusters: { c: clusterTo([upstream.port]) },
  });
  const client = await openSocket('h1', proxy.port);
  assert.equal((await client.nextClose()).reason, 'open for too long');
});

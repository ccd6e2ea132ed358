/**
 * Floods, over real sockets: each ends its own connection with the right code and says what it was; another client is
 * answered meanwhile as before; memory stays. And clients that do much of the same for good reason are left alone.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionLimits, ConnectionTimeouts } from '../../base/limits.ts';
import { Headers } from '../headers.ts';
import type { RequestSink, ServerStreamEvents } from '../stream.ts';
import { FLAG, FRAME, SETTING } from './frame.ts';
import { QUIET_EVENTS } from '../testing/quiet-events.ts';
import { H2Port } from './testing/h2-port.ts';
import { block, type Fields, frame, settings, words } from './testing/frames.ts';
import { GET, POST, RawClient } from './testing/raw-client.ts';

const PING8 = Buffer.alloc(8);
const ACK = frame(FRAME.SETTINGS, FLAG.ACK, 0);
const GET_BLOCK = block(GET);
const NO_BYTES = Buffer.alloc(0);

function get(streamId: number, flags = 5): Buffer {
  return frame(FRAME.HEADERS, flags, streamId, GET_BLOCK);
}

/** Answers `/` at once, never answers `/slow`, and `/large` with 1 MiB. */
class Site implements RequestSink {
  requests = 0;
  gone = 0;

  readonly #events: ServerStreamEvents = { ...QUIET_EVENTS, onClientGone: () => this.gone++ };

  onRequest: RequestSink['onRequest'] = (stream) => {
    this.requests++;
    if (stream.request.path === '/slow') return this.#events;
    const body = stream.request.path === '/large' ? LARGE : SMALL;
    stream.sendHead({ status: 200, reason: '', headers: new Headers(), bodyLength: body.length });
    stream.sendBody(body);
    stream.sendEnd(undefined);
    return this.#events;
  };

  onRefused: RequestSink['onRefused'] = (stream) => {
    stream.sendHead({ status: 400, reason: '', headers: new Headers(), bodyLength: 0 });
    stream.sendEnd(undefined);
  };
}

const SMALL = Buffer.from('ok');
const LARGE = Buffer.alloc(1024 * 1024);
const SLOW: Fields = [...GET.slice(0, 3), [':path', '/slow']];
const LARGE_GET: Fields = [...GET.slice(0, 3), [':path', '/large']];
const SLOW_BLOCK = block(SLOW);

/** Odd ids from 1. */
const idOf = (n: number): number => n * 2 + 1;

interface Flood {
  readonly reason: string;
  readonly code?: string;
  /** Sent first. */
  readonly before?: Buffer;
  /** The frames of turn `n`; they are sent until the connection is closed. */
  frames(n: number): Buffer;
  /** Frames until the purse of a new connection is empty, at most: more would mean that nobody counts. */
  readonly framesMax: number;
  readonly limits?: Partial<ConnectionLimits>;
  readonly timeouts?: Partial<ConnectionTimeouts>;
}

const FLOODS: Readonly<Record<string, Flood>> = {
  'rapid reset (CVE-2023-44487)': {
    reason: 'rapid-reset',
    frames: (n) =>
      Buffer.concat([frame(FRAME.HEADERS, 5, idOf(n), SLOW_BLOCK), frame(FRAME.RST_STREAM, 0, idOf(n), words(8))]),
    framesMax: 600,
  },
  'made you reset (CVE-2025-8671): windows that are too large': {
    reason: 'provoked-reset',
    frames: (n) =>
      Buffer.concat([
        frame(FRAME.HEADERS, 5, idOf(n), SLOW_BLOCK),
        frame(FRAME.WINDOW_UPDATE, 0, idOf(n), words(0x7fffffff)),
      ]),
    framesMax: 600,
  },
  'made you reset: WINDOW_UPDATE of 0': {
    reason: 'provoked-reset',
    frames: (n) =>
      Buffer.concat([frame(FRAME.HEADERS, 5, idOf(n), SLOW_BLOCK), frame(FRAME.WINDOW_UPDATE, 0, idOf(n), words(0))]),
    framesMax: 600,
  },
  'made you reset: frames on half-closed streams': {
    reason: 'provoked-reset',
    frames: (n) => Buffer.concat([frame(FRAME.HEADERS, 5, idOf(n), SLOW_BLOCK), frame(FRAME.DATA, 0, idOf(n), PING8)]),
    framesMax: 600,
  },
  'malformed requests: names without a letter': {
    reason: 'provoked-reset',
    frames: (n) => frame(FRAME.HEADERS, 5, idOf(n), block([...GET, ['', 'x']])),
    framesMax: 600,
  },
  'streams beyond the limit': {
    reason: 'provoked-reset',
    frames: (n) => frame(FRAME.HEADERS, 5, idOf(n), SLOW_BLOCK),
    framesMax: 700,
    limits: { streamsMax: 10 },
  },
  'CONTINUATION without an end': {
    reason: 'continuation',
    before: get(1, 1),
    frames: () => frame(FRAME.CONTINUATION, 0, 1, Buffer.from([0x40])),
    framesMax: 1_000,
  },
  'empty CONTINUATION': {
    reason: 'continuation',
    before: get(1, 1),
    frames: () => frame(FRAME.CONTINUATION, 0, 1),
    framesMax: 1_000,
  },
  'CONTINUATION as long as can be': {
    reason: 'header-block',
    before: get(1, 1),
    frames: () => frame(FRAME.CONTINUATION, 0, 1, Buffer.alloc(16_384)),
    framesMax: 10,
  },
  SETTINGS: { reason: 'settings', frames: () => settings([SETTING.INITIAL_WINDOW_SIZE, 1_000]), framesMax: 1_000 },
  'acknowledgements of SETTINGS': { reason: 'settings', frames: () => ACK, framesMax: 1_000 },
  PING: { reason: 'ping', frames: () => frame(FRAME.PING, 0, 0, PING8), framesMax: 2_000 },
  'empty DATA': {
    reason: 'empty-data',
    before: frame(FRAME.HEADERS, 4, 1, SLOW_BLOCK),
    frames: () => frame(FRAME.DATA, 0, 1),
    framesMax: 1_000,
  },
  'DATA of padding': {
    reason: 'empty-data',
    before: frame(FRAME.HEADERS, 4, 1, SLOW_BLOCK),
    frames: () => frame(FRAME.DATA, FLAG.PADDED, 1, Buffer.from([10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
    framesMax: 1_000,
  },
  WINDOW_UPDATE: {
    reason: 'window-update',
    frames: () => frame(FRAME.WINDOW_UPDATE, 0, 0, words(1)),
    framesMax: 4_000,
  },
  'windows of one byte': {
    reason: 'window-update',
    before: Buffer.concat([settings([SETTING.INITIAL_WINDOW_SIZE, 1]), frame(FRAME.HEADERS, 5, 1, block(LARGE_GET))]),
    frames: () => frame(FRAME.WINDOW_UPDATE, 0, 1, words(1)),
    framesMax: 4_000,
  },
  PRIORITY: {
    reason: 'priority',
    frames: (n) => frame(FRAME.PRIORITY, 0, idOf(n), Buffer.from([0, 0, 0, 0, 9])),
    framesMax: 4_000,
  },
  PRIORITY_UPDATE: {
    reason: 'priority',
    frames: () => frame(FRAME.PRIORITY_UPDATE, 0, 0, words(1)),
    framesMax: 4_000,
  },
  'unknown frames': { reason: 'unknown-frame', frames: () => frame(0x42, 0, 0, NO_BYTES), framesMax: 2_000 },
  'RST_STREAM for closed streams': {
    reason: 'closed-stream',
    before: get(1),
    frames: () => frame(FRAME.RST_STREAM, 0, 1, words(8)),
    framesMax: 2_000,
  },
  'HEADERS for streams that were reset': {
    reason: 'closed-stream',
    before: Buffer.concat([get(1, 4), frame(FRAME.WINDOW_UPDATE, 0, 1, words(0))]),
    frames: () => get(1),
    framesMax: 2_000,
  },
};

/** Frames that a flood sends in one turn of the event loop. */
const TURN = 50;

/** How long another client may wait for an answer while a flood runs. Without one it takes a millisecond or two. */
const NEIGHBOUR_MS_MAX = 250;

for (const [name, flood] of Object.entries(FLOODS)) {
  test(`flood: ${name}: ENHANCE_YOUR_CALM, ${flood.reason}`, async () => {
    const site = new Site();
    await using port = await H2Port.start(site, flood);
    await using neighbour = await RawClient.connect(port.port);
    neighbour.send(ACK);
    await using client = await RawClient.connect(port.port);
    client.send(ACK, flood.before ?? NO_BYTES);
    await client.until(() => client.frames.length > 0);

    let slowestMs = 0;
    let asked = 0;
    for (let n = 0; !client.of(FRAME.GOAWAY).length && !client.closed; n += TURN) {
      assert.ok(n < flood.framesMax + 20 * TURN, `${n} frames were taken`);
      client.send(...Array.from({ length: TURN }, (_, i) => flood.frames(n + i)));
      const beforeMs = performance.now();
      const id = idOf(asked++);
      neighbour.headers(id, GET);
      assert.equal(await neighbour.answer(id), '200 ok');
      slowestMs = Math.max(slowestMs, performance.now() - beforeMs);
    }
    assert.equal(await client.ending(), `GOAWAY ${flood.code ?? 'ENHANCE_YOUR_CALM'}`);
    assert.deepEqual(
      port.failures.map((error) => error.reason),
      [flood.reason],
    );
    assert.ok(slowestMs < NEIGHBOUR_MS_MAX, `a neighbour waited ${slowestMs} ms`);
    assert.ok(site.requests - asked <= flood.framesMax, `${site.requests - asked} requests went through`);
  });
}

test('flood: what a client may do without useful work is bounded, and fills again with time', async () => {
  const site = new Site();
  await using port = await H2Port.start(site);
  await using client = await RawClient.connect(port.port);
  client.send(ACK);
  // A page with 50 images that is left, again and again, with what a person needs in between.
  let id = 1;
  for (let page = 0; page < 3; page++) {
    for (let i = 0; i < 50; i++, id += 2) {
      client.send(frame(FRAME.HEADERS, 5, id, SLOW_BLOCK), frame(FRAME.RST_STREAM, 0, id, words(8)));
    }
    assert.ok(await client.settled());
    for (let i = 0; i < 50; i++, id += 2) {
      client.headers(id, GET);
      assert.equal(await client.answer(id), '200 ok');
    }
  }
  assert.deepEqual(port.failures, []);
  assert.equal(site.gone, 150);
});

test('flood: a client that cancels all of its 128 requests at once is left alone', async () => {
  await using port = await H2Port.start(new Site());
  await using client = await RawClient.connect(port.port);
  client.send(ACK);
  for (let i = 0; i < 128; i++) client.send(frame(FRAME.HEADERS, 5, idOf(i), SLOW_BLOCK));
  for (let i = 0; i < 128; i++) client.send(frame(FRAME.RST_STREAM, 0, idOf(i), words(8)));
  assert.ok(await client.settled());
  client.headers(idOf(128), GET);
  assert.equal(await client.answer(idOf(128)), '200 ok');
});

test('flood: a WINDOW_UPDATE or two and a PING for each small frame are no flood', async () => {
  const sent = 5_000;
  let send: (() => void) | undefined;
  await using port = await H2Port.start({
    onRequest: (stream) => {
      stream.sendHead({ status: 200, reason: '', headers: new Headers(), bodyLength: -1 });
      send = () => stream.sendBody(SMALL);
      return { ...QUIET_EVENTS };
    },
    onRefused: () => undefined,
  });
  await using client = await RawClient.connect(port.port);
  client.send(ACK);
  client.headers(1, GET);
  await client.until(() => client.of(FRAME.HEADERS).length > 0);
  for (let i = 0; i < sent; i++) {
    send!();
    if (i % 100 !== 99) continue;
    const before = client.of(FRAME.PING).length;
    for (let k = 0; k < 100; k++) {
      client.send(frame(FRAME.WINDOW_UPDATE, 0, 1, words(2)), frame(FRAME.WINDOW_UPDATE, 0, 0, words(2)));
    }
    client.send(frame(FRAME.PING, 0, 0, PING8));
    await client.until(() => client.of(FRAME.PING).length > before);
  }
  assert.deepEqual(port.failures, []);
  assert.equal(client.closed, false);
});

test('flood: tiny pieces of a body are no flood', async () => {
  await using port = await H2Port.start(new Site());
  await using client = await RawClient.connect(port.port);
  client.send(ACK);
  client.headers(1, [...POST.slice(0, 3), [':path', '/slow']], 0);
  for (let i = 0; i < 20_000; i++) client.data(1, Buffer.from('x'));
  assert.ok(await client.settled());
});

test('memory: answers that nobody reads are held up to the watermarks, and end with the patience for writing', async () => {
  let pieces = 0;
  let stopped = 0;
  await using port = await H2Port.start(
    {
      onRequest: (stream) => {
        stream.sendHead({ status: 200, reason: '', headers: new Headers(), bodyLength: -1 });
        while (stream.sendBody(PIECE)) pieces++;
        stopped++;
        return { ...QUIET_EVENTS };
      },
      onRefused: () => undefined,
    },
    { timeouts: { writeIdleMs: 150 } },
  );
  const before = process.memoryUsage().arrayBuffers;
  await using client = await RawClient.connect(port.port);
  client.send(
    ACK,
    settings([SETTING.INITIAL_WINDOW_SIZE, 0x7fffffff]),
    frame(FRAME.WINDOW_UPDATE, 0, 0, words(0x7fff0000)),
  );
  client.socket.pause();
  for (let i = 0; i < 128; i++) client.headers(idOf(i), GET);
  while (stopped < 128) await new Promise((resolve) => setImmediate(resolve));
  // The kernel takes some megabytes; what we hold is what we count.
  assert.ok(process.memoryUsage().arrayBuffers - before < 24 * 1024 * 1024, 'memory');
  assert.ok(pieces * PIECE.length < 32 * 1024 * 1024, `${pieces} pieces were taken`);
  while (port.failures.length === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(port.failures[0]!.reason, 'write-timeout');
});

test('memory: a stream whose window is not opened is reset after the patience for writing, others go on', async () => {
  await using port = await H2Port.start(new Site(), { timeouts: { writeIdleMs: 60 } });
  await using client = await RawClient.connect(port.port);
  client.send(ACK, settings([SETTING.INITIAL_WINDOW_SIZE, 100]));
  client.headers(1, LARGE_GET);
  await client.until(() => client.of(FRAME.RST_STREAM, 1).length > 0);
  assert.match(await client.answer(1), /RST_STREAM CANCEL$/);
  client.headers(3, GET);
  assert.equal(await client.answer(3), '200 ok');
});

test('memory: a drip of a few bytes does not keep a stream', async () => {
  await using port = await H2Port.start(new Site(), { timeouts: { writeIdleMs: 60 } });
  await using client = await RawClient.connect(port.port);
  client.send(ACK, settings([SETTING.INITIAL_WINDOW_SIZE, 100]));
  client.headers(1, LARGE_GET);
  while (client.of(FRAME.RST_STREAM, 1).length === 0) {
    client.send(frame(FRAME.WINDOW_UPDATE, 0, 1, words(1)));
    await client.settled();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.match(await client.answer(1), /RST_STREAM CANCEL$/);
});

test('memory: a paused body is held up to its window; the others go on; more than the window is an error', async () => {
  let paused = 0;
  let got = 0;
  await using port = await H2Port.start({
    onRequest: (stream) => {
      if (stream.request.path === '/slow') {
        paused++;
        stream.pauseBody();
      }
      return { ...QUIET_EVENTS, onRequestBody: (bytes) => (got += bytes.length) };
    },
    onRefused: () => undefined,
  });
  await using client = await RawClient.connect(port.port);
  client.send(ACK);
  const window = 256 * 1024;
  const slowPost: Fields = [...POST.slice(0, 3), [':path', '/slow']];
  // Four paused streams hold a whole window of the connection.
  for (const id of [1, 3, 5, 7]) {
    client.headers(id, slowPost, 0);
    for (let at = 0; at < window; at += 16_384) client.data(id, Buffer.alloc(16_384));
  }
  await client.settled();
  assert.equal(paused, 4);
  assert.equal(client.of(FRAME.WINDOW_UPDATE).filter((f) => f.streamId > 0).length, 0);
  client.headers(9, POST, 0);
  for (let at = 0; at < window; at += 16_384) client.data(9, Buffer.alloc(16_384));
  await client.settled();
  assert.equal(got, window);
  client.data(1, Buffer.from('x'));
  assert.equal(await client.answer(1), 'RST_STREAM FLOW_CONTROL_ERROR');
  // In all, two windows of the connection: what is held is not given back beyond one.
  const given = client.of(FRAME.WINDOW_UPDATE, 0).reduce((sum, f) => sum + f.payload.readUInt32BE(0), 0);
  assert.ok(given < 1024 * 1024 * 3, `${given} bytes were given`);
});

const PIECE = Buffer.alloc(16 * 1024);

test('memory: HPACK bombs: a list that is far larger than its block costs what is allowed, not what it says', async () => {
  const site = new Site();
  await using port = await H2Port.start(site);
  await using client = await RawClient.connect(port.port);
  client.send(ACK);
  // One field of 4,000 bytes goes into the table, and is named 10,000 times by a byte each.
  const big = Buffer.concat([Buffer.from([0x40, 1, 0x61]), Buffer.from([0x7f, 0xa1, 0x1e]), Buffer.alloc(4_000, 0x62)]);
  client.send(frame(FRAME.HEADERS, 5, 1, Buffer.concat([GET_BLOCK, big])));
  assert.equal(await client.answer(1), '200 ok');
  const before = process.memoryUsage().heapUsed;
  for (let i = 1; i <= 20; i++) {
    client.send(frame(FRAME.HEADERS, 5, idOf(i), Buffer.concat([GET_BLOCK, Buffer.alloc(10_000, 0xbe)])));
    assert.match(await client.answer(idOf(i)), /^400/);
  }
  assert.ok(process.memoryUsage().heapUsed - before < 20 * 1024 * 1024);
  assert.equal(site.requests, 1);
  assert.ok(await client.settled());
});

test('memory: the patience for writing holds for answers that come later, however short, and for tunnels', async () => {
  const gone = Promise.withResolvers<string>();
  await using port = await H2Port.start(
    {
      onRequest: (stream) => ({
        ...QUIET_EVENTS,
        onRequestIdle: () =>
          setTimeout(() => {
            if (stream.request.upgrade !== undefined) {
              const tunnel = stream.switchProtocols({ status: 101, reason: '', headers: new Headers(), bodyLength: 0 });
              tunnel.open({
                onBytes: () => undefined,
                onEnd: () => undefined,
                onFinished: () => gone.resolve('finished'),
                onGone: () => gone.resolve('gone'),
                onWritable: () => undefined,
              });
              tunnel.write(SMALL);
              return;
            }
            stream.sendHead({ status: 200, reason: '', headers: new Headers(), bodyLength: 2 });
            stream.sendBody(SMALL);
            stream.sendEnd(undefined);
          }, 20),
      }),
      onRefused: () => undefined,
    },
    { timeouts: { writeIdleMs: 50 } },
  );
  await using client = await RawClient.connect(port.port);
  client.send(ACK, settings([SETTING.INITIAL_WINDOW_SIZE, 0]));
  client.headers(1, GET);
  assert.equal(await client.answer(1), '200 RST_STREAM CANCEL');
  client.headers(3, [[':method', 'CONNECT'], [':protocol', 'x'], ...GET.slice(1)], 0);
  assert.equal(await client.answer(3), '200 RST_STREAM CANCEL');
  assert.equal(await gone.promise, 'gone');
});

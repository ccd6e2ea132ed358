import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { test } from 'node:test';
import type { ConnectionLimits, ConnectionTimeouts } from '../../base/limits.ts';
import { Headers } from '../headers.ts';
import type { RequestSink, ServerStream } from '../stream.ts';
import { EchoSink } from '../testing/echo-sink.ts';
import { QUIET_EVENTS } from '../testing/quiet-events.ts';
import type { Tunnel } from '../tunnel.ts';
import { FLAG, FRAME, SETTING } from './frame.ts';
import { H2Port } from './testing/h2-port.ts';
import { block, type Fields, frame, settings, words } from './testing/frames.ts';
import { GET, POST, RawClient } from './testing/raw-client.ts';

const ACK = frame(FRAME.SETTINGS, FLAG.ACK, 0);

interface Answer {
  readonly headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader;
  readonly body: string;
}

function ask(session: http2.ClientHttp2Session, headers: http2.OutgoingHttpHeaders, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: body === undefined });
    let head: Answer['headers'];
    const pieces: Buffer[] = [];
    stream.on('response', (got) => (head = got));
    stream.on('data', (bytes: Buffer) => pieces.push(bytes));
    stream.on('error', reject);
    stream.on('end', () => resolve({ headers: head, body: Buffer.concat(pieces).toString() }));
    if (body !== undefined) stream.end(body);
  });
}

test('server-conn: answers the client of Node, many requests at a time', async () => {
  const sink = new EchoSink();
  await using port = await H2Port.start(sink);
  const session = http2.connect(`http://127.0.0.1:${port.port}`);
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, i) => ask(session, { ':path': `/${i}`, ':method': 'POST' }, `body ${i}`)),
  );
  answers.forEach(({ headers, body }, i) => {
    assert.equal(headers[':status'], 200);
    assert.equal(headers['x-path'], `/${i}`);
    assert.equal(body, `body ${i}`);
  });
  const large = 'x'.repeat(3_000_000);
  assert.equal((await ask(session, { ':method': 'POST', ':path': '/large' }, large)).body, large);
  session.close();
  await new Promise((resolve) => session.once('close', resolve));
});

test('server-conn: a small answer leaves in one write, its end in the last frame', async () => {
  await using port = await H2Port.start(new EchoSink());
  await using client = await RawClient.connect(port.port);
  client.headers(1, GET);
  assert.equal(await client.answer(1), '200');
  assert.deepEqual(
    client.of(FRAME.HEADERS, 1).map((f) => f.flags),
    [5],
  );
  assert.equal(client.of(FRAME.DATA).length, 0);
});

/** Answers `status` and `body` at once, whatever the request. */
function answering(more: { status?: number; bodyLength?: number; body?: Buffer; trailers?: Headers }): RequestSink {
  return {
    onRequest: (stream) => {
      const { status = 200, body, bodyLength = body?.length ?? 0, trailers } = more;
      stream.sendHead({ status, reason: '', headers: Headers.of([['a', 'b']]), bodyLength });
      if (body !== undefined) stream.sendBody(body);
      stream.sendEnd(trailers);
      return QUIET_EVENTS;
    },
    onRefused: () => undefined,
  };
}

test('server-conn: an answer before the end of the request: END_STREAM, then RST_STREAM without error', async () => {
  await using port = await H2Port.start(answering({ body: Buffer.from('no') }));
  await using client = await RawClient.connect(port.port);
  client.headers(1, POST, 0);
  await client.until(() => client.of(FRAME.RST_STREAM).length > 0);
  assert.equal(await client.answer(1), '200 no RST_STREAM NO_ERROR');
  // What was under way is not held against the client.
  client.data(1, Buffer.alloc(1_000));
  client.headers(1, [['x', 'y']]);
  assert.ok(await client.settled());
});

const FRAMING_ROWS: [
  rule: string,
  method: string,
  answer: Parameters<typeof answering>[0],
  want: [string, string][],
][] = [
  ['a known length', 'GET', { body: Buffer.from('hello') }, [['content-length', '5']]],
  ['no known length', 'GET', { body: Buffer.from('hello'), bodyLength: -1 }, []],
  ['HEAD', 'HEAD', { bodyLength: 9 }, [['content-length', '9']]],
  ['204', 'GET', { status: 204 }, []],
  ['304', 'GET', { status: 304, bodyLength: 9 }, [['content-length', '9']]],
];

for (const [rule, method, answer, want] of FRAMING_ROWS) {
  test(`server-conn: framing of an answer: ${rule}`, async () => {
    await using port = await H2Port.start(answering(answer));
    const session = http2.connect(`http://127.0.0.1:${port.port}`);
    const { headers } = await ask(session, { ':path': '/', ':method': method });
    const got = Object.entries(headers).filter(([name]) => name === 'content-length');
    assert.deepEqual(got, want);
    session.destroy();
  });
}

test('server-conn: an answer that is longer or shorter than it said is cut', async () => {
  for (const bodyLength of [3, 9]) {
    await using port = await H2Port.start(answering({ body: Buffer.from('hello'), bodyLength }));
    await using client = await RawClient.connect(port.port);
    client.headers(1, GET);
    await client.until(() => client.of(FRAME.RST_STREAM).length > 0);
    assert.match(await client.answer(1), /^200 .*RST_STREAM INTERNAL_ERROR$/);
  }
});

test('server-conn: trailers go both ways', async () => {
  const sink = new EchoSink();
  await using port = await H2Port.start(sink);
  await using client = await RawClient.connect(port.port);
  client.headers(1, POST, 0);
  client.data(1, Buffer.from('body'));
  client.headers(1, [['x-sum', '1']]);
  assert.equal(await client.answer(1), '200 body');
  assert.ok(sink.events.includes('body body +x-sum: 1\r\n'), sink.events.join());
  await using other = await H2Port.start(
    answering({ body: Buffer.from('x'), bodyLength: -1, trailers: Headers.of([['grpc-status', '0']]) }),
  );
  const session = http2.connect(`http://127.0.0.1:${other.port}`);
  const stream = session.request({ ':path': '/' });
  const [trailers] = (await once(stream.resume(), 'trailers')) as [http2.IncomingHttpHeaders];
  assert.equal(trailers['grpc-status'], '0');
  session.destroy();
});

test('server-conn: cookie crumbs are one field', async () => {
  let cookie: string | undefined;
  const sink = answering({});
  await using port = await H2Port.start({
    ...sink,
    onRequest: (stream) => {
      cookie = stream.request.headers.get('cookie');
      return sink.onRequest(stream);
    },
  });
  await using client = await RawClient.connect(port.port);
  client.headers(1, [...GET, ['cookie', 'a=1'], ['x', 'y'], ['cookie', 'b=2']]);
  await client.answer(1);
  assert.equal(cookie, 'a=1; b=2');
});

test('server-conn: 100-continue and other 1xx answers, then the answer', async () => {
  await using port = await H2Port.start({
    onRequest: (stream) => {
      stream.sendContinue();
      stream.sendContinue();
      stream.sendInformational({ status: 103, reason: '', headers: Headers.of([['link', '</a>']]), bodyLength: 0 });
      return {
        ...QUIET_EVENTS,
        onRequestEnd: () => {
          stream.sendHead({ status: 200, reason: '', headers: new Headers(), bodyLength: 0 });
          stream.sendEnd(undefined);
        },
      };
    },
    onRefused: () => undefined,
  });
  const session = http2.connect(`http://127.0.0.1:${port.port}`);
  const stream = session.request({ ':path': '/', ':method': 'PUT', expect: '100-continue' }, { endStream: false });
  const seen: number[] = [];
  stream.on('headers', (head) => seen.push(head[':status']!));
  stream.on('response', (head) => seen.push(head[':status']!));
  await once(stream, 'continue');
  stream.end('body');
  await once(stream.resume(), 'end');
  assert.deepEqual(seen, [100, 103, 200]);
  session.destroy();
});

const LIMIT_ROWS: [rule: string, fields: Fields, limits: Partial<ConnectionLimits>, want: string][] = [
  ['a header list that is too large', [...GET, ['a', 'x'.repeat(2_000)]], { headerBytesMax: 1_000 }, '431'],
  ['too many fields', [...GET, ['a', '1'], ['b', '2'], ['c', '3']], { headersMax: 2 }, '431'],
  [
    'a path that is too long',
    [...GET.slice(0, 3), [':path', `/${'x'.repeat(200)}`]],
    { requestLineBytesMax: 100 },
    '414',
  ],
  ['a length beyond the bound', [...POST, ['content-length', '11']], { bodyBytesMax: 10 }, '413'],
];

for (const [rule, fields, limits, want] of LIMIT_ROWS) {
  test(`server-conn: ${rule}: ${want}, and the connection goes on`, async () => {
    await using port = await H2Port.start(new EchoSink(), { limits });
    await using client = await RawClient.connect(port.port);
    client.headers(1, fields, want === '413' ? 0 : 1);
    assert.match(await client.answer(1), new RegExp(`^${want}`));
    client.headers(3, GET);
    assert.equal(await client.answer(3), '200');
  });
}

test('server-conn: a body beyond the bound that did not say its length: 413', async () => {
  await using port = await H2Port.start(new EchoSink(), { limits: { bodyBytesMax: 10 } });
  await using client = await RawClient.connect(port.port);
  client.headers(1, POST, 0);
  client.data(1, Buffer.alloc(11));
  assert.match(await client.answer(1), /^413/);
});

test('server-conn: one stream too many is refused, to be sent again', async () => {
  await using port = await H2Port.start(
    { onRequest: () => QUIET_EVENTS, onRefused: () => undefined },
    { limits: { streamsMax: 2 } },
  );
  await using client = await RawClient.connect(port.port);
  for (const id of [1, 3, 5]) client.headers(id, GET);
  assert.equal(await client.answer(5), 'RST_STREAM REFUSED_STREAM');
  assert.ok(await client.settled());
  assert.equal(client.of(FRAME.RST_STREAM).length, 1);
});

test('server-conn: a body that stops arriving ends in 408', async () => {
  await using port = await H2Port.start(new EchoSink(), { timeouts: { bodyIdleMs: 50 } });
  await using client = await RawClient.connect(port.port);
  client.headers(1, POST, 0);
  assert.match(await client.answer(1), /^408/);
});

const TIMEOUT_ROWS: [rule: string, timeouts: Partial<ConnectionTimeouts>, wire: Buffer[], want: string][] = [
  ['settings that are not acknowledged', { headMs: 50 }, [], 'GOAWAY SETTINGS_TIMEOUT'],
  [
    'a block that is not completed',
    { headMs: 50 },
    [ACK, frame(FRAME.HEADERS, 1, 1, block(GET))],
    'GOAWAY ENHANCE_YOUR_CALM',
  ],
  [
    'a frame that is not completed',
    { headMs: 50 },
    [ACK, frame(FRAME.HEADERS, 5, 1, block(GET)).subarray(0, 20)],
    'GOAWAY ENHANCE_YOUR_CALM',
  ],
  ['no request', { keepAliveMs: 50 }, [ACK], 'GOAWAY NO_ERROR'],
];

for (const [rule, timeouts, wire, want] of TIMEOUT_ROWS) {
  test(`server-conn: timeout: ${rule}: ${want}`, async () => {
    await using port = await H2Port.start(new EchoSink(), { timeouts });
    await using client = await RawClient.connect(port.port);
    client.send(...wire);
    assert.equal(await client.ending(), want);
  });
}

test('server-conn: a silent client with requests open is asked whether it is there, and lost when it is not', async () => {
  const gone = Promise.withResolvers<void>();
  await using port = await H2Port.start(
    { onRequest: () => ({ ...QUIET_EVENTS, onClientGone: () => gone.resolve() }), onRefused: () => undefined },
    { timeouts: { pingMs: 60, headMs: 60 } },
  );
  await using client = await RawClient.connect(port.port);
  client.send(ACK);
  client.headers(1, GET);
  await client.until(() => client.of(FRAME.PING).length > 0);
  client.send(frame(FRAME.PING, FLAG.ACK, 0, client.of(FRAME.PING)[0]!.payload));
  await client.until(() => client.of(FRAME.PING).length > 1);
  assert.equal(client.closed, false);
  await gone.promise;
  assert.equal(await client.ending(), 'closed');
  assert.equal(port.failures[0]?.reason, 'ping-timeout');
});

test('server-conn: a drain loses no request: GOAWAY, a round trip, the last id, the answers, the end', async () => {
  const streams: ServerStream[] = [];
  await using port = await H2Port.start({
    onRequest: (stream) => {
      streams.push(stream);
      return QUIET_EVENTS;
    },
    onRefused: () => undefined,
  });
  await using client = await RawClient.connect(port.port);
  client.headers(1, GET);
  await client.settled();
  port.conns[0]!.drain();
  await client.until(() => client.of(FRAME.GOAWAY).length > 0);
  // Was under way when the client heard of it.
  client.headers(3, GET);
  const ping = client.of(FRAME.PING).at(-1)!;
  client.send(frame(FRAME.PING, FLAG.ACK, 0, ping.payload));
  await client.until(() => client.of(FRAME.GOAWAY).length > 1);
  client.headers(5, GET);
  await client.settled();
  assert.equal(streams.length, 2);
  for (const stream of streams) {
    stream.sendHead({ status: 200, reason: '', headers: new Headers(), bodyLength: 0 });
    stream.sendEnd(undefined);
  }
  assert.deepEqual([await client.answer(1), await client.answer(3)], ['200', '200']);
  assert.equal(await client.ending(), 'GOAWAY NO_ERROR');
  const lastIds = client.of(FRAME.GOAWAY).map((f) => f.payload.readUInt32BE(0));
  assert.deepEqual(lastIds, [0x7fffffff, 3]);
});

test('server-conn: after its last request a connection ends in the same way', async () => {
  await using port = await H2Port.start(new EchoSink(), { limits: { requestsPerConnectionMax: 2 } });
  const session = http2.connect(`http://127.0.0.1:${port.port}`);
  const closed = once(session, 'close');
  const [one, two] = await Promise.all([ask(session, { ':path': '/1' }), ask(session, { ':path': '/2' })]);
  assert.deepEqual([one.headers[':status'], two.headers[':status']], [200, 200]);
  await closed;
});

test('server-conn: extended CONNECT is a request to switch, and its stream a tunnel both ways', async () => {
  const side: string[] = [];
  let tunnel: Tunnel;
  let asked: string | undefined;
  await using port = await H2Port.start({
    onRequest: (stream) => ({
      ...QUIET_EVENTS,
      onRequestEnd: () => {
        asked = `${stream.request.method} ${stream.request.path} ${stream.request.upgrade}`;
        tunnel = stream.switchProtocols({
          status: 101,
          reason: '',
          headers: Headers.of([
            ['upgrade', 'websocket'],
            ['sec-websocket-accept', 'x'],
            ['a', 'b'],
          ]),
          bodyLength: 0,
        });
        tunnel.open({
          onBytes: (bytes) => {
            side.push(bytes.toString());
            tunnel.write(Buffer.from(`re: ${bytes.toString()}`));
          },
          onEnd: () => {
            side.push('end');
            tunnel.end();
          },
          onFinished: () => side.push('finished'),
          onGone: () => side.push('gone'),
          onWritable: () => undefined,
        });
      },
    }),
    onRefused: () => undefined,
  });
  const session = http2.connect(`http://127.0.0.1:${port.port}`);
  await once(session, 'remoteSettings');
  const stream = session.request({
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':path': '/chat',
    'sec-websocket-version': '13',
  });
  const [head] = (await once(stream, 'response')) as [Answer['headers']];
  assert.deepEqual([head[':status'], head['a'], head['upgrade']], [200, 'b', undefined]);
  stream.write('hello');
  const [reply] = (await once(stream, 'data')) as [Buffer];
  assert.equal(reply.toString(), 're: hello');
  stream.end();
  await once(stream, 'end');
  assert.equal(asked, 'GET /chat websocket');
  assert.deepEqual(side, ['hello', 'end', 'finished']);
  session.destroy();
});

test('server-conn: a long answer does not hold up a short one when there is room for some of both', async () => {
  const large = Buffer.alloc(1024 * 1024, 'x');
  await using port = await H2Port.start({
    onRequest: (stream) => {
      const body = stream.request.path === '/large' ? large : Buffer.from('short');
      stream.sendHead({ status: 200, reason: '', headers: new Headers(), bodyLength: body.length });
      stream.sendBody(body);
      stream.sendEnd(undefined);
      return QUIET_EVENTS;
    },
    onRefused: () => undefined,
  });
  await using client = await RawClient.connect(port.port);
  client.send(ACK, settings([SETTING.INITIAL_WINDOW_SIZE, 0x7fffffff]));
  client.headers(1, [...GET.slice(0, 3), [':path', '/large']]);
  const received = (): number => client.of(FRAME.DATA, 1).reduce((sum, f) => sum + f.payload.length, 0);
  await client.until(() => received() === 65_535);
  client.headers(3, GET);
  await client.settled();
  client.send(frame(FRAME.WINDOW_UPDATE, 0, 0, words(40_000)));
  assert.equal(await client.answer(3), '200 short');
  assert.ok(received() <= 65_535 + 40_000);
  client.send(frame(FRAME.WINDOW_UPDATE, 0, 0, words(large.length)));
  assert.equal((await client.answer(1)).length, '200 '.length + large.length);
});

test('server-conn: a smaller window holds for streams that are open, and may become negative', async () => {
  await using port = await H2Port.start(answering({ body: Buffer.alloc(3_000, 'x') }));
  await using client = await RawClient.connect(port.port);
  const received = (): number => client.of(FRAME.DATA, 1).reduce((sum, f) => sum + f.payload.length, 0);
  client.send(ACK, settings([SETTING.INITIAL_WINDOW_SIZE, 1_000]));
  client.headers(1, GET);
  await client.until(() => received() === 1_000);
  client.send(settings([SETTING.INITIAL_WINDOW_SIZE, 100]), frame(FRAME.WINDOW_UPDATE, 0, 1, words(900)));
  await client.settled();
  assert.equal(received(), 1_000);
  client.send(frame(FRAME.WINDOW_UPDATE, 0, 1, words(1)));
  await client.until(() => received() === 1_001);
  client.send(settings([SETTING.INITIAL_WINDOW_SIZE, 10_000]));
  assert.equal(await client.answer(1), `200 ${'x'.repeat(3_000)}`);
});

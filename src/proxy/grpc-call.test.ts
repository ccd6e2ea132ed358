/** Calls of gRPC and gRPC-Web through a real proxy. Over HTTP/1.1 on both sides: the exchange does not know the wire. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type http from 'node:http';
import http2 from 'node:http2';
import { test } from 'node:test';
import { answerFor, Fault, FAULT_CODES } from '../base/fault.ts';
import { cors } from '../filters/cors/config.ts';
import type { ServerStream } from '../http/stream.ts';
import type { PlanRule } from '../ir/plan.ts';
import { GrpcCall } from './grpc-call.ts';
import { type Ask, call, message } from './testing/grpc-client.ts';
import { clusterTo, Harness, LISTENER, routeOf, ruleTo, Upstream } from './testing/node-harness.ts';

const GRPC = { requestMessageBytesMax: 0, answerMessageBytesMax: 0, services: ['shop.Cart'] };
const RULE = ruleTo({ name: 'GRPCRoute/d/r/0', grpc: GRPC });

/** Answers with what was sent, and trailers. */
const echo: http.RequestListener = (asked, answer) => {
  answer.writeHead(200, { 'content-type': 'application/grpc+proto', trailer: 'grpc-status' });
  asked.on('data', (bytes: Buffer) => answer.write(bytes));
  asked.on('end', () => {
    answer.addTrailers({ 'grpc-status': '0', 'x-trailer': 'yes' });
    answer.end();
  });
};

async function started(upstream: Upstream | undefined, rule: PlanRule = RULE): Promise<Harness> {
  const proxy = new Harness([cors]);
  const settings = { ...LISTENER.settings, httpVersions: ['h2', 'http/1.1'] } as const;
  await proxy.start({
    listeners: { l: { ...LISTENER, settings } },
    routes: { r: routeOf(rule) },
    clusters: { c: clusterTo(upstream === undefined ? [] : [upstream.port]) },
  });
  return proxy;
}

test('grpc: a call passes with its trailers, and log and metrics know its status', async () => {
  await using upstream = await Upstream.start(echo);
  await using proxy = await started(upstream);
  const got = await call(proxy.port);
  assert.equal(got.body.toString('latin1'), message('hi').toString('latin1'));
  assert.equal(got.trailers['grpc-status'], '0');
  assert.equal(got.trailers['x-trailer'], 'yes');
  assert.equal(proxy.lines()[0]!['rpc_grpc_status_code'], 0);
});

/** What an upstream answers, and what the client of a call gets. */
const ANSWERS: readonly (readonly [rule: string, answer: http.RequestListener, grpc: string, message: RegExp])[] = [
  ['503 in HTML is UNAVAILABLE', (_, a) => a.writeHead(503, { 'content-type': 'text/html' }).end('<p>'), '14', /503/],
  ['401 is UNAUTHENTICATED', (_, a) => a.writeHead(401).end(), '16', /401/],
  ['404 is UNIMPLEMENTED', (_, a) => a.writeHead(404).end('none'), '12', /404/],
  ['200 in JSON is UNKNOWN', (_, a) => a.writeHead(200, { 'content-type': 'application/json' }).end('{}'), '2', /200/],
  ['a lost connection is UNAVAILABLE', (asked) => asked.socket.destroy(), '14', /closed/],
  [
    'a status in the head stays',
    (_, a) =>
      a.writeHead(200, { 'content-type': 'application/grpc', 'grpc-status': '5', 'grpc-message': 'no%20cart' }).end(),
    '5',
    /^no%20cart$/,
  ],
];
for (const [rule, answer, grpc, text] of ANSWERS) {
  test(`grpc: ${rule}`, async () => {
    await using upstream = await Upstream.start(answer);
    await using proxy = await started(upstream);
    const got = await call(proxy.port);
    assert.equal(got.status, 200);
    assert.equal(got.headers['content-type'], 'application/grpc');
    assert.equal(got.headers['grpc-status'], grpc);
    assert.match(got.headers['grpc-message'] as string, text);
    assert.equal(got.body.length, 0);
    assert.equal(proxy.lines()[0]!['rpc_grpc_status_code'], Number(grpc));
  });
}

/** Requests that get an answer of ours. */
type Refusal = readonly [rule: string, ask: Ask, more: Partial<PlanRule>, grpc: string, code: RegExp];

const REFUSED: readonly Refusal[] = [
  ['no backend', {}, { backends: [] }, '14', /route\.backend-invalid/],
  ['a timeout that is none', { headers: { 'grpc-timeout': '1.5S' } }, {}, '13', /request\.malformed/],
  ...['', '1', 'S', '-1S', '+1S', '1s', '1 S', '0x1S', '100000000S', '1S, 2S', '1S1m', '1e3S', '\u00b9S'].map(
    (timeout): Refusal => [
      `the timeout "${timeout}"`,
      { headers: { 'grpc-timeout': timeout } },
      {},
      '13',
      /request\.malformed/,
    ],
  ),
  ['two timeouts', { headers: { 'grpc-timeout': ['1S', '99999999H'] } }, {}, '13', /request\.malformed/],
  [
    'a message that is too long',
    { body: message('x'.repeat(11)) },
    { grpc: { ...GRPC, requestMessageBytesMax: 10 } },
    '8',
    /too-large/,
  ],
  ['a flag that is none', { body: message('x', 2) }, {}, '13', /grpc\.malformed/],
];
for (const [rule, ask, more, grpc, code] of REFUSED) {
  test(`grpc: ${rule} is refused with a status`, async () => {
    await using upstream = await Upstream.start((asked) => void asked.resume());
    await using proxy = await started(upstream, { ...RULE, ...more });
    const got = await call(proxy.port, ask);
    assert.equal(got.status, 200);
    assert.equal(got.headers['grpc-status'], grpc);
    assert.match(got.headers['grpc-message'] as string, code);
    assert.match(got.headers['x-request-id'] as string, /^[0-9a-f]{32}$/);
  });
}

test('grpc: faults have the form of gRPC on HTTPRoutes, too, and where there is no route', async () => {
  await using proxy = await started(undefined, ruleTo());
  assert.equal((await call(proxy.port)).grpc, '14');
  await proxy.change({}, { routes: ['r'] });
  const got = await call(proxy.port);
  assert.equal(got.grpc, '12');
  assert.match(got.headers['grpc-message'] as string, /route\.none/);
});

test('grpc: a rule of a GRPCRoute takes nothing but gRPC', async () => {
  await using upstream = await Upstream.start(echo);
  await using proxy = await started(upstream);
  const got = await call(proxy.port, { headers: { 'content-type': 'application/json' } });
  assert.equal(got.status, 415);
  assert.equal(got.headers['content-type'], 'application/problem+json');
});

test('grpc: the deadline of the client ends the call, and the upstream knows what is left', async () => {
  let told = '';
  let gone: Promise<unknown> | undefined;
  await using upstream = await Upstream.start((asked, answer) => {
    told = asked.headers['grpc-timeout'] as string;
    gone = once(answer, 'close');
  });
  await using proxy = await started(upstream, { ...RULE, timeouts: { requestMs: 10_000 } });
  const got = await call(proxy.port, { headers: { 'grpc-timeout': '150m' } });
  assert.equal(got.grpc, '4');
  const leftMs = Number(/^(\d+)u$/.exec(told)![1]) / 1_000;
  assert.ok(leftMs > 50 && leftMs <= 150, `${leftMs} ms were left`);
  await gone;
});

test('grpc: the timeout of the rule holds where the client allows more', async () => {
  await using upstream = await Upstream.start(() => undefined);
  await using proxy = await started(upstream, { ...RULE, timeouts: { requestMs: 50 } });
  assert.equal((await call(proxy.port, { headers: { 'grpc-timeout': '1H' } })).grpc, '4');
});

test('grpc: statuses that a policy names are tried again, others are not', async () => {
  let asked = 0;
  let status = '14';
  await using upstream = await Upstream.start((request, answer) => {
    if (++asked % 3 === 0) return echo(request, answer);
    request.resume();
    answer.writeHead(200, { 'content-type': 'application/grpc', 'grpc-status': status }).end();
  });
  const retry = { attempts: 2, backoffMs: 1, codes: [], grpcCodes: [14] };
  await using proxy = await started(upstream, { ...RULE, retry });
  const got = await call(proxy.port);
  assert.equal(got.grpc, '0');
  assert.equal(got.body.toString('latin1'), message('hi').toString('latin1'));
  assert.equal(asked, 3);
  status = '5';
  assert.equal((await call(proxy.port)).grpc, '5');
  assert.equal(asked, 4);
});

test('grpc: an answer that is too long ends between two messages', async () => {
  await using upstream = await Upstream.start((asked, answer) => {
    asked.resume();
    answer.writeHead(200, { 'content-type': 'application/grpc' });
    answer.write(Buffer.concat([message('ok'), message('x'.repeat(100))]));
  });
  await using proxy = await started(upstream, { ...RULE, grpc: { ...GRPC, answerMessageBytesMax: 10 } });
  const got = await call(proxy.port);
  assert.equal(got.body.toString('latin1'), message('ok').toString('latin1'));
  assert.equal(got.trailers['grpc-status'], '8');
  assert.equal(got.cut, false);
});

test('grpc: an upstream that dies between two messages ends the call with a status', async () => {
  await using upstream = await Upstream.start((asked, answer) => {
    asked.resume();
    answer.writeHead(200, { 'content-type': 'application/grpc' });
    answer.write(message('one'), () => asked.socket.destroy());
  });
  await using proxy = await started(upstream);
  const got = await call(proxy.port);
  assert.equal(got.body.toString('latin1'), message('one').toString('latin1'));
  assert.equal(got.trailers['grpc-status'], '14');
});

test('grpc: an upstream that dies inside a message cuts the call', async () => {
  await using upstream = await Upstream.start((asked, answer) => {
    asked.resume();
    answer.writeHead(200, { 'content-type': 'application/grpc' });
    answer.write(message('one').subarray(0, 6), () => asked.socket.destroy());
  });
  await using proxy = await started(upstream);
  const got = await call(proxy.port);
  assert.equal(got.cut, true);
  assert.equal(got.trailers['grpc-status'], undefined);
  assert.equal(proxy.lines()[0]!['rpc_grpc_status_code'], 14);
});

// --- gRPC-Web --------------------------------------------------------------------------------------------------------

/** Messages and trailers of a body in gRPC-Web. */
function webBody(body: Buffer): { messages: string[]; trailers: string } {
  const messages: string[] = [];
  let trailers = '';
  for (let at = 0; at < body.length;) {
    const length = body.readUInt32BE(at + 1);
    const text = body.toString('latin1', at + 5, at + 5 + length);
    if (body[at] === 0x80) trailers += text;
    else messages.push(text);
    at += 5 + length;
  }
  return { messages, trailers };
}

/** Pieces of base64, each with its own padding. */
function decodeText(body: Buffer): Buffer {
  return Buffer.concat((body.toString('latin1').match(/[^=]+=*/g) ?? []).map((piece) => Buffer.from(piece, 'base64')));
}

test('grpc-web: binary is translated', async () => {
  let seen: http.IncomingHttpHeaders = {};
  await using upstream = await Upstream.start((asked, answer) => {
    seen = asked.headers;
    echo(asked, answer);
  });
  await using proxy = await started(upstream);
  const got = await call(proxy.port, {
    headers: {
      'content-type': 'application/grpc-web+proto',
      'x-grpc-web': '1',
      'x-user-agent': 'grpc-web/1',
      accept: 'x/y',
    },
  });
  assert.equal(got.headers['content-type'], 'application/grpc-web+proto');
  assert.deepEqual(webBody(got.body), { messages: ['hi'], trailers: 'grpc-status: 0\r\nx-trailer: yes\r\n' });
  assert.equal(seen['content-type'], 'application/grpc+proto');
  assert.equal(seen['user-agent'], 'grpc-web/1');
  for (const name of ['x-grpc-web', 'x-user-agent', 'accept']) assert.equal(seen[name], undefined, name);
});

test('grpc-web: text is translated, whatever the pieces and their padding', async () => {
  await using upstream = await Upstream.start(echo);
  await using proxy = await started(upstream);
  const text = `${message('a').toString('base64')}${message('bcd').toString('base64')}`;
  const pieces = [text.slice(0, 3), text.slice(3, 9), text.slice(9)].map((piece) => Buffer.from(piece));
  const got = await call(proxy.port, { headers: { 'content-type': 'application/grpc-web-text' }, body: pieces });
  assert.match(got.headers['content-type']!, /^application\/grpc-web-text/);
  assert.deepEqual(webBody(decodeText(got.body)).messages, ['a', 'bcd']);
  assert.match(webBody(decodeText(got.body)).trailers, /grpc-status: 0/);
});

const WEB_FAULTS: readonly (readonly [rule: string, answer: http.RequestListener, body: Buffer, trailers: RegExp])[] = [
  [
    'a status in the head',
    (_, a) => a.writeHead(200, { 'content-type': 'application/grpc', 'grpc-status': '7', 'grpc-message': 'no' }).end(),
    Buffer.from(message('a').toString('base64')),
    /^grpc-status: 7\r\ngrpc-message: no\r\n$/,
  ],
  [
    'an answer in HTML',
    (_, a) => a.writeHead(503, { 'content-type': 'text/html' }).end('<p>'),
    Buffer.from(message('a').toString('base64')),
    /^grpc-status: 14\r\n/,
  ],
  ['a body that is not base64', (asked) => void asked.resume(), Buffer.from('!!!!'), /^grpc-status: 13\r\n/],
  ['a body that is cut off', (asked) => void asked.resume(), Buffer.from('AAAAA'), /^grpc-status: 13\r\n/],
];
for (const [rule, answer, body, trailers] of WEB_FAULTS) {
  for (const type of ['application/grpc-web', 'application/grpc-web-text']) {
    if (type === 'application/grpc-web' && /base64|cut/.test(rule)) continue;
    test(`grpc-web: ${rule} is the frame of trailers, in ${type}`, async () => {
      await using upstream = await Upstream.start(answer);
      await using proxy = await started(upstream);
      const asked = type.endsWith('text') ? body : message('a');
      const got = await call(proxy.port, { headers: { 'content-type': type }, body: asked });
      assert.equal(got.status, 200);
      assert.equal(got.headers['content-type'], type);
      const whole = webBody(type.endsWith('text') ? decodeText(got.body) : got.body);
      assert.match(whole.trailers, trailers);
      assert.deepEqual(whole.messages, []);
    });
  }
}

test('grpc-web: an HTTPRoute passes it on as it is, and its own faults have the form of gRPC-Web', async () => {
  await using upstream = await Upstream.start((asked, answer) => {
    answer.writeHead(200, { 'content-type': asked.headers['content-type'] });
    asked.pipe(answer);
  });
  await using proxy = await started(upstream, ruleTo());
  const headers = { 'content-type': 'application/grpc-web-text' };
  const got = await call(proxy.port, { headers, body: Buffer.from('anything') });
  assert.equal(got.headers['content-type'], 'application/grpc-web-text');
  assert.equal(got.body.toString(), 'anything');
  await proxy.change({}, { routes: ['r'] });
  assert.match(webBody(decodeText((await call(proxy.port, { headers })).body)).trailers, /^grpc-status: 12\r\n/);
});

test('grpc-web: a preflight finds the rule, and its answer the filter', async () => {
  await using upstream = await Upstream.start(echo);
  const config = {
    allowOrigins: ['https://app.test'],
    allowCredentials: false,
    allowMethods: ['POST'],
    allowHeaders: ['content-type', 'x-grpc-web'],
    exposeHeaders: ['grpc-status', 'grpc-message'],
    maxAge: 5,
  };
  await using proxy = await started(upstream, { ...RULE, filters: [{ filter: 'cors', config, owner: 'Policy d/p' }] });
  const preflight = await call(proxy.port, {
    method: 'OPTIONS',
    headers: { 'content-type': 'x', origin: 'https://app.test', 'access-control-request-method': 'POST' },
  });
  assert.equal(preflight.headers['access-control-allow-origin'], 'https://app.test');
  const got = await call(proxy.port, {
    headers: { 'content-type': 'application/grpc-web', origin: 'https://app.test' },
  });
  assert.equal(got.headers['access-control-allow-origin'], 'https://app.test');
  assert.match(got.headers['access-control-expose-headers']!, /grpc-status/);
  assert.deepEqual(webBody(got.body).messages, ['hi']);
});

/** A call over HTTP/2 with a client of Node's own: body, trailers, and whether the stream was reset. */
async function callH2(port: number, type: string, body: Buffer): Promise<{ body: Buffer; grpc: string; code: number }> {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/shop.Cart/Add',
    'content-type': type,
    te: 'trailers',
  });
  const pieces: Buffer[] = [];
  let grpc = '';
  const say = (headers: http2.IncomingHttpHeaders): void => void (grpc += String(headers['grpc-status'] ?? ''));
  stream.on('response', say);
  stream.on('trailers', say);
  stream.on('error', () => undefined);
  stream.on('data', (bytes: Buffer) => pieces.push(bytes));
  stream.end(body);
  // Not `once`: a stream that is reset says so by an error first.
  await new Promise<void>((resolve) => stream.on('close', resolve));
  session.close();
  return { body: Buffer.concat(pieces), grpc, code: stream.rstCode };
}

test('grpc over HTTP/2: calls, gRPC-Web in both forms, faults, and a call that is cut', async () => {
  const asked: http.IncomingHttpHeaders[] = [];
  await using upstream = await Upstream.start((request, answer) => {
    asked.push(request.headers);
    if (asked.length < 4) return echo(request, answer);
    request.resume();
    answer.writeHead(200, { 'content-type': 'application/grpc' });
    answer.write(message('one').subarray(0, 6), () => request.socket.destroy());
  });
  await using proxy = await started(upstream);
  const plain = await callH2(proxy.port, 'application/grpc', message('hi'));
  assert.deepEqual([plain.body.toString('latin1'), plain.grpc, plain.code], [message('hi').toString('latin1'), '0', 0]);
  const binary = await callH2(proxy.port, 'application/grpc-web', message('hi'));
  assert.deepEqual(webBody(binary.body), { messages: ['hi'], trailers: 'grpc-status: 0\r\nx-trailer: yes\r\n' });
  const text = await callH2(proxy.port, 'application/grpc-web-text', Buffer.from(message('hi').toString('base64')));
  assert.deepEqual(webBody(decodeText(text.body)).messages, ['hi']);
  assert.deepEqual([binary.grpc, text.grpc], ['', ''], 'trailers of gRPC-Web are in the body alone');

  const cut = await callH2(proxy.port, 'application/grpc', message('hi'));
  assert.notEqual(cut.code, 0, 'half a message never looks whole');
  assert.equal(cut.grpc, '');
  const bad = await callH2(proxy.port, 'application/grpc', message('hi', 9));
  assert.equal(bad.grpc, '13');
});

test('grpc: every fault of ours is an answer that is over with its head, with a status of gRPC and no more than its title', () => {
  for (const code of FAULT_CODES) {
    const grpcCall = new GrpcCall({} as ServerStream, 'grpc');
    const { head, body } = grpcCall.faultAnswer(new Fault(code, '10.0.0.1 said no'), 'id-1');
    const { grpc, title } = answerFor(code);
    assert.ok(grpc >= 1 && grpc <= 16, `${code}: ${grpc}`);
    assert.deepEqual([head.status, head.bodyLength, body.length], [200, 0, 0], code);
    assert.equal(head.headers.get('content-type'), 'application/grpc');
    assert.equal(head.headers.get('grpc-status'), String(grpc), code);
    assert.equal(decodeURIComponent(head.headers.get('grpc-message')!), `${title} (${code})`);
    assert.equal(head.headers.get('x-request-id'), 'id-1');
  }
});

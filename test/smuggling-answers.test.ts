/**
 * Nothing is smuggled in answers: what a hostile backend says, by either wire, either is an answer that both kinds of
 * clients read as the same, or is a failure of the backend. Clients are strict: bytes over HTTP/1.1 (client/message.ts),
 * Node over HTTP/2. An answer that would reach into the next one is found by the next request, whose answer is known.
 */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { after, before, test } from 'node:test';
import type { Harness } from '../src/proxy/testing/node-harness.ts';
import { readResponse } from './client/message.ts';
import { ok, type Origin, startOrigin } from './client/origin.ts';
import { proxyTo, type WireName, WIRES } from './client/pairing.ts';
import { RawClient } from './client/raw-client.ts';
import { data, END_STREAM, type Fields, FRAME, frame, headers, RawH2Upstream } from './client/raw-h2.ts';
import { pairsOf } from './client/recorder.ts';

/** `STATUS name: value … | body | + trailer: value`, without what the proxy adds; `CODE cut` for one that broke off, `closed` behind it. */
type Want = string | Readonly<Record<WireName, string>>;

const SPLIT = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother';
const BAD = '502 upstream.malformed';

function plain(...lines: readonly string[]): string {
  return ['HTTP/1.1 200 OK', ...lines, '', ''].join('\r\n');
}

const H1_ROWS: readonly (readonly [what: string, answer: string, want: Want, method?: string])[] = [
  ['an answer', `${plain('Content-Length: 2', 'X: 1')}hi`, '200 x: 1 | hi'],
  ['a second answer behind', `${plain('Content-Length: 2')}hi${SPLIT}`, '200 | hi'],
  ['a status of 099', 'HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n', BAD],
  ['a status of 1000', 'HTTP/1.1 1000 No\r\nContent-Length: 0\r\n\r\n', BAD],
  ['a status of 600', 'HTTP/1.1 600 No\r\nContent-Length: 0\r\n\r\n', BAD],
  ['a status with a sign', 'HTTP/1.1 +200 OK\r\nContent-Length: 0\r\n\r\n', BAD],
  ['a version of HTTP/2', 'HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n', BAD],
  [
    'a switch that nobody asked for',
    'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n',
    BAD,
  ],
  ['a name with a space', `${plain('x y: 1', 'Content-Length: 0')}`, BAD],
  ['a name of HTTP/2', `${plain(':status: 500', 'Content-Length: 0')}`, BAD],
  ['a value with CR', `${plain('x: 1\r2', 'Content-Length: 0')}`, BAD],
  ['a value with NUL', `${plain('x: 1\x002', 'Content-Length: 0')}`, BAD],
  ['a reason with CR', 'HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n', BAD],
  ['two lengths', `${plain('Content-Length: 2', 'Content-Length: 3')}hi!`, BAD],
  ['a list of lengths', `${plain('Content-Length: 2, 2')}hi`, BAD],
  ['a length with a sign', `${plain('Content-Length: +2')}hi`, BAD],
  ['a length of 2^63', `${plain('Content-Length: 9223372036854775808')}hi`, BAD],
  ['a length and chunks', `${plain('Content-Length: 2', 'Transfer-Encoding: chunked')}0\r\n\r\n`, BAD],
  ['a coding that is unknown', `${plain('Transfer-Encoding: gzip, chunked')}0\r\n\r\n`, BAD],
  ['a chunk that is longer than it says', `${plain('Transfer-Encoding: chunked')}1\r\nhi\r\n0\r\n\r\n`, '200 cut'],
  ['a trailer', `${plain('Transfer-Encoding: chunked')}2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n`, '200 | hi | + x-sum: 1'],
  [
    'a length as a trailer',
    `${plain('Transfer-Encoding: chunked')}2\r\nhi\r\n0\r\nContent-Length: 9\r\n\r\n`,
    '200 cut',
  ],
  ['a body on 204', `HTTP/1.1 204 No\r\nContent-Length: ${SPLIT.length}\r\n\r\n${SPLIT}`, '204'],
  ['chunks on 204', `HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n`, '204'],
  ['a body on 304', `HTTP/1.1 304 No\r\nContent-Length: ${SPLIT.length}\r\n\r\n${SPLIT}`, '304'],
  ['a body on the answer to HEAD', `${plain(`Content-Length: ${SPLIT.length}`)}${SPLIT}`, '200', 'HEAD'],
  [
    'fields of the connection',
    `${plain('Connection: x-secret, keep-alive', 'X-Secret: 1', 'Keep-Alive: timeout=5', 'Proxy-Connection: x', 'Upgrade: h2c', 'Content-Length: 0')}`,
    '200',
  ],
  ['an interim answer with a length', `HTTP/1.1 103 Early\r\nContent-Length: 5\r\n\r\n${SPLIT}`, BAD],
  ['an interim answer with chunks', `HTTP/1.1 103 Early\r\nTransfer-Encoding: chunked\r\n\r\n${SPLIT}`, BAD],
  ['many interim answers', 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(40) + SPLIT, BAD],
  [
    'a proof of a WebSocket that nobody asked for',
    `${plain('Sec-WebSocket-Accept: x', 'Content-Length: 0')}`,
    '200 sec-websocket-accept: x',
  ],
];

const OK: Fields = [[':status', '200']];

/** An answer of head and body. */
function whole(fields: Fields, body?: string): (id: number) => Buffer {
  return (id) =>
    body === undefined
      ? headers(id, fields, END_STREAM)
      : Buffer.concat([headers(id, fields), data(id, body, END_STREAM)]);
}

function status(code: string): (id: number) => Buffer {
  return whole([[':status', code]]);
}

/** An answer whose trailers are these. */
function trailed(...trailers: Fields): (id: number) => Buffer {
  return (id) => Buffer.concat([headers(id, OK), data(id, 'hi'), headers(id, trailers, END_STREAM)]);
}

const H2_ROWS: readonly (readonly [what: string, answer: (id: number) => Buffer, want: Want, method?: string])[] = [
  ['an answer', whole([...OK, ['x', '1']], 'hi'), '200 x: 1 | hi'],
  ['a status of 099', status('099'), BAD],
  ['a status of 1000', status('1000'), BAD],
  ['a status of 600', status('600'), BAD],
  ['a status with a sign', status('+200'), BAD],
  ['a status with CRLF', status(`200 OK\r\nx: 1`), BAD],
  ['an empty status', status(''), BAD],
  ['no status', whole([['x', '1']]), BAD],
  ['two statuses', whole([...OK, [':status', '404']]), BAD],
  ['a status behind a field', whole([['x', '1'], ...OK]), BAD],
  ['a pseudo-header of requests', whole([...OK, [':path', '/']]), BAD],
  [
    'a switch, which HTTP/2 does not have',
    (id) =>
      headers(id, [
        [':status', '101'],
        ['upgrade', 'h2c'],
      ]),
    BAD,
  ],
  ['a name with CRLF and a second answer', whole([...OK, [`x: 1\r\n\r\n${SPLIT}`, '1']]), BAD],
  ['a name with a colon', whole([...OK, ['x: y', '1']]), BAD],
  ['a name in upper case', whole([...OK, ['X', '1']]), BAD],
  ['an empty name', whole([...OK, ['', '1']]), BAD],
  ['a value with CRLF and a second answer', whole([...OK, ['x', `1\r\n\r\n${SPLIT}`]]), BAD],
  ['a value with LF', whole([...OK, ['set-cookie', 'a=1\nset-cookie: b=2']]), BAD],
  ['a value with NUL', whole([...OK, ['x', '1\0']]), BAD],
  ['a value in blanks', whole([...OK, ['x', ' 1']]), BAD],
  ['transfer-encoding', whole([...OK, ['transfer-encoding', 'chunked']], `0\r\n\r\n${SPLIT}`), BAD],
  ['connection', whole([...OK, ['connection', 'close']]), BAD],
  ['keep-alive', whole([...OK, ['keep-alive', 'timeout=5']]), BAD],
  ['upgrade', whole([...OK, ['upgrade', 'h2c']]), BAD],
  ['two lengths', whole([...OK, ['content-length', '2'], ['content-length', '3']], 'hi!'), BAD],
  ['two equal lengths', whole([...OK, ['content-length', '2'], ['content-length', '2']], 'hi'), BAD],
  ['a list of lengths', whole([...OK, ['content-length', '2, 2']], 'hi'), BAD],
  ['a length with a sign', whole([...OK, ['content-length', '+2']], 'hi'), BAD],
  ['a length of 2^63', whole([...OK, ['content-length', '9223372036854775808']], 'hi'), BAD],
  ['a length without a body', whole([...OK, ['content-length', '5']]), BAD],
  ['a length that is longer than the body', whole([...OK, ['content-length', '5']], 'hi'), '200 cut'],
  ['a length that is shorter than the body', whole([...OK, ['content-length', '2']], `hi${SPLIT}`), '200 cut'],
  ['a body that is an answer', whole(OK, SPLIT), `200 | ${SPLIT}`],
  ['a body on 204', whole([[':status', '204']], SPLIT), { h1: '204 closed', h2: '204 cut' }],
  [
    'a length on 204',
    whole([
      [':status', '204'],
      ['content-length', '5'],
    ]),
    '204',
  ],
  [
    'a body on 304',
    whole(
      [
        [':status', '304'],
        ['content-length', '5'],
      ],
      SPLIT,
    ),
    { h1: '304 closed', h2: '304 cut' },
  ],
  [
    'a length on 304',
    whole([
      [':status', '304'],
      ['content-length', '5'],
    ]),
    '304',
  ],
  [
    'a body on the answer to HEAD',
    whole([...OK, ['content-length', '5']], SPLIT),
    { h1: '200 closed', h2: '200 cut' },
    'HEAD',
  ],
  ['a length on the answer to HEAD', whole([...OK, ['content-length', '5']]), '200', 'HEAD'],
  ['a trailer', trailed(['x-sum', '1']), '200 | hi | + x-sum: 1'],
  ['a trailer with CRLF', trailed(['x-sum', `1\r\n\r\n${SPLIT}`]), '200 cut'],
  ['a status as a trailer', trailed([':status', '200']), '200 cut'],
  ['a length as a trailer', trailed(['content-length', '2']), '200 cut'],
  ['transfer-encoding as a trailer', trailed(['transfer-encoding', 'chunked']), '200 cut'],
  ['an interim answer that ends', status('103'), BAD],
  [
    'an interim answer with a body',
    (id) => Buffer.concat([headers(id, [[':status', '103']]), data(id, SPLIT, END_STREAM)]),
    BAD,
  ],
  [
    'an interim answer with a length',
    (id) =>
      headers(id, [
        [':status', '103'],
        ['content-length', '5'],
      ]),
    BAD,
  ],
  [
    'many interim answers',
    (id) => Buffer.concat([...Array.from({ length: 40 }, () => headers(id, [[':status', '102']])), whole(OK)(id)]),
    BAD,
  ],
  ['a body before the head', (id) => data(id, SPLIT, END_STREAM), BAD],
  [
    'an end by a reset',
    (id) => Buffer.concat([headers(id, OK), data(id, 'hi'), frame(FRAME.RST_STREAM, 0, id, Buffer.of(0, 0, 0, 2))]),
    '200 cut',
  ],
];

/** What the proxy adds, and the framing of either wire. */
const OWN = new Set(['date', 'content-length', 'transfer-encoding', 'connection']);

interface Answer {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  readonly trailers: readonly (readonly [name: string, value: string])[];
}

function textOf(answer: Answer): string {
  const code = /"code":"([^"]+)"/.exec(answer.body)?.[1];
  if (code !== undefined) return `${answer.status} ${code}`;
  const fields = answer.headers.filter(([name]) => !OWN.has(name.toLowerCase()) && !name.startsWith(':'));
  const parts = [[answer.status, ...fields.map(([name, value]) => `${name.toLowerCase()}: ${value}`)].join(' ')];
  if (answer.body !== '') parts.push(answer.body);
  for (const [name, value] of answer.trailers) parts.push(`+ ${name.toLowerCase()}: ${value}`);
  return parts.join(' | ');
}

/** Asks twice on one connection. @returns what came of the first; the second is as it should be, or was not possible */
async function askH1(port: number, method: string): Promise<string> {
  await using client = await RawClient.open({ host: '127.0.0.1', port });
  client.send(`${method} /hostile HTTP/1.1\r\nHost: shop.test\r\n\r\n`);
  const { status: code } = (await readHead(client)) ?? { status: 0 };
  const answer = await readResponse(client, method).catch(() => undefined);
  if (answer === undefined) return `${code} cut`;
  if (!answer.closes) {
    client.send('GET /next HTTP/1.1\r\nHost: shop.test\r\n\r\n');
    const next = await readResponse(client, 'GET').catch(() => undefined);
    if (next === undefined) return `${code} closed`;
    assert.equal(next.body.toString(), 'next');
  }
  assert.equal(client.pending.length, 0);
  return textOf({ ...answer, body: answer.body.toString('latin1') });
}

/** The head that is next, which stays unread. */
async function readHead(client: RawClient): Promise<{ status: number } | undefined> {
  const bytes = await client.waitFor(12, 'a status');
  return bytes.length < 12 ? undefined : { status: Number(bytes.toString('latin1', 9, 12)) };
}

async function askH2(port: number, method: string): Promise<string> {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  try {
    const first = await readH2(session.request({ ':method': method, ':path': '/hostile', ':authority': 'shop.test' }));
    const next = await readH2(session.request({ ':path': '/next', ':authority': 'shop.test' }));
    assert.equal(next.split(' | ')[1], 'next');
    return first;
  } finally {
    session.destroy();
  }
}

async function readH2(stream: http2.ClientHttp2Stream): Promise<string> {
  const answer = { status: 0, headers: pairsOf([]), body: '', trailers: pairsOf([]) };
  stream.on('response', (head, _flags, raw: string[]) => {
    answer.status = head[':status']!;
    answer.headers = pairsOf(raw);
  });
  stream.on('trailers', (_trailers, _flags, raw: string[]) => (answer.trailers = pairsOf(raw)));
  stream.on('data', (bytes: Buffer) => (answer.body += bytes.toString('latin1')));
  stream.on('error', () => undefined);
  stream.end();
  await new Promise((resolve) => stream.on('close', resolve));
  return stream.rstCode === http2.constants.NGHTTP2_NO_ERROR ? textOf(answer) : `${answer.status} cut`;
}

const ASK = { h1: askH1, h2: askH2 };

let hostileH1 = '';
let originH1: Origin;
let originH2: RawH2Upstream;
let proxies: Readonly<Record<WireName, Harness>>;

before(async () => {
  originH1 = await startOrigin(async (connection) => {
    for (let asked = await connection.request(); asked !== undefined; asked = await connection.request()) {
      connection.send(asked.target === '/next' ? ok('next') : hostileH1);
    }
    connection.end();
  });
  originH2 = await RawH2Upstream.start();
  proxies = {
    h1: await proxyTo({ wire: 'h1', port: originH1.port }),
    h2: await proxyTo({ wire: 'h2', port: originH2.port }),
  };
});

after(async () => {
  for (const wire of WIRES) await proxies[wire][Symbol.asyncDispose]();
  await originH1.close();
  await originH2[Symbol.asyncDispose]();
});

for (const client of WIRES) {
  for (const [what, answer, want, method = 'GET'] of H1_ROWS) {
    test(`h1 upstream to ${client}: ${what}`, async () => {
      hostileH1 = answer;
      assert.equal(await ASK[client](proxies.h1.port, method), typeof want === 'string' ? want : want[client]);
    });
  }
  for (const [what, answer, want, method = 'GET'] of H2_ROWS) {
    test(`h2 upstream to ${client}: ${what}`, async () => {
      let asked = 0;
      originH2.answer = (id) => (asked++ === 0 ? answer(id) : whole([...OK, ['content-length', '4']], 'next')(id));
      assert.equal(await ASK[client](proxies.h2.port, method), typeof want === 'string' ? want : want[client]);
    });
  }
}

const HANDSHAKE =
  'GET /hostile HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
/** RFC 6455 section 1.3, for that key. */
const PROOF = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n';
const UNPROVEN: readonly (readonly [what: string, answer: string])[] = [
  ['without a proof', `${SWITCHED}Upgrade: websocket\r\n\r\n`],
  [
    'with the proof of the key of the client',
    `${SWITCHED}Upgrade: websocket\r\nSec-WebSocket-Accept: ${PROOF}\r\n\r\n`,
  ],
  ['to another protocol', `${SWITCHED}Upgrade: h2c\r\nSec-WebSocket-Accept: ${PROOF}\r\n\r\n`],
  ['that two lines prove', `${SWITCHED}Upgrade: websocket\r\n${`Sec-WebSocket-Accept: ${PROOF}\r\n`.repeat(2)}\r\n`],
];
for (const [what, answer] of UNPROVEN) {
  test(`h1 upstream: a switch ${what} is none`, async () => {
    hostileH1 = answer;
    await using client = await RawClient.open({ host: '127.0.0.1', port: proxies.h1.port });
    client.send(HANDSHAKE);
    const { status: code, body } = await readResponse(client, 'GET');
    assert.equal(code, 502);
    assert.match(body.toString(), /"code":"upstream\.malformed"/);
  });
}

test('h2 upstream: a proof of a WebSocket that it says does not stand beside the true one', async () => {
  originH2.answer = (id) => headers(id, [...OK, ['sec-websocket-accept', 'forged'], ['x', '1']]);
  await using client = await RawClient.open({ host: '127.0.0.1', port: proxies.h2.port });
  client.send(HANDSHAKE);
  const answer = await readResponse(client, 'GET');
  assert.equal(answer.status, 101);
  assert.deepEqual(answer.all('sec-websocket-accept'), [PROOF]);
  assert.equal(answer.header('x'), '1');
});

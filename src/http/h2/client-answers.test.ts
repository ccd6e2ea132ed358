import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UpstreamRequest } from '../stream.ts';
import { FLAG, FRAME } from './frame.ts';
import { type Asked, TestClient } from './testing/ask.ts';
import { block, frame } from './testing/frames.ts';
import { type RawConn, RawServer } from './testing/raw-server.ts';

const { END_STREAM, END_HEADERS } = FLAG;
const OK: readonly [string, string] = [':status', '200'];

/** A raw server answers with exact frames; the client side reports what it made of them. */
async function ask(
  answer: (conn: RawConn) => void,
  request: Partial<UpstreamRequest> = {},
  more: 'end' | 'open' = 'end',
): Promise<{ heard: readonly string[]; told: readonly string[]; conn: RawConn; asked: Asked }> {
  await using server = await RawServer.start();
  using client = await TestClient.to(server.port);
  const conn = await server.conn(0);
  conn.settings();
  const asked = client.ask(request, more);
  await conn.request(1);
  answer(conn);
  const heard = await asked.done;
  return { heard, told: client.told, conn, asked };
}

const ANSWERS: readonly [
  rule: string,
  answer: (conn: RawConn) => void,
  heard: readonly string[],
  request?: Partial<UpstreamRequest>,
][] = [
  [
    'a head, a body in two frames, an end',
    (conn) => {
      conn.headers(1, [OK, ['content-length', '4'], ['x-a', 'b']]);
      conn.data(1, 'ab');
      conn.data(1, 'cd', END_STREAM);
    },
    ['head 200 4 x-a: b', 'end abcd'],
  ],
  [
    'a body of unknown length, and trailers',
    (conn) => {
      conn.headers(1, [OK]);
      conn.data(1, 'ab');
      conn.headers(1, [['grpc-status', '0']], END_STREAM);
    },
    ['head 200 -1', 'end ab +grpc-status: 0'],
  ],
  [
    'trailers only: a head that is the end',
    (conn) => conn.headers(1, [OK, ['grpc-status', '5']], END_STREAM),
    ['head 200 0 grpc-status: 5', 'end '],
  ],
  [
    'interim answers come before the answer',
    (conn) => {
      conn.headers(1, [[':status', '103']]);
      conn.headers(1, [[':status', '100']]);
      conn.headers(1, [OK], END_STREAM);
    },
    ['interim 103', 'interim 100', 'head 200 0', 'end '],
  ],
  [
    'HEAD has a length and no body',
    (conn) => conn.headers(1, [OK, ['content-length', '4']], END_STREAM),
    ['head 200 4', 'end '],
    { method: 'HEAD' },
  ],
  [
    'so has 304, and its end may come later',
    (conn) => {
      conn.headers(1, [
        [':status', '304'],
        ['content-length', '4'],
      ]);
      conn.data(1, '', END_STREAM);
    },
    ['head 304 4', 'end '],
  ],
  ['204 has neither', (conn) => conn.headers(1, [[':status', '204']], END_STREAM), ['head 204 0', 'end ']],
  [
    'padding is no body',
    (conn) => {
      conn.headers(1, [OK]);
      conn.send(frame(FRAME.DATA, END_STREAM | FLAG.PADDED, 1, Buffer.from('\x03abxxx', 'latin1')));
    },
    ['head 200 -1', 'end ab'],
  ],
  [
    'a block in pieces is one block',
    (conn) => {
      const bytes = block([OK, ['x-a', 'b'.repeat(300)]]);
      conn.send(
        frame(FRAME.HEADERS, END_STREAM, 1, bytes.subarray(0, 20)),
        frame(FRAME.CONTINUATION, 0, 1, bytes.subarray(20, 60)),
        frame(FRAME.CONTINUATION, END_HEADERS, 1, bytes.subarray(60)),
      );
    },
    [`head 200 0 x-a: ${'b'.repeat(300)}`, 'end '],
  ],
  // what the upstream takes back
  [
    'refused',
    (conn) => conn.reset(1, 'REFUSED_STREAM'),
    ['fault upstream.unprocessed before a byte: Request was given back: REFUSED_STREAM'],
  ],
  [
    'a GOAWAY that names an earlier stream gives the request back',
    (conn) => conn.goAway(0),
    ['fault upstream.unprocessed before a byte: Request was given back: REFUSED_STREAM'],
  ],
  [
    'refused after a head is no refusal',
    (conn) => {
      conn.headers(1, [OK]);
      conn.reset(1, 'REFUSED_STREAM');
    },
    ['head 200 -1', 'fault upstream.reset after a byte: RST_STREAM REFUSED_STREAM in the middle of its answer'],
  ],
  [
    'reset with a code',
    (conn) => conn.reset(1, 'INTERNAL_ERROR'),
    ['fault upstream.reset before a byte: RST_STREAM INTERNAL_ERROR before its answer'],
  ],
  [
    'HTTP_1_1_REQUIRED, and no way to speak that',
    (conn) => conn.reset(1, 'HTTP_1_1_REQUIRED'),
    ['fault upstream.reset before a byte: RST_STREAM HTTP_1_1_REQUIRED before its answer'],
  ],
  [
    'the connection is lost',
    (conn) => conn.socket.destroy(),
    ['fault upstream.closed before a byte: Connection was lost before its answer: closed'],
  ],
  [
    'the connection is lost inside an answer, after a GOAWAY',
    (conn) => {
      conn.headers(1, [OK]);
      conn.goAway(1, 'INTERNAL_ERROR');
      conn.socket.end();
    },
    [
      'head 200 -1',
      'fault upstream.closed after a byte: Connection was lost in the middle of its answer: GOAWAY INTERNAL_ERROR',
    ],
  ],
];

test('H2ClientConn: answers', async (t) => {
  for (const [rule, answer, want, request] of ANSWERS) {
    await t.test(rule, async () => assert.deepEqual((await ask(answer, request)).heard, want));
  }
});

const REFUSED: readonly [
  rule: string,
  fields: readonly (readonly [string, string])[],
  fault: string,
  flags?: number,
][] = [
  ['no :status', [['x-a', 'b']], 'upstream.malformed: Pseudo-headers of an answer are not :status alone'],
  ['two :status', [OK, OK], 'upstream.malformed: Pseudo-header ":status" is repeated'],
  [
    ':status that is none',
    [[':status', '20x']],
    'upstream.malformed: Value of ":status" is not three digits from 100 to 599',
  ],
  [':path in an answer', [OK, [':path', '/']], 'upstream.malformed: Pseudo-headers of an answer are not :status alone'],
  [
    ':status behind a field',
    [['x-a', 'b'], OK],
    'upstream.malformed: Pseudo-header ":status" stands behind a regular field',
  ],
  ['a name in upper case', [OK, ['X-A', 'b']], 'upstream.malformed: Field name is not a lower-case token'],
  ['a name with a colon', [OK, ['x:a', 'b']], 'upstream.malformed: Field name is not a lower-case token'],
  ['a name with CRLF', [OK, ['x\r\ny', 'b']], 'upstream.malformed: Field name is not a lower-case token'],
  ['a value with CRLF', [OK, ['x-a', 'b\r\nset-cookie: c']], 'upstream.malformed: Value of "x-a" has forbidden bytes'],
  ['a value with NUL', [OK, ['x-a', 'b\0']], 'upstream.malformed: Value of "x-a" has forbidden bytes'],
  [
    'transfer-encoding',
    [OK, ['transfer-encoding', 'chunked']],
    'upstream.malformed: Field "transfer-encoding" belongs to a connection of HTTP/1.1',
  ],
  [
    'connection',
    [OK, ['connection', 'close']],
    'upstream.malformed: Field "connection" belongs to a connection of HTTP/1.1',
  ],
  [
    'two lengths',
    [OK, ['content-length', '1'], ['content-length', '1']],
    'upstream.malformed: Field "content-length" is repeated',
  ],
  [
    'a length with a sign',
    [OK, ['content-length', '+1']],
    'upstream.malformed: Value of "content-length" is not a length',
  ],
  [
    'a length without a body',
    [OK, ['content-length', '1']],
    'upstream.malformed: Body is shorter than Content-Length',
    END_STREAM,
  ],
  ['101', [[':status', '101']], 'upstream.malformed: 101 in HTTP/2'],
  [
    'an interim answer that is the end',
    [[':status', '103']],
    'upstream.malformed: Informational answer ends the stream',
    END_STREAM,
  ],
  [
    'an interim answer with a length',
    [
      [':status', '103'],
      ['content-length', '3'],
    ],
    'upstream.malformed: Informational answer with a body',
  ],
  [
    'more header bytes than allowed',
    [OK, ['x-a', 'b'.repeat(16_384)]],
    'upstream.headers-too-large: Header list is larger than 16384 bytes',
  ],
  [
    'more header lines than allowed',
    [OK, ...Array.from({ length: 257 }, (): [string, string] => ['a', ''])],
    'upstream.headers-too-large: More than 256 header lines',
  ],
];

test('H2ClientConn: an answer that breaks a rule is a fault, and its stream is reset; others are not concerned', async (t) => {
  for (const [rule, fields, fault, flags = 0] of REFUSED) {
    await t.test(rule, async () => {
      await using server = await RawServer.start();
      using client = await TestClient.to(server.port);
      const conn = await server.conn(0);
      conn.settings();
      const [bad, good] = [client.ask(), client.ask()];
      await conn.request(3);
      const bytes = block(fields);
      const first = frame(
        FRAME.HEADERS,
        flags | (bytes.length > 16_384 ? 0 : END_HEADERS),
        1,
        bytes.subarray(0, 16_384),
      );
      conn.send(
        first,
        ...(bytes.length > 16_384 ? [frame(FRAME.CONTINUATION, END_HEADERS, 1, bytes.subarray(16_384))] : []),
      );
      const [heard] = await bad.done;
      assert.match(heard!, /^fault /);
      assert.equal(heard!.replace(/^fault (\S+) \w+ a byte/, '$1'), fault);
      assert.equal(await conn.last(FRAME.RST_STREAM), 'PROTOCOL_ERROR');
      conn.headers(3, [OK], END_STREAM);
      assert.deepEqual(await good.done, ['head 200 0', 'end ']);
    });
  }
});

const BODIES: readonly [rule: string, answer: (conn: RawConn) => void, fault: string][] = [
  [
    'longer than its length',
    (conn) => {
      conn.headers(1, [OK, ['content-length', '1']]);
      conn.data(1, 'ab');
    },
    'Body is longer than Content-Length',
  ],
  [
    'shorter than its length',
    (conn) => {
      conn.headers(1, [OK, ['content-length', '3']]);
      conn.data(1, 'ab', END_STREAM);
    },
    'Body is shorter than Content-Length',
  ],
  [
    'a body behind 204',
    (conn) => {
      conn.headers(1, [[':status', '204']]);
      conn.data(1, 'ab', END_STREAM);
    },
    'Body is longer than Content-Length',
  ],
  [
    'trailers with a pseudo-header',
    (conn) => {
      conn.headers(1, [OK]);
      conn.send(frame(FRAME.HEADERS, END_HEADERS | END_STREAM, 1, block([OK])));
    },
    'Trailers have a pseudo-header',
  ],
  [
    'trailers with a length',
    (conn) => {
      conn.headers(1, [OK]);
      conn.headers(1, [['content-length', '1']], END_STREAM);
    },
    'Trailers have a framing or routing field',
  ],
  [
    'trailers that are not the end',
    (conn) => {
      conn.headers(1, [OK]);
      conn.headers(1, [['x-a', 'b']]);
    },
    'Trailers do not end the stream',
  ],
];

test('H2ClientConn: a body that breaks a rule is a fault inside the answer', async (t) => {
  for (const [rule, answer, detail] of BODIES) {
    await t.test(rule, async () => {
      const { heard, conn } = await ask(answer);
      assert.match(heard[0]!, /^head /);
      assert.equal(heard[1], `fault upstream.malformed after a byte: ${detail}`);
      assert.equal(heard.length, 2);
      assert.ok(conn.came.every(({ type }) => type !== FRAME.GOAWAY));
    });
  }
});

test('H2ClientConn: neither a body nor an end comes before the head', async () => {
  for (const flags of [0, END_STREAM]) {
    const { heard } = await ask((conn) => conn.data(1, flags === 0 ? 'ab' : '', flags));
    assert.match(heard[0]!, /^fault upstream.malformed .*(Body|End) before the head$/);
  }
});

test('H2ClientConn: a request without body ends with its head, in one frame', async () => {
  const { conn } = await ask((raw) => raw.headers(1, [OK], END_STREAM));
  const frames = conn.came.filter(({ id }) => id === 1);
  assert.deepEqual(
    frames.map(({ type, flags }) => [type, flags]),
    [[FRAME.HEADERS, END_HEADERS | END_STREAM]],
  );
});

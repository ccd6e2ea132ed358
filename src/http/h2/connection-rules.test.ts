/** The rules of RFC 9113 that end a connection or a stream, one by one, over a raw connection. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EchoSink } from '../testing/echo-sink.ts';
import { QUIET_EVENTS } from '../testing/quiet-events.ts';
import { FLAG, FRAME, PREFACE, SETTING } from './frame.ts';
import { H2Port } from './testing/h2-port.ts';
import { block, type Fields, frame, settings, words } from './testing/frames.ts';
import { GET, POST, RawClient } from './testing/raw-client.ts';

const PING8 = Buffer.alloc(8);
const END_ALL = FLAG.END_HEADERS | FLAG.END_STREAM;

function headers(streamId: number, fields: Fields = GET, flags: number = END_ALL): Buffer {
  return frame(FRAME.HEADERS, flags, streamId, block(fields));
}

const OPEN_1 = headers(1, POST, FLAG.END_HEADERS);
const GET_1 = headers(1);
const bytes = (...values: number[]): Buffer => Buffer.from(values);

const CONNECTION_ROWS: [rule: string, wire: Buffer[], want: string][] = [
  ['4.2: a frame larger than the setting', [frame(FRAME.DATA, 0, 1, Buffer.alloc(16_385))], 'FRAME_SIZE_ERROR'],
  ['4.3: a block that cannot be decoded', [frame(FRAME.HEADERS, END_ALL, 1, bytes(0xff, 0xff))], 'COMPRESSION_ERROR'],
  [
    '4.3: a block broken by another frame',
    [frame(FRAME.HEADERS, 1, 1, block(GET)), frame(FRAME.PING, 0, 0, PING8)],
    'PROTOCOL_ERROR',
  ],
  [
    '4.3: a block broken by another stream',
    [frame(FRAME.HEADERS, 1, 1, block(GET)), frame(FRAME.CONTINUATION, 4, 3)],
    'PROTOCOL_ERROR',
  ],
  [
    '4.3: a block broken by an unknown frame',
    [frame(FRAME.HEADERS, 1, 1, block(GET)), frame(0x42, 0, 0)],
    'PROTOCOL_ERROR',
  ],
  ['5.1: DATA on an idle stream', [frame(FRAME.DATA, 1, 1, PING8)], 'PROTOCOL_ERROR'],
  ['5.1: RST_STREAM on an idle stream', [frame(FRAME.RST_STREAM, 0, 1, words(8))], 'PROTOCOL_ERROR'],
  ['5.1: WINDOW_UPDATE on an idle stream', [frame(FRAME.WINDOW_UPDATE, 0, 1, words(8))], 'PROTOCOL_ERROR'],
  ['5.1: CONTINUATION on an idle stream', [frame(FRAME.CONTINUATION, 4, 1, block(GET))], 'PROTOCOL_ERROR'],
  ['5.1: DATA on a closed stream', [GET_1, frame(FRAME.DATA, 1, 1, PING8)], 'STREAM_CLOSED'],
  ['5.1: HEADERS on a closed stream', [GET_1, GET_1], 'STREAM_CLOSED'],
  ['5.1: CONTINUATION behind a whole block', [GET_1, frame(FRAME.CONTINUATION, 4, 1, block(GET))], 'PROTOCOL_ERROR'],
  [
    '5.1: DATA after RST_STREAM',
    [OPEN_1, frame(FRAME.RST_STREAM, 0, 1, words(8)), frame(FRAME.DATA, 1, 1, PING8)],
    'STREAM_CLOSED',
  ],
  ['5.1: HEADERS after RST_STREAM', [OPEN_1, frame(FRAME.RST_STREAM, 0, 1, words(8)), GET_1], 'STREAM_CLOSED'],
  ['5.1.1: an even id', [headers(2)], 'PROTOCOL_ERROR'],
  ['5.1.1: an id below those before', [headers(5), headers(3)], 'PROTOCOL_ERROR'],
  ['6.1: DATA on stream 0', [frame(FRAME.DATA, 1, 0, PING8)], 'PROTOCOL_ERROR'],
  ['6.1: padding as long as the payload', [OPEN_1, frame(FRAME.DATA, 9, 1, bytes(3, 1, 2))], 'PROTOCOL_ERROR'],
  ['6.1: padded DATA without a length', [OPEN_1, frame(FRAME.DATA, 9, 1)], 'PROTOCOL_ERROR'],
  ['6.2: HEADERS on stream 0', [headers(0)], 'PROTOCOL_ERROR'],
  [
    '6.2: padding longer than the block',
    [frame(FRAME.HEADERS, END_ALL | FLAG.PADDED, 1, bytes(200, 0x82))],
    'PROTOCOL_ERROR',
  ],
  [
    '6.2: HEADERS too short for a priority',
    [frame(FRAME.HEADERS, END_ALL | FLAG.PRIORITY, 1, bytes(0, 0))],
    'FRAME_SIZE_ERROR',
  ],
  ['6.2: HEADERS too short for padding', [frame(FRAME.HEADERS, END_ALL | FLAG.PADDED, 1)], 'FRAME_SIZE_ERROR'],
  ['6.3: PRIORITY on stream 0', [frame(FRAME.PRIORITY, 0, 0, bytes(0, 0, 0, 1, 9))], 'PROTOCOL_ERROR'],
  ['6.3: PRIORITY of another length', [GET_1, frame(FRAME.PRIORITY, 0, 1, bytes(0, 0, 0, 1))], 'FRAME_SIZE_ERROR'],
  ['6.4: RST_STREAM on stream 0', [frame(FRAME.RST_STREAM, 0, 0, words(8))], 'PROTOCOL_ERROR'],
  ['6.4: RST_STREAM of another length', [OPEN_1, frame(FRAME.RST_STREAM, 0, 1, bytes(0, 0, 8))], 'FRAME_SIZE_ERROR'],
  ['6.5: SETTINGS on a stream', [frame(FRAME.SETTINGS, 0, 1)], 'PROTOCOL_ERROR'],
  ['6.5: SETTINGS of another length', [frame(FRAME.SETTINGS, 0, 0, bytes(0, 3, 0))], 'FRAME_SIZE_ERROR'],
  ['6.5: an acknowledgement with a payload', [frame(FRAME.SETTINGS, FLAG.ACK, 0, Buffer.alloc(6))], 'FRAME_SIZE_ERROR'],
  ['6.5.2: ENABLE_PUSH of 2', [settings([SETTING.ENABLE_PUSH, 2])], 'PROTOCOL_ERROR'],
  ['6.5.2: a window above 2^31-1', [settings([SETTING.INITIAL_WINDOW_SIZE, 0x80000000])], 'FLOW_CONTROL_ERROR'],
  ['6.5.2: a frame size below the least', [settings([SETTING.MAX_FRAME_SIZE, 16_383])], 'PROTOCOL_ERROR'],
  ['6.5.2: a frame size above the most', [settings([SETTING.MAX_FRAME_SIZE, 0x1000000])], 'PROTOCOL_ERROR'],
  ['8441 3: ENABLE_CONNECT_PROTOCOL taken back', [settings([8, 1]), settings([8, 0])], 'PROTOCOL_ERROR'],
  [
    '6.6: PUSH_PROMISE from a client',
    [GET_1, frame(FRAME.PUSH_PROMISE, 4, 1, Buffer.concat([words(2), block(GET)]))],
    'PROTOCOL_ERROR',
  ],
  ['6.7: PING on a stream', [frame(FRAME.PING, 0, 1, PING8)], 'PROTOCOL_ERROR'],
  ['6.7: PING of another length', [frame(FRAME.PING, 0, 0, bytes(1))], 'FRAME_SIZE_ERROR'],
  ['6.8: GOAWAY on a stream', [frame(FRAME.GOAWAY, 0, 1, PING8)], 'PROTOCOL_ERROR'],
  ['6.8: GOAWAY that is too short', [frame(FRAME.GOAWAY, 0, 0, bytes(0, 0, 0, 0))], 'FRAME_SIZE_ERROR'],
  ['6.9: WINDOW_UPDATE of 0 for the connection', [frame(FRAME.WINDOW_UPDATE, 0, 0, words(0))], 'PROTOCOL_ERROR'],
  ['6.9: WINDOW_UPDATE of another length', [frame(FRAME.WINDOW_UPDATE, 0, 0, bytes(0, 0, 1))], 'FRAME_SIZE_ERROR'],
  ['6.9.1: the connection above 2^31-1', [frame(FRAME.WINDOW_UPDATE, 0, 0, words(0x7fffffff))], 'FLOW_CONTROL_ERROR'],
  ['6.10: CONTINUATION without a block', [frame(FRAME.CONTINUATION, 4, 0, block(GET))], 'PROTOCOL_ERROR'],
  [
    '6.10: CONTINUATION behind DATA',
    [OPEN_1, frame(FRAME.DATA, 0, 1, PING8), frame(FRAME.CONTINUATION, 4, 1)],
    'PROTOCOL_ERROR',
  ],
  ['9218 7.1: PRIORITY_UPDATE on a stream', [frame(FRAME.PRIORITY_UPDATE, 0, 1, words(1))], 'PROTOCOL_ERROR'],
  ['9218 7.1: PRIORITY_UPDATE too short', [frame(FRAME.PRIORITY_UPDATE, 0, 0, bytes(0, 1))], 'FRAME_SIZE_ERROR'],
];

for (const [rule, wire, want] of CONNECTION_ROWS) {
  test(`connection: ${rule}: ${want}`, async () => {
    await using port = await H2Port.start(new EchoSink());
    await using client = await RawClient.connect(port.port);
    client.send(...wire);
    assert.equal(await client.ending(), `GOAWAY ${want}`);
    assert.equal(port.failures[0]?.reason, want);
  });
}

const PREFACE_ROWS: [rule: string, greeting: Buffer][] = [
  ['3.4: the preface is another', Buffer.from('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n')],
  ['3.4: the first frame is not SETTINGS', Buffer.concat([PREFACE, frame(FRAME.PING, 0, 0, PING8)])],
  ['3.4: the first frame is an acknowledgement', Buffer.concat([PREFACE, frame(FRAME.SETTINGS, FLAG.ACK, 0)])],
];

for (const [rule, greeting] of PREFACE_ROWS) {
  test(`connection: ${rule}: PROTOCOL_ERROR`, async () => {
    await using port = await H2Port.start(new EchoSink());
    await using client = await RawClient.connect(port.port, greeting);
    assert.equal(await client.ending(), 'GOAWAY PROTOCOL_ERROR');
  });
}

const without = (name: string): Fields => GET.filter(([n]) => n !== name);
const withField = (...fields: Fields): Fields => [...GET, ...fields];

const STREAM_ROWS: [rule: string, wire: Buffer[], want: string][] = [
  ['5.1: DATA when the request has ended', [headers(1, GET, FLAG.END_HEADERS), frame(FRAME.DATA, 1, 1)], '200'],
  ['6.9: WINDOW_UPDATE of 0', [OPEN_1, frame(FRAME.WINDOW_UPDATE, 0, 1, words(0))], 'RST_STREAM PROTOCOL_ERROR'],
  [
    '6.9.1: a stream above 2^31-1',
    [OPEN_1, frame(FRAME.WINDOW_UPDATE, 0, 1, words(0x7fffffff))],
    'RST_STREAM FLOW_CONTROL_ERROR',
  ],
  [
    '8.1: trailers that do not end the stream',
    [OPEN_1, headers(1, [['a', 'b']], FLAG.END_HEADERS)],
    '400 RST_STREAM PROTOCOL_ERROR',
  ],
  ['8.1: trailers with a pseudo-header', [OPEN_1, headers(1, [[':path', '/']])], '400 RST_STREAM PROTOCOL_ERROR'],
  [
    '8.1.1: a body longer than Content-Length',
    [headers(1, [...POST, ['content-length', '2']], 4), frame(FRAME.DATA, 1, 1, PING8)],
    '400 RST_STREAM PROTOCOL_ERROR',
  ],
  [
    '8.1.1: a body shorter than Content-Length',
    [headers(1, [...POST, ['content-length', '9']], 4), frame(FRAME.DATA, 1, 1, PING8)],
    '400 RST_STREAM PROTOCOL_ERROR',
  ],
  [
    '8.1.1: no body but a Content-Length',
    [headers(1, [...POST, ['content-length', '9']])],
    '400 RST_STREAM PROTOCOL_ERROR',
  ],
  ['8.2.1: a name in upper case', [headers(1, withField(['X-A', 'b']))], '400 RST_STREAM PROTOCOL_ERROR'],
  ['8.2.1: an empty name', [headers(1, withField(['', 'b']))], '400 RST_STREAM PROTOCOL_ERROR'],
  ['8.2.1: a line break in a value', [headers(1, withField(['a', 'b\r\nhost: y']))], '400 RST_STREAM PROTOCOL_ERROR'],
  ['8.2.1: a colon in a name', [headers(1, withField(['a:b', 'c']))], '400 RST_STREAM PROTOCOL_ERROR'],
  ['8.2.2: connection', [headers(1, withField(['connection', 'keep-alive']))], '400 RST_STREAM PROTOCOL_ERROR'],
  [
    '8.2.2: transfer-encoding',
    [headers(1, withField(['transfer-encoding', 'chunked']))],
    '400 RST_STREAM PROTOCOL_ERROR',
  ],
  ['8.2.2: upgrade', [headers(1, withField(['upgrade', 'h2c']))], '400 RST_STREAM PROTOCOL_ERROR'],
  [
    '8.2.2: te other than trailers',
    [headers(1, withField(['te', 'trailers, deflate']))],
    '400 RST_STREAM PROTOCOL_ERROR',
  ],
  ['8.2.2: te: trailers', [headers(1, withField(['te', 'trailers']))], '200'],
  ['8.3: an unknown pseudo-header', [headers(1, withField([':test', 'a']))], '400 RST_STREAM PROTOCOL_ERROR'],
  ['8.3: a pseudo-header of answers', [headers(1, withField([':status', '200']))], '400 RST_STREAM PROTOCOL_ERROR'],
  [
    '8.3: a pseudo-header behind a field',
    [headers(1, [...without(':path'), ['a', 'b'], [':path', '/']])],
    '400 RST_STREAM PROTOCOL_ERROR',
  ],
  ['8.3.1: an empty path', [headers(1, [...without(':path'), [':path', '']])], '400 RST_STREAM PROTOCOL_ERROR'],
  [
    '8.3.1: a path without a slash',
    [headers(1, [...without(':path'), [':path', 'http://x/']])],
    '400 RST_STREAM PROTOCOL_ERROR',
  ],
  ['8.3.1: no method', [headers(1, without(':method'))], '400 RST_STREAM PROTOCOL_ERROR'],
  ['8.3.1: no scheme', [headers(1, without(':scheme'))], '400 RST_STREAM PROTOCOL_ERROR'],
  ['8.3.1: no path', [headers(1, without(':path'))], '400 RST_STREAM PROTOCOL_ERROR'],
  ['8.3.1: a method twice', [headers(1, [[':method', 'GET'], ...GET])], '400 RST_STREAM PROTOCOL_ERROR'],
  ['8.3.1: a scheme twice', [headers(1, [[':scheme', 'http'], ...GET])], '400 RST_STREAM PROTOCOL_ERROR'],
  ['8.3.1: a path twice', [headers(1, [[':path', '/'], ...GET])], '400 RST_STREAM PROTOCOL_ERROR'],
  ['8.3.1: an authority twice', [headers(1, [[':authority', 'x'], ...GET])], '400 RST_STREAM PROTOCOL_ERROR'],
  ['8.3.1: another Host than :authority', [headers(1, withField(['host', 'y']))], '400 RST_STREAM PROTOCOL_ERROR'],
  ['8.3.1: the same Host as :authority', [headers(1, withField(['host', 'X']))], '200'],
  ['8.3.1: Host alone', [headers(1, [...without(':authority'), ['host', 'x']])], '200'],
  ['8.3.1: no host at all', [headers(1, without(':authority'))], '400'],
  ['8.3.1: an authority with a user', [headers(1, [...without(':authority'), [':authority', 'a@x']])], '400'],
  ['8.3.1: another scheme', [headers(1, [...without(':scheme'), [':scheme', 'ftp']])], '400 RST_STREAM PROTOCOL_ERROR'],
  [
    '8.5: CONNECT',
    [
      headers(1, [
        [':method', 'CONNECT'],
        [':authority', 'x:1'],
      ]),
    ],
    '405',
  ],
  [
    '8.5: CONNECT with a path',
    [headers(1, [...without(':method'), [':method', 'CONNECT']])],
    '400 RST_STREAM PROTOCOL_ERROR',
  ],
  [
    '8441 4: :protocol without CONNECT',
    [headers(1, [...GET, [':protocol', 'websocket']])],
    '400 RST_STREAM PROTOCOL_ERROR',
  ],
  ['9110 10.1.1: another expectation', [headers(1, withField(['expect', 'x']))], '417'],
];

for (const [rule, wire, want] of STREAM_ROWS) {
  test(`stream: ${rule}: ${want}`, async () => {
    await using port = await H2Port.start(new EchoSink());
    await using client = await RawClient.connect(port.port);
    client.send(...wire);
    assert.equal(await client.answer(1), want);
    assert.ok(await client.settled(), 'the connection goes on');
    client.headers(3, GET);
    assert.equal(await client.answer(3), '200');
    assert.deepEqual(port.failures, []);
  });
}

test('stream: 5.1: DATA when the request has ended and its answer has not: STREAM_CLOSED', async () => {
  await using port = await H2Port.start({
    onRequest: () => QUIET_EVENTS,
    onRefused: () => undefined,
  });
  await using client = await RawClient.connect(port.port);
  for (const [streamId, more] of [
    [1, frame(FRAME.DATA, 0, 1, PING8)],
    [3, headers(3)],
  ] as const) {
    client.headers(streamId, GET);
    client.send(more);
    assert.equal(await client.answer(streamId), 'RST_STREAM STREAM_CLOSED');
  }
  assert.ok(await client.settled());
});

test('connection: unknown frames, flags, settings and error codes are passed over', async () => {
  await using port = await H2Port.start(new EchoSink());
  await using client = await RawClient.connect(port.port);
  client.send(
    frame(0x42, 0xff, 0, PING8),
    frame(0x42, 0xff, 7, PING8),
    settings([0x99, 7], [SETTING.MAX_FRAME_SIZE, 0xffffff]),
    frame(FRAME.PRIORITY, 0, 9, bytes(0, 0, 0, 1, 9)),
    frame(FRAME.PRIORITY_UPDATE, 0, 0, Buffer.concat([words(9), Buffer.from('u=1')])),
    OPEN_1,
    frame(FRAME.RST_STREAM, 0, 1, words(0x99)),
    frame(
      FRAME.HEADERS,
      END_ALL | FLAG.PADDED | FLAG.PRIORITY | 0x50,
      3,
      Buffer.concat([bytes(2, 0, 0, 0, 1, 9), block(GET), bytes(0, 0)]),
    ),
  );
  assert.equal(await client.answer(3), '200');
  assert.ok(await client.settled());
  assert.deepEqual(port.failures, []);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../base/fault.ts';
import { Headers } from '../headers.ts';
import type { RequestHead } from '../message.ts';
import { acceptOf, checkAccepted, checkHandshake, makeKey, offersWebSocket, takeKey } from './handshake.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

function requestWith(fields: readonly [string, string][], more: Partial<RequestHead> = {}): RequestHead {
  return {
    method: 'GET',
    scheme: 'http',
    authority: 'a.test',
    host: 'a.test',
    path: '/',
    query: '',
    headers: Headers.of(fields),
    bodyLength: 0,
    upgrade: 'websocket',
    expectContinue: false,
    ...more,
  };
}

test('handshake: Accept is that of the example of RFC 6455 section 1.3', () => {
  assert.equal(acceptOf(KEY), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
});

test('handshake: keys of ours are 16 bytes, and never the same', () => {
  const keys = Array.from({ length: 100 }, makeKey);
  assert.equal(new Set(keys).size, 100);
  for (const key of keys) assert.equal(Buffer.from(key, 'base64').length, 16);
});

const VERSION: [string, string] = ['Sec-WebSocket-Version', '13'];

const REQUESTS: readonly [rule: string, request: RequestHead, want: string][] = [
  ['a good one gives its key', requestWith([VERSION, ['Sec-WebSocket-Key', KEY]]), KEY],
  ['the method is GET', requestWith([VERSION, ['Sec-WebSocket-Key', KEY]], { method: 'POST' }), 'invalid'],
  ['there is no body', requestWith([VERSION, ['Sec-WebSocket-Key', KEY]], { bodyLength: 3 }), 'invalid'],
  ['not even one of unknown length', requestWith([VERSION, ['Sec-WebSocket-Key', KEY]], { bodyLength: -1 }), 'invalid'],
  ['a key is needed', requestWith([VERSION]), 'invalid'],
  ['one key', requestWith([VERSION, ['Sec-WebSocket-Key', KEY], ['Sec-WebSocket-Key', KEY]]), 'invalid'],
  ['of 16 bytes, not 15', requestWith([VERSION, ['Sec-WebSocket-Key', 'AAAAAAAAAAAAAAAAAAAA']]), 'invalid'],
  ['nor 17', requestWith([VERSION, ['Sec-WebSocket-Key', 'AAAAAAAAAAAAAAAAAAAAAAA=']]), 'invalid'],
  ['in base64', requestWith([VERSION, ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZ_==']]), 'invalid'],
  ['the version is needed', requestWith([['Sec-WebSocket-Key', KEY]]), 'invalid'],
  [
    '8 is not spoken',
    requestWith([
      ['Sec-WebSocket-Version', '8'],
      ['Sec-WebSocket-Key', KEY],
    ]),
    'version',
  ],
  [
    'nor a list',
    requestWith([
      ['Sec-WebSocket-Version', '13, 8'],
      ['Sec-WebSocket-Key', KEY],
    ]),
    'version',
  ],
  ['nor two lines', requestWith([VERSION, VERSION, ['Sec-WebSocket-Key', KEY]]), 'version'],
];

for (const [rule, request, want] of REQUESTS) {
  test(`handshake: ${rule}`, () => {
    const got = takeKey(request);
    assert.equal(got instanceof Fault ? got.code : got, want === KEY ? KEY : `request.websocket-${want}`);
    if (want === KEY) assert.equal(request.headers.has('sec-websocket-key'), false, 'It belongs to this hop');
  });
}

test('handshake: on HTTP/2 there is only a version, and a key that came all the same is not passed on', () => {
  const { headers } = requestWith([VERSION, ['Sec-WebSocket-Key', 'nonsense']]);
  assert.equal(checkHandshake(headers), undefined);
  assert.equal(headers.has('sec-websocket-key'), false);
  assert.equal(checkHandshake(Headers.of([]))?.code, 'request.websocket-invalid');
});

const ANSWERS: readonly [rule: string, upgrade: string | undefined, accepts: readonly string[], ok: boolean][] = [
  ['the right Accept', 'websocket', [acceptOf(KEY)], true],
  ['no Accept', 'websocket', [], false],
  ['the Accept of another key', 'websocket', [acceptOf(makeKey())], false],
  ['the right one in another case', 'websocket', [acceptOf(KEY).toUpperCase()], false],
  ['two of them', 'websocket', [acceptOf(KEY), acceptOf(KEY)], false],
  ['another protocol', 'h2c', [acceptOf(KEY)], false],
  ['no protocol', undefined, [acceptOf(KEY)], false],
];

for (const [rule, upgrade, accepts, ok] of ANSWERS) {
  test(`handshake: an upstream that answers with ${rule} is ${ok ? 'believed' : 'refused'}`, () => {
    const headers = Headers.of(accepts.map((accept) => ['Sec-WebSocket-Accept', accept]));
    assert.equal(checkAccepted(KEY, upgrade, headers)?.code, ok ? undefined : 'upstream.malformed');
    assert.equal(headers.has('sec-websocket-accept'), false);
  });
}

for (const [upgrade, offers] of [
  ['websocket', true],
  ['h2c, websocket', true],
  ['websocket/13', false],
  ['xwebsocket', false],
  ['h2c', false],
] as const) {
  test(`handshake: "${upgrade}" ${offers ? 'offers' : 'does not offer'} a WebSocket`, () => {
    assert.equal(offersWebSocket(upgrade), offers);
  });
}

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import tls from 'node:tls';
import { seededRandom } from '../base/random.ts';
import { CLIENT_HELLO_BYTES_MAX, type ClientHello, readClientHello } from './client-hello.ts';

/** The first flight of a real client. */
async function helloOf(options: tls.ConnectionOptions): Promise<Buffer> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  const client = tls.connect({ port, host: '127.0.0.1', ...options }).on('error', () => undefined);
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

/** The same handshake message in records of `size` bytes. */
function recut(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const piece = message.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, piece.length >> 8, piece.length & 255]), piece);
  }
  return Buffer.concat(records);
}

/** A ClientHello with these extensions, as bytes. */
function helloWith(extensions: number[]): Buffer {
  const body = [3, 3, ...Array<number>(32).fill(7), 0, 0, 2, 0x13, 0x01, 1, 0];
  body.push(extensions.length >> 8, extensions.length & 255, ...extensions);
  const message = [1, 0, body.length >> 8, body.length & 255, ...body];
  return Buffer.from([22, 3, 1, message.length >> 8, message.length & 255, ...message]);
}

function serverName(type: number, name: string): number[] {
  const bytes = [...Buffer.from(name, 'latin1')];
  const list = [type, bytes.length >> 8, bytes.length & 255, ...bytes];
  const length = list.length + 2;
  return [0, 0, length >> 8, length & 255, list.length >> 8, list.length & 255, ...list];
}

function read(bytes: Buffer): ClientHello {
  const hello = readClientHello(bytes);
  assert.ok(typeof hello === 'object', JSON.stringify(hello));
  return hello;
}

/** What {@link helloWith} says without extensions. */
const SILENT: ClientHello = { serverName: '', alpn: [], cipherSuites: [0x1301], tls13: false, ticketKeyName: '' };

test('a real ClientHello gives its name and protocols', async () => {
  const hello = await helloOf({ servername: 'Shop.Test', ALPNProtocols: ['h2', 'http/1.1'] });
  const { serverName, alpn, cipherSuites, tls13 } = read(hello);
  assert.deepEqual({ serverName, alpn, tls13 }, { serverName: 'shop.test', alpn: ['h2', 'http/1.1'], tls13: true });
  assert.ok(cipherSuites.includes(0x1301) && cipherSuites.includes(0xc02f));
});

test('a client without SNI, ALPN and TLS 1.3 says nothing of them', async () => {
  const hello = await helloOf({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' });
  assert.deepEqual(read(hello), { ...SILENT, cipherSuites: [0xc02f] });
});

test('every prefix of a ClientHello asks for more, and any records give the same', async () => {
  const hello = await helloOf({ servername: 'shop.test' });
  for (let cut = 0; cut < hello.length; cut++)
    assert.equal(readClientHello(hello.subarray(0, cut)), 'more', `at ${cut}`);
  for (const size of [1, 3, 50, 200]) {
    const records = recut(hello, size);
    assert.deepEqual(read(records), read(hello), `records of ${size}`);
    assert.equal(readClientHello(records.subarray(0, -1)), 'more');
  }
});

const KEY_NAME = Array.from({ length: 16 }, (_, i) => i + 0xf0 - (i << 3));
const RESUMING: ClientHello = { ...SILENT, ticketKeyName: Buffer.from(KEY_NAME).toString('latin1') };

/** The extension with these identities, each with its age, and a list of binders that nobody reads here. */
function preSharedKey(...identities: number[][]): number[] {
  const list = identities.flatMap((identity) => [0, identity.length, ...identity, 0, 0, 0, 0]);
  return [0, 41, 0, list.length + 4, 0, list.length, ...list, 0, 0];
}

const ROWS: [rule: string, bytes: Buffer, want: ReturnType<typeof readClientHello>][] = [
  ['nothing yet', Buffer.from(''), 'more'],
  ['plain HTTP is another protocol', Buffer.from('GET / HTTP/1.1\r\n'), 'not-tls'],
  ['SSL 2 is another protocol', Buffer.from([0x80, 0x2e, 1, 3, 1]), 'not-tls'],
  ['an alert is no beginning', Buffer.from([21, 3, 1, 0, 2, 2, 40]), 'not-tls'],
  ['another handshake message is no beginning', Buffer.from([22, 3, 1, 0, 4, 2, 0, 0, 0]), 'malformed'],
  ['an empty record is refused', Buffer.from([22, 3, 1, 0, 0]), 'malformed'],
  ['a record too large is refused', Buffer.from([22, 3, 1, 0x48, 0]), 'malformed'],
  ['a message too large is refused before it is here', Buffer.from([22, 3, 1, 0, 4, 1, 1, 0, 0]), 'malformed'],
  ['a name', helloWith(serverName(0, 'a.test')), { ...SILENT, serverName: 'a.test' }],
  ['a trailing dot is dropped', helloWith(serverName(0, 'A.test.')), { ...SILENT, serverName: 'a.test' }],
  ['a name of another type is skipped', helloWith(serverName(9, 'a.test')), SILENT],
  ['an empty name is refused', helloWith(serverName(0, '')), 'malformed'],
  ['control bytes in a name are refused', helloWith(serverName(0, 'a\n.test')), 'malformed'],
  ['a name too long is refused', helloWith(serverName(0, 'a'.repeat(300))), 'malformed'],
  ['an extension that points past the end is refused', helloWith([0, 0, 0, 9, 0]), 'malformed'],
  ['TLS 1.3 is found among the versions', helloWith([0, 43, 0, 5, 4, 3, 4, 3, 3]), { ...SILENT, tls13: true }],
  ['TLS 1.2 alone is said too', helloWith([0, 43, 0, 3, 2, 3, 3]), SILENT],
  ['versions that point past the end are refused', helloWith([0, 43, 0, 3, 4, 3, 4]), 'malformed'],
  ['half a version is refused', helloWith([0, 43, 0, 2, 1, 3]), 'malformed'],
  ['a ticket of TLS 1.2 begins with the name of its key', helloWith([0, 35, 0, 17, ...KEY_NAME, 9]), RESUMING],
  ['an empty ticket is the wish for one', helloWith([0, 35, 0, 0]), SILENT],
  ['a ticket too short to hold a name is not ours', helloWith([0, 35, 0, 15, ...KEY_NAME.slice(1)]), SILENT],
  ['an identity of TLS 1.3 is a ticket', helloWith(preSharedKey(KEY_NAME)), RESUMING],
  ['the first identity counts', helloWith(preSharedKey(KEY_NAME, [...KEY_NAME].toReversed())), RESUMING],
  ['an identity that points past the end is refused', helloWith([0, 41, 0, 4, 0, 2, 0, 9]), 'malformed'],
  ['no identity at all is refused', helloWith([0, 41, 0, 2, 0, 0]), 'malformed'],
  ['unknown extensions are skipped', helloWith([0xfa, 0xfa, 0, 1, 0]), SILENT],
];
for (const [rule, bytes, want] of ROWS) {
  test(`readClientHello: ${rule}`, () => assert.deepEqual(readClientHello(bytes), want));
}

test('readClientHello: tiny records without end are refused', () => {
  const hello = helloWith(serverName(0, 'a.test'));
  const start = hello.subarray(0, 5 + 4);
  start[4] = 4; // one record that holds the header of the message, then records that add nothing but more of it
  const drip = Buffer.concat([start, ...Array<Buffer>(4_000).fill(Buffer.from([22, 3, 1, 0, 1]))]);
  assert.equal(readClientHello(drip.subarray(0, CLIENT_HELLO_BYTES_MAX + 100)), 'malformed');
});

test('readClientHello: random damage never throws', async () => {
  const hello = await helloOf({ servername: 'shop.test', ALPNProtocols: ['http/1.1'] });
  const random = seededRandom(1, 2, 3, 4);
  for (let round = 0; round < 5_000; round++) {
    const damaged = Buffer.from(hello);
    for (let i = 0; i < 1 + (round % 4); i++) damaged[random.bits32() % damaged.length] = random.bits32() & 255;
    readClientHello(damaged.subarray(0, random.bits32() % (damaged.length + 1)));
  }
});

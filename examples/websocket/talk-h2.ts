/**
 * Says one text over a WebSocket on a stream of HTTP/2 (RFC 8441), as browsers do on a connection that they have, and
 * prints what comes back.
 *
 *     node talk-h2.ts http://127.0.0.1:8080/chat hello
 */
import { once } from 'node:events';
import { connect } from 'node:http2';

const [url, text = 'hello'] = process.argv.slice(2);
if (url === undefined) throw new Error('Name a URL: node talk-h2.ts http://HOST:PORT/PATH TEXT');
const { origin, host, pathname } = new URL(url);

const session = connect(origin);
// The gateway says in its settings that it takes extended CONNECT.
await once(session, 'remoteSettings');
const stream = session.request(
  {
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': 'http',
    ':authority': host,
    ':path': pathname,
    'sec-websocket-version': '13',
  },
  { endStream: false },
);
const [headers] = await once(stream, 'response');
console.log(`answered ${headers[':status']}`);

stream.write(frameOf(0x1, Buffer.from(text)));
const [answer] = (await once(stream, 'data')) as [Buffer];
console.log(answer.subarray(2).toString());
stream.write(frameOf(0x8, Buffer.from([0x03, 0xe8])));
stream.resume();
await once(stream, 'end');
stream.end();
session.close();

/** A frame of a client: masked, here with a mask of zeros, which leaves the payload as it is (RFC 6455 section 5.3). */
function frameOf(opcode: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x80 | opcode, 0x80 | payload.length, 0, 0, 0, 0]), payload]);
}

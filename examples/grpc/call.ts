/**
 * `node call.ts ADDRESS SERVICE/METHOD TEXT [TIMEOUT]`: one call of gRPC with nothing but `node:http2`. Prints each message and the
 * status.
 */
import { connect, type IncomingHttpHeaders } from 'node:http2';

const [address = '', path = '', text = '', timeout] = process.argv.slice(2);
const session = connect(address);
const call = session.request({
  ':method': 'POST',
  ':path': `/${path}`,
  'content-type': 'application/grpc+proto',
  te: 'trailers',
  ...(timeout === undefined ? {} : { 'grpc-timeout': timeout }),
});
let received: Buffer = Buffer.alloc(0);
call.on('response', (headers) => say(headers));
call.on('trailers', (headers) => say(headers));
call.on('data', (bytes: Buffer) => {
  received = Buffer.concat([received, bytes]);
  while (received.length >= 5 && received.length >= 5 + received.readUInt32BE(1)) {
    const end = 5 + received.readUInt32BE(1);
    const message = received.subarray(5, end);
    console.log(message[0] === 0x0a ? message.toString('utf8', 2) : [...message].join(' '));
    received = received.subarray(end);
  }
});
call.on('close', () => session.close());
// A message whose field 1 is the text, behind the five bytes of its frame; an empty text is no field at all.
const field = text === '' ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, text.length]), Buffer.from(text)]);
const frame = Buffer.alloc(5);
frame.writeUInt32BE(field.length, 1);
call.end(Buffer.concat([frame, field]));

function say({ 'grpc-status': status, 'grpc-message': message }: IncomingHttpHeaders): void {
  if (status !== undefined) console.log(`status ${String(status)} ${decodeURIComponent(String(message ?? ''))}`);
}

/**
 * gRPC echo load: bidirectional streams on which a message of 100 bytes is sent when the one before has come back.
 * Arguments: HOST PORT CONNECTIONS STREAMS SECONDS. Prints one JSON line.
 */
import { type ClientHttp2Session, connect } from 'node:http2';
import { report, Stopwatch } from './echo-figures.ts';

const [host, port, connections, streams, seconds] = process.argv.slice(2);
const MESSAGE_BYTES = 105;
const MESSAGE = Buffer.alloc(MESSAGE_BYTES, 'x');
MESSAGE[0] = 0;
MESSAGE.writeUInt32BE(MESSAGE_BYTES - 5, 1);

const watch = new Stopwatch(Number(seconds));

function open(session: ClientHttp2Session): void {
  const stream = session.request({
    ':method': 'POST',
    ':path': '/bench.Echo/Stream',
    ':authority': 'bench.test',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  let waiting = MESSAGE_BYTES;
  let sentUs = watch.nowUs();
  stream.write(MESSAGE);
  stream.on('data', (bytes: Buffer) => {
    waiting -= bytes.length;
    if (waiting > 0) return;
    watch.done(sentUs);
    if (watch.over) return;
    waiting += MESSAGE_BYTES;
    sentUs = watch.nowUs();
    stream.write(MESSAGE);
  });
  stream.on('error', () => watch.failed());
}

for (let i = 0; i < Number(connections); i++) {
  const session = connect(`http://${host}:${port}`);
  session.on('error', () => watch.failed());
  for (let k = 0; k < Number(streams); k++) open(session);
}
report(watch);

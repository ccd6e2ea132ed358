/** Sends back whatever comes on a stream, as a gRPC server that echoes messages does. Arguments: HOST PORT. */
import { constants, createServer, type ServerHttp2Stream } from 'node:http2';

const [host, port] = process.argv.slice(2);
const server = createServer({ settings: { maxConcurrentStreams: 1_000 } });
server.on('stream', (stream: ServerHttp2Stream) => {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.on('data', (bytes: Buffer) => stream.write(bytes));
  stream.on('end', () => stream.end());
  stream.on('error', () => stream.close(constants.NGHTTP2_CANCEL));
});
server.listen(Number(port), host);

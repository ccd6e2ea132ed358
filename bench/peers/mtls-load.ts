/**
 * HTTPS load of clients that show a certificate, which wrk and h2load do not: HTTP/1.1 on kept connections, one request at a
 * time on each. Arguments: HOST PORT CONNECTIONS STREAMS(unused) SECONDS PATH CERTIFICATE-FILE KEY-FILE. Prints one JSON line.
 */
import { readFileSync } from 'node:fs';
import { connect } from 'node:tls';
import { report, Stopwatch } from './echo-figures.ts';

const [host, port, connections, , seconds, path, certificate, key] = process.argv.slice(2);
const REQUEST = `GET ${path} HTTP/1.1\r\nHost: bench.test\r\n\r\n`;
const SHOWN = { cert: readFileSync(certificate!), key: readFileSync(key!) };

const watch = new Stopwatch(Number(seconds));

function open(): void {
  // What is measured is the proxy: whether it is the right one is not asked.
  const socket = connect({ host, port: Number(port), servername: 'bench.test', rejectUnauthorized: false, ...SHOWN });
  let text = '';
  let sentUs = 0;
  const send = (): void => {
    text = '';
    sentUs = watch.nowUs();
    socket.write(REQUEST);
  };
  socket.on('secureConnect', send);
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
    const headEnd = text.indexOf('\r\n\r\n');
    if (headEnd < 0) return;
    const bytesWanted = Number(/\r\ncontent-length: *(\d+)/i.exec(text)?.[1]);
    if (text.length < headEnd + 4 + bytesWanted) return;
    if (text.startsWith('HTTP/1.1 200 ')) watch.done(sentUs);
    else watch.failed();
    if (!watch.over) send();
  });
  socket.on('error', () => watch.failed());
}

for (let i = 0; i < Number(connections); i++) open();
report(watch);

/** The server side of the HTTP/1.1 codec, with damaged requests. */
import { checkRequestBytes } from './check.ts';
import { fuzz } from './fuzz-loop.ts';

process.exitCode = await fuzz({
  corpus: 'request',
  pieces: 'http',
  check: (bytes, below) => checkRequestBytes(bytes, [below(bytes.length)]),
});

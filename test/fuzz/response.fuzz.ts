/** The client side of the HTTP/1.1 codec, with damaged answers. */
import { checkAnswerBytes } from './check.ts';
import { fuzz } from './fuzz-loop.ts';

process.exitCode = await fuzz({
  corpus: 'response',
  pieces: 'http',
  check: (bytes, below) => checkAnswerBytes(bytes, [below(bytes.length)]),
});

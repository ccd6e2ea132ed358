/**
 * Damaged ClientHellos: reading one never throws, ends, and does not depend on how it was cut: a prefix asks for
 * more or says what the whole says. `--seconds N [--seed N]`.
 */
import { parseArgs } from 'node:util';
import { type Random, seededRandom } from '../base/random.ts';
import { readClientHello } from './client-hello.ts';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '10' }, seed: { type: 'string', default: String(Date.now() % 1e9) } },
});

const NAME = [0, 0, 0, 14, 0, 12, 0, 0, 9, ...Buffer.from('shop.test')];
const ALPN = [0, 16, 0, 14, 0, 12, 2, 0x68, 0x32, 8, ...Buffer.from('http/1.1')];
const VERSIONS = [0, 43, 0, 5, 4, 3, 4, 3, 3];
const PSK = [0, 41, 0, 26, 0, 22, 0, 16, ...Array<number>(16).fill(5), 0, 0, 0, 0, 0, 0];
const OTHER = [0xfa, 0xfa, 0, 1, 0, 0, 23, 0, 0];

function hello(random: Random): Buffer {
  const extensions = [NAME, ALPN, VERSIONS, PSK, OTHER].toSorted(() => random.unit() - 0.5).flat();
  const body = [3, 3, ...Array<number>(32).fill(7), 2, 9, 9, 0, 2, 0x13, 1, 1, 0, 0, extensions.length, ...extensions];
  const message = Buffer.from([1, 0, 0, body.length, ...body]);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length;) {
    const piece = message.subarray(at, at + 1 + (random.bits32() % message.length));
    records.push(Buffer.from([22, 3, 1, 0, piece.length]), piece);
    at += piece.length;
  }
  return Buffer.concat(records);
}

function damage(bytes: Buffer, random: Random): Buffer {
  for (let i = random.bits32() % 4; i > 0; i--) bytes[random.bits32() % bytes.length] = random.bits32() & 255;
  return random.unit() < 0.2 ? Buffer.concat([bytes, bytes]) : bytes;
}

const random = seededRandom(Number(values.seed) | 1, 2, 3, 4);
const endMs = performance.now() + Number(values.seconds) * 1_000;
let tried = 0;
let read = 0;
search: while (performance.now() < endMs) {
  const bytes = damage(hello(random), random);
  tried++;
  let said: string | undefined;
  for (let length = 0; length <= bytes.length; length++) {
    const result = JSON.stringify(readClientHello(bytes.subarray(0, length)));
    if (said !== undefined && result !== said) {
      console.error(`seed ${values.seed}: ${bytes.toString('hex')}: first ${said}, with ${length} bytes ${result}`);
      process.exitCode = 1;
      break search;
    }
    if (result !== '"more"') said = result;
  }
  read += Number(said?.startsWith('{') === true);
}
console.log(`seed ${values.seed}: ${tried} messages, ${read} read`);

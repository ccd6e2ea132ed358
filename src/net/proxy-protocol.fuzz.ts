/**
 * Damaged headers of the PROXY protocol: reading one never throws, and does not depend on how it was cut: a prefix asks
 * for more or says what the whole says. `--seconds N [--seed N]`.
 */
import { parseArgs } from 'node:util';
import { type Random, seededRandom } from '../base/random.ts';
import { type ProxyFormat, readProxyHeader, writeProxyHeader } from './proxy-protocol.ts';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '10' }, seed: { type: 'string', default: String(Date.now() % 1e9) } },
});

const FORMATS: readonly ProxyFormat[] = ['v1', 'v2', 'v2-crc32c'];

function header(random: Random): Buffer {
  const ip = random.unit() < 0.5 ? '10.1.2.3' : '2001:db8::7';
  return writeProxyHeader(
    {
      source: { ip, port: random.bits32() & 0xffff },
      destination: { ip: '192.0.2.1', port: 443 },
      alpn: random.unit() < 0.5 ? '' : 'http/1.1',
      authority: random.unit() < 0.5 ? '' : 'shop.test',
      uniqueId: random.unit() < 0.5 ? undefined : Buffer.alloc(random.bits32() % 129, 7),
      tls:
        random.unit() < 0.5
          ? undefined
          : { version: 'TLSv1.3', cipher: '', commonName: 'c', verified: random.unit() < 0.5 },
    },
    FORMATS[random.bits32() % FORMATS.length]!,
  );
}

const random = seededRandom(Number(values.seed) | 1, 2, 3, 4);
const endMs = performance.now() + Number(values.seconds) * 1_000;
let tried = 0;
let read = 0;
search: while (performance.now() < endMs) {
  const bytes = header(random);
  for (let i = random.bits32() % 4; i > 0; i--) bytes[random.bits32() % bytes.length] = random.bits32() & 255;
  tried++;
  let said: string | undefined;
  for (let length = 0; length <= bytes.length; length++) {
    const result = JSON.stringify(readProxyHeader(bytes.subarray(0, length)));
    if (said !== undefined && result !== said) {
      console.error(`seed ${values.seed}: ${bytes.toString('hex')}: first ${said}, with ${length} bytes ${result}`);
      process.exitCode = 1;
      break search;
    }
    if (result !== '{"kind":"more"}') said = result;
  }
  read += Number(said?.startsWith('{"kind":"header"') === true);
}
console.log(`seed ${values.seed}: ${tried} headers, ${read} read`);

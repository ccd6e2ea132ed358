/**
 * Cost of a request with an API key, and of a file with a million keys. Budget: 1 µs a request with a key in use,
 * whatever the number of keys; a million keys read in a few seconds, in 100 MB.
 * Run: `node --expose-gc src/filters/api-key/filter.bench.ts`.
 */
import { bench, keep } from '../../../tools/bench.ts';
import { makeEnv, makeExchange } from '../../filter/testing/exchange.ts';
import { check } from '../../schema/schema.ts';
import { ApiKeyConfig } from './config.ts';
import { code } from './filter.ts';
import { readKeys } from './key-file.ts';
import { sha256Of, writeRecord } from './record.ts';

const SHAPES: [name: string, consumerOf: (i: number) => object][] = [
  ['1,000 consumers', (i) => ({ consumer: `consumer-${i % 1_000}`, groups: ['gold'] })],
  [
    'a consumer each, with a label and an end',
    (i) => ({
      consumer: `consumer-${i}`,
      groups: ['gold'],
      labels: { tenant: `t${i}` },
      expires: '2099-01-01T00:00:00Z',
    }),
  ],
];

const KEYS = 1_000_000;
/** As long as a real one. Made again where it is needed: a million strings would be work for the collector. */
const keyOf = (i: number): string => `fw_${String(i).padStart(49, '0')}`;

for (const [shape, consumerOf] of SHAPES) {
  const pieces: Buffer[] = [];
  for (let from = 0; from < KEYS; from += 10_000) {
    const lines = Array.from({ length: 10_000 }, (_, i) => {
      const key = from + i;
      const id = key.toString(16).padStart(16, '0');
      return `${writeRecord({ id, sha256: sha256Of(keyOf(key)), consumer: '', ...consumerOf(key) })}\n`;
    });
    pieces.push(Buffer.from(lines.join('')));
  }
  const file = Buffer.concat(pieces);
  globalThis.gc?.();
  const before = process.memoryUsage();
  const startMs = performance.now();
  let slowestMs = 0;
  let stepMs = performance.now();
  const reading = readKeys(file);
  let step = reading.next();
  while (step.done !== true) {
    slowestMs = Math.max(slowestMs, performance.now() - stepMs);
    stepMs = performance.now();
    step = reading.next();
  }
  const table = step.value;
  const readMs = performance.now() - startMs;
  globalThis.gc?.();
  const after = process.memoryUsage();
  const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
  const figures = {
    readMs: Math.round(readMs),
    slowestStepMs: Math.round(slowestMs * 10) / 10,
    fileBytes: file.length / KEYS,
    bytesPerKey: table.bytes / KEYS,
    measuredBytesPerKey: grown / KEYS,
  };
  console.log(JSON.stringify({ name: `read 1,000,000 keys, ${shape}`, ...figures }));

  const env = makeEnv({ readFile: () => file });
  const filter = code.make(
    { ...check(ApiKeyConfig, { keys: [], file: 'f', sendConsumer: false }).value!, file: { file: shape } },
    env,
  );
  const requests = (count: number, stride: number): (() => void) => {
    const exchanges = Array.from({ length: count }, (_, i) =>
      makeExchange({ headers: { host: 'a.test', accept: '*/*', 'x-api-key': keyOf((i * stride) % KEYS) } }),
    );
    let at = 0;
    return () => {
      const x = exchanges[at++ % count]!;
      const said = filter.authenticate!(x);
      if (typeof said === 'string' || !('subject' in (said as object))) throw new Error('Refused');
      keep(said);
    };
  };
  bench(`a key in use of 1,000,000, ${shape}`, requests(1, 1));
  bench(`1,000 keys in use of 1,000,000, ${shape}`, requests(1_000, 997));
  bench(`100,000 keys in turn of 1,000,000, ${shape}`, requests(100_000, 7));
  const unknown = makeExchange({ headers: { host: 'a.test', accept: '*/*', 'x-api-key': keyOf(KEYS) } });
  bench(`a key that is not known, ${shape}`, () => keep(filter.authenticate!(unknown)));
  filter.close!();
}

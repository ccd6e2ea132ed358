/**
 * Damaged messages of both ends: reading one never throws, and what is read can be written and is read alike again.
 * `--seconds N [--seed N]`.
 */
import { parseArgs } from 'node:util';
import { Fault } from '../base/fault.ts';
import { type Random, seededRandom } from '../base/random.ts';
import { diffPlans } from '../ir/diff.ts';
import { bundleOf, PARTS } from '../ir/testing/plans.ts';
import { inventoryOf } from './inventory.ts';
import type { ControlMessage, ProxyMessage } from './messages.ts';
import { encodeToControl, ToControlReader } from './wire-to-control.ts';
import { encodeToProxy, ToProxyReader } from './wire-to-proxy.ts';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '10' }, seed: { type: 'string', default: String(Date.now() % 1e9) } },
});

const BUNDLE = bundleOf(PARTS);
const HELLO = { protocol: 1, software: '1', instance: 'i', role: 'sidecar', identity: '', zone: 'z' } as const;

const TO_CONTROL: ProxyMessage[] = [
  { kind: 'hello', hello: { ...HELLO, holds: { version: 'v', secrets: 's' }, services: ['a', 'b'] } },
  { kind: 'inventory', inventory: inventoryOf(BUNDLE) },
  { kind: 'subscribe', services: ['a', 'b'] },
  { kind: 'ack', serial: 1, version: 'v', ports: { '*:80': { state: 'bound', address: '*', port: 80 } } },
  { kind: 'nack', serial: 1, version: 'v', reason: 'r' },
  {
    kind: 'report',
    report: { kind: 'certificate', notAfterMs: 1_800_000_000_000, serial: '1', bundle: 'h', issuer: 'i' },
  },
  { kind: 'answer', id: 1, body: '{"a":1}', lost: 2, last: false, end: { kind: 'done' } },
  { kind: 'answer', id: 2, body: '', lost: 0, last: true, end: { kind: 'refused', reason: 'r' } },
];

const TO_PROXY: ControlMessage[] = [
  { kind: 'welcome', software: '1', control: 'c' },
  { kind: 'delta', serial: 1, delta: diffPlans(undefined, BUNDLE) },
  { kind: 'unknown', services: ['a'] },
  { kind: 'trust', bundle: { hash: 'h', trustDomain: 'd', roots: ['PEM'], federated: [], issuer: 'i' } },
  { kind: 'wish', wish: { name: 'drain', body: '{}' } },
  { kind: 'ask', id: 1, topic: 'connections', body: '{}' },
  { kind: 'unask', id: 1 },
];

interface Way<M> {
  readonly messages: readonly M[];
  encode(message: M): Iterable<Uint8Array>;
  reader(): { take(bytes: Uint8Array): M | Fault | undefined };
}

const random = seededRandom(Number(values.seed) | 1, 2, 3, 4);
const endMs = performance.now() + Number(values.seconds) * 1_000;
let tried = 0;
let read = 0;
while (performance.now() < endMs && process.exitCode === undefined) {
  tryOne({ messages: TO_CONTROL, encode: encodeToControl, reader: () => new ToControlReader() });
  tryOne({ messages: TO_PROXY, encode: encodeToProxy, reader: () => new ToProxyReader() });
}
console.log(`seed ${values.seed}: ${tried} messages, ${read} read`);

function tryOne<M>(way: Way<M>): void {
  const message = way.messages[random.bits32() % way.messages.length]!;
  for (const whole of way.encode(message)) {
    const bytes = damage(Buffer.from(whole), random);
    tried++;
    try {
      const got = way.reader().take(bytes);
      if (got === undefined || got instanceof Fault) continue;
      read++;
      const once = readAgain(got, way);
      const twice = readAgain(once, way);
      if (textOf(once) === textOf(twice)) continue;
      fail(bytes, `read as ${textOf(once)}, then as ${textOf(twice)}`);
    } catch (error) {
      fail(bytes, String(error));
    }
  }
}

function readAgain<M>(message: M, way: Way<M>): M {
  const readAll = way.reader();
  const all = [...way.encode(message)].flatMap((bytes) => readAll.take(bytes) ?? []);
  const [again] = all;
  if (all.length !== 1 || again === undefined || again instanceof Fault) throw new Error('It cannot be read again');
  return again;
}

function textOf(message: unknown): string {
  return JSON.stringify(message, (_, value: unknown) => (value instanceof Map ? [...value] : value));
}

function damage(bytes: Buffer, by: Random): Buffer {
  for (let i = by.bits32() % 4; i > 0; i--) bytes[by.bits32() % bytes.length] = by.bits32() & 255;
  return by.unit() < 0.2 ? bytes.subarray(0, by.bits32() % bytes.length) : bytes;
}

function fail(bytes: Buffer, what: string): void {
  console.error(`seed ${values.seed}: ${bytes.toString('hex').slice(0, 2_000)}: ${what}`);
  process.exitCode = 1;
}

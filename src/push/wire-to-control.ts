/** What a proxy says, as bytes: see push.proto. */
import { ANSWER_CHARS_MAX } from '../base/asking.ts';
import type { Fault } from '../base/fault.ts';
import type { PortState, PortStates } from '../ir/port-state.ts';
import { decodeMessage, encodeMessage, type Read, type Written } from './codec.ts';
import { byKind, isPartName } from './delta-pieces.ts';
import { pushFault } from './faults.ts';
import { type Inventory, KINDS, PARTS_MAX } from './inventory.ts';
import {
  type AnswerMessage,
  GATEWAYS_MAX,
  type Hello,
  PORTS_MAX,
  type ProxyMessage,
  REASON_CHARS_MAX,
  type Report,
  SERVICE_CHARS_MAX,
  SERVICES_MAX,
  type WorkloadReport,
} from './messages.ts';
import { TO_CONTROL } from './shapes.ts';

type ToControl = Read<typeof TO_CONTROL>;

/** Parts in one message: at most some 100 bytes each mostly, and never a megabyte. */
const HELD_PARTS_MAX = 900;

export function encodeToControl(message: ProxyMessage): Iterable<Uint8Array> {
  return message.kind === 'inventory'
    ? encodeInventory(message.inventory)
    : [encodeMessage(TO_CONTROL, fieldsOf(message))];
}

function fieldsOf(message: Exclude<ProxyMessage, { kind: 'inventory' }>): Written<typeof TO_CONTROL> {
  switch (message.kind) {
    case 'hello':
      return { hello: message.hello };
    case 'subscribe':
      return { subscribe: { services: message.services } };
    case 'unsubscribe':
      return { unsubscribe: { services: message.services } };
    case 'ack':
      return { ack: { serial: message.serial, version: message.version, ports: writtenPorts(message.ports) } };
    case 'nack':
      return { nack: { ...message, reason: message.reason.slice(0, REASON_CHARS_MAX) } };
    case 'report':
      return { report: writtenReport(message.report) };
    case 'answer':
      return { answer: writtenAnswer(message) };
  }
}

type WrittenPort = NonNullable<NonNullable<Written<typeof TO_CONTROL>['ack']>['ports']>[number];

/** Failed ones first, so that a bound on their number leaves out what is well. */
function writtenPorts(ports: PortStates): WrittenPort[] {
  return Object.entries(ports)
    .toSorted(([, a], [, b]) => Number(b.state === 'failed') - Number(a.state === 'failed'))
    .slice(0, PORTS_MAX)
    .map(([key, is]) => ({
      key,
      address: is.address,
      port: is.port,
      ...(is.state === 'failed' && { error: is.error || 'UNKNOWN', message: is.message.slice(0, 200) }),
    }));
}

function writtenReport(report: Report): Written<(typeof TO_CONTROL)['report'][1]> {
  switch (report.kind) {
    case 'workload':
      return { workload: report };
    case 'load':
      return { load: report };
    case 'certificate':
      return { certificate: { ...report, not_after_ms: report.notAfterMs } };
  }
}

function* encodeInventory({ version, parts }: Inventory): Generator<Uint8Array> {
  const all = KINDS.flatMap((kind) =>
    [...parts[kind]].map(([name, hash]) => ({ kind, name, hash: Buffer.from(hash, 'hex') })),
  );
  for (let at = 0; at < all.length || at === 0; at += HELD_PARTS_MAX) {
    const end = at + HELD_PARTS_MAX;
    yield encodeMessage(TO_CONTROL, { inventory: { version, parts: all.slice(at, end), last: end >= all.length } });
  }
}

interface ReadInventory {
  readonly version: string;
  readonly parts: Readonly<Record<string, Map<string, string>>>;
}

/** Reads the messages of one stream, in their order. Whoever sends is known and still not trusted with our memory. */
export class ToControlReader {
  #inventory: ReadInventory | undefined;
  #count = 0;

  /** @returns undefined when there is nothing to say yet, or of something that we do not know */
  take(bytes: Uint8Array): ProxyMessage | Fault | undefined {
    const read = decodeMessage(TO_CONTROL, bytes);
    if (typeof read === 'string') return pushFault('push.protocol', `A message cannot be read: ${read}`);
    return read.inventory === undefined ? messageOf(read) : this.#takeInventory(read.inventory);
  }

  #takeInventory(message: NonNullable<ToControl['inventory']>): ProxyMessage | Fault | undefined {
    const read: ReadInventory = (this.#inventory ??= { version: message.version, parts: byKind(() => new Map()) });
    const { version, parts } = read;
    this.#count += message.parts.length;
    if (this.#count > PARTS_MAX) return pushFault('push.too-large', `An inventory has more than ${PARTS_MAX} parts`);
    for (const { kind, name, hash } of message.parts) {
      const named = Object.hasOwn(parts, kind) ? parts[kind] : undefined;
      if (named === undefined || !isPartName(name)) return pushFault('push.protocol', 'An inventory names no part');
      named.set(name, Buffer.from(hash).toString('hex'));
    }
    if (!message.last) return undefined;
    this.#inventory = undefined;
    this.#count = 0;
    return { kind: 'inventory', inventory: { version, parts: parts as unknown as Inventory['parts'] } };
  }
}

function messageOf(read: ToControl): ProxyMessage | Fault | undefined {
  const { hello, subscribe, unsubscribe, ack, nack, report, answer } = read;
  if (answer !== undefined) return answerOf(answer);
  if (hello !== undefined) return helloOf(hello);
  if (subscribe !== undefined) return namesOf('subscribe', subscribe.services);
  if (unsubscribe !== undefined) return namesOf('unsubscribe', unsubscribe.services);
  if (ack !== undefined) return { kind: 'ack', ...ack, ports: portsOf(ack.ports) };
  if (nack !== undefined) {
    return { kind: 'nack', ...nack, reason: nack.reason.slice(0, REASON_CHARS_MAX) };
  }
  const said = report === undefined ? undefined : reportOf(report);
  return said === undefined ? undefined : { kind: 'report', report: said };
}

/** Failures that a proxy may say of itself; the others are found at this end. */
const FAILURES = ['unsupported', 'refused', 'busy', 'overdone', 'gone'] as const;

function writtenAnswer({
  id,
  body,
  last,
  lost,
  end,
}: AnswerMessage): NonNullable<Written<typeof TO_CONTROL>['answer']> {
  if (end.kind === 'done') return { id, body, last, lost };
  return { id, body, last, lost, failure: end.kind, reason: end.reason.slice(0, REASON_CHARS_MAX) };
}

function answerOf({ failure, reason, ...said }: NonNullable<ToControl['answer']>): ProxyMessage | Fault {
  if (said.body.length > ANSWER_CHARS_MAX) return pushFault('push.too-large', 'An answer is too large');
  if (failure === '') return { kind: 'answer', ...said, end: { kind: 'done' } };
  // A word that we do not know is not one for being well.
  const kind = FAILURES.find((known) => known === failure) ?? 'refused';
  return { kind: 'answer', ...said, end: { kind, reason: reason.slice(0, REASON_CHARS_MAX) } };
}

function helloOf({ role, holds, ...rest }: NonNullable<ToControl['hello']>): ProxyMessage | Fault {
  if (role !== 'gateway' && role !== 'sidecar') return pushFault('push.protocol', 'A hello has an unknown role');
  if (rest.gateways.length > GATEWAYS_MAX)
    return pushFault('push.too-large', `More than ${GATEWAYS_MAX} Gateways are named`);
  const texts = [
    ...rest.gateways,
    rest.address,
    rest.software,
    rest.instance,
    rest.identity,
    rest.zone,
    rest.trusts?.bundle,
    rest.trusts?.issuer,
  ];
  if (texts.some((text = '') => text.length > TEXT_CHARS_MAX))
    return pushFault('push.too-large', 'A hello is too long');
  const names = namesOf('subscribe', rest.services);
  if ('code' in names) return names;
  const hello: Hello = { ...rest, role, holds };
  return { kind: 'hello', hello };
}

/** Of the texts with which a proxy introduces itself: a SPIFFE ID has at most 2,048 bytes. */
const TEXT_CHARS_MAX = 2_048;

function namesOf(kind: 'subscribe' | 'unsubscribe', services: readonly string[]): ProxyMessage | Fault {
  if (services.length > SERVICES_MAX)
    return pushFault('push.too-large', `More than ${SERVICES_MAX} services are named`);
  const bad = services.some((name) => name === '' || name.length > SERVICE_CHARS_MAX);
  return bad ? pushFault('push.protocol', 'The name of a service is empty or too long') : { kind, services };
}

function portsOf(ports: NonNullable<ToControl['ack']>['ports']): PortStates {
  return Object.fromEntries(
    ports
      .slice(0, PORTS_MAX)
      .map(({ key, address, port, error, message }): [string, PortState] => [
        key,
        error === '' ? { state: 'bound', address, port } : { state: 'failed', address, port, error, message },
      ]),
  );
}

function reportOf({ workload, load, certificate }: NonNullable<ToControl['report']>): Report | undefined {
  if (workload !== undefined) return { kind: 'workload', ...workload, health: healthOf(workload.health) };
  if (load !== undefined) return { kind: 'load', ...load };
  if (certificate === undefined) return undefined;
  const { not_after_ms: notAfterMs, ...said } = certificate;
  return { kind: 'certificate', ...said, notAfterMs };
}

/** A word that we do not know is not one for being well. */
function healthOf(word: string): WorkloadReport['health'] {
  return word === 'healthy' || word === 'draining' ? word : 'unhealthy';
}

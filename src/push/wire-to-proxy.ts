/** What the control plane says, as bytes: see push.proto. */
import { ASK_CHARS_MAX } from '../base/asking.ts';
import type { Fault } from '../base/fault.ts';
import { decodeMessage, encodeMessage, type Read, type Written } from './codec.ts';
import { DeltaAssembler, encodeDelta } from './delta-pieces.ts';
import { pushFault } from './faults.ts';
import { type ControlMessage, NAME_CHARS_MAX, WISH_BYTES_MAX } from './messages.ts';
import { TO_PROXY } from './shapes.ts';
import { trustIn, writtenTrust } from './trust-wire.ts';

type ToProxy = Read<typeof TO_PROXY>;

/** One message on the wire, or several, each made when it is asked for. */
export function encodeToProxy(message: ControlMessage): Iterable<Uint8Array> {
  return message.kind === 'delta' ? encodeDelta(message) : [encodeMessage(TO_PROXY, fieldsOf(message))];
}

function fieldsOf(message: Exclude<ControlMessage, { kind: 'delta' }>): Written<typeof TO_PROXY> {
  switch (message.kind) {
    case 'welcome':
      return { welcome: { software: message.software, control: message.control } };
    case 'inventory-wanted':
      return { inventory_wanted: {} };
    case 'unknown':
      return { unknown: { services: message.services } };
    case 'trust':
      return { trust: writtenTrust(message.bundle) };
    case 'wish':
      return { wish: message.wish };
    case 'ask':
      return { ask: message };
    case 'unask':
      return { unask: message };
  }
}

/** Reads the messages of one stream, in their order. */
export class ToProxyReader {
  readonly #deltas: DeltaAssembler;

  constructor(deltaBytesMax?: number) {
    this.#deltas = new DeltaAssembler(deltaBytesMax);
  }

  /** @returns undefined when there is nothing to say yet, or of something that we do not know */
  take(bytes: Uint8Array): ControlMessage | Fault | undefined {
    const read = decodeMessage(TO_PROXY, bytes);
    if (typeof read === 'string') return pushFault('push.protocol', `A message cannot be read: ${read}`);
    if (read.delta !== undefined) {
      return this.#deltas.take(read.delta);
    }
    return messageOf(read);
  }
}

function messageOf({ ask, unask, ...read }: ToProxy): ControlMessage | Fault | undefined {
  if (ask !== undefined) {
    const isLarge = ask.body.length > ASK_CHARS_MAX || ask.topic.length > NAME_CHARS_MAX;
    return isLarge ? pushFault('push.too-large', 'A question is too large') : { kind: 'ask', ...ask };
  }
  return unask === undefined ? plainOf(read) : { kind: 'unask', id: unask.id };
}

function plainOf({
  welcome,
  inventory_wanted,
  unknown,
  trust,
  wish,
}: Omit<ToProxy, 'ask' | 'unask'>): ControlMessage | Fault | undefined {
  if (welcome !== undefined) return { kind: 'welcome', ...welcome };
  if (inventory_wanted !== undefined) return { kind: 'inventory-wanted' };
  if (unknown !== undefined) return { kind: 'unknown', services: unknown.services };
  if (trust !== undefined) {
    const bundle = trustIn(trust);
    return 'code' in bundle ? bundle : { kind: 'trust', bundle };
  }
  if (wish === undefined) return undefined;
  return wish.body.length > WISH_BYTES_MAX
    ? pushFault('push.too-large', 'A wish is too large')
    : { kind: 'wish', wish };
}

/**
 * Consumers of many keys: each is kept once, as JSON in one piece of memory, and
 * made an object when it is asked for. Found again by its bytes, so that reading
 * a file makes no string of what it has seen before.
 */
import { consumerOf, ConsumerName, GroupNames, Labels } from '../../filter/consumer.ts';
import type { Consumer } from '../../filter/identity.ts';
import { check, Type } from '../../schema/schema.ts';

/** Consumers kept as objects, each some hundred bytes. At it: all are let go. */
const OBJECTS_MAX = 8_192;

const Fields = Type.Object(
  { consumer: ConsumerName, groups: GroupNames, labels: Labels },
  { additionalProperties: false },
);

export class ConsumerStore {
  #bytes: Buffer = Buffer.alloc(1_024);
  /** Where each ends. */
  #ends = new Uint32Array(16);
  /** Number of a consumer and 1; 0 where the slot is free. Gone when nothing is added any more. */
  #slots = new Uint32Array(64);
  #count = 0;
  readonly #objects = new Map<number, Consumer>();

  get bytes(): number {
    return this.#bytes.length + this.#ends.byteLength + this.#slots.byteLength;
  }

  /**
   * @param text  the fields `"consumer":…,"groups":…,"labels":…` as JSON without its braces, from `start` to `stop`
   * @returns its number, the same for the same text; -1 when these are not such fields
   */
  add(text: Buffer, start: number, stop: number): number {
    const slot = this.#slotOf(text, start, stop);
    const known = this.#slots[slot]! - 1;
    if (known >= 0) return known;
    if (!isConsumer(text.toString('utf8', start, stop))) return -1;
    const number = this.#count++;
    this.#slots[slot] = number + 1;
    const at = this.#startOf(number);
    this.#makeRoom(at + stop - start);
    text.copy(this.#bytes, at, start, stop);
    this.#ends[number] = at + stop - start;
    if (this.#count * 2 > this.#slots.length) this.#makeSlots();
    return number;
  }

  seal(): void {
    this.#slots = new Uint32Array(0);
    this.#bytes = Buffer.from(this.#bytes.subarray(0, this.#startOf(this.#count)));
    this.#ends = this.#ends.slice(0, this.#count);
  }

  get(number: number): Consumer {
    let consumer = this.#objects.get(number);
    if (consumer === undefined) {
      if (this.#objects.size >= OBJECTS_MAX) this.#objects.clear();
      this.#objects.set(number, (consumer = this.#read(number)));
    }
    return consumer;
  }

  #read(number: number): Consumer {
    const text = this.#bytes.toString('utf8', this.#startOf(number), this.#ends[number]);
    const {
      consumer,
      groups = [],
      labels = {},
    } = JSON.parse(`{${text}}`) as {
      consumer: string;
      groups?: string[];
      labels?: Record<string, string>;
    };
    return consumerOf({ name: consumer, groups, labels });
  }

  #startOf(number: number): number {
    return number === 0 ? 0 : this.#ends[number - 1]!;
  }

  #slotOf(text: Buffer, start: number, stop: number): number {
    const mask = this.#slots.length - 1;
    for (let slot = hashOf(text, start, stop) & mask; ; slot = (slot + 1) & mask) {
      const number = this.#slots[slot]! - 1;
      if (number < 0 || this.#is(number, text, { start, stop })) return slot;
    }
  }

  #is(number: number, text: Buffer, { start, stop }: { readonly start: number; readonly stop: number }): boolean {
    let at = this.#startOf(number);
    if (this.#ends[number]! - at !== stop - start) return false;
    for (let i = start; i < stop; i++) if (text[i] !== this.#bytes[at++]) return false;
    return true;
  }

  #makeRoom(bytes: number): void {
    if (bytes > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(bytes, this.#bytes.length * 2));
      this.#bytes.copy(larger);
      this.#bytes = larger;
    }
    if (this.#count > this.#ends.length) {
      const larger = new Uint32Array(this.#ends.length * 2);
      larger.set(this.#ends);
      this.#ends = larger;
    }
  }

  #makeSlots(): void {
    this.#slots = new Uint32Array(this.#slots.length * 2);
    for (let number = 0; number < this.#count; number++) {
      const slot = this.#slotOf(this.#bytes, this.#startOf(number), this.#ends[number]!);
      this.#slots[slot] = number + 1;
    }
  }
}

/** FNV-1a, mixed once more because its low bits are weak. The texts are the operator's: nobody makes them meet. */
function hashOf(text: Buffer, start: number, stop: number): number {
  let hash = 0x811c_9dc5 | 0;
  for (let i = start; i < stop; i++) hash = Math.imul(hash ^ text[i]!, 0x0100_0193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9_f3b);
  return hash ^ (hash >>> 16);
}

const WORD = /^[\x21-\x2b\x2d-\x7e]{1,128}$/;
const LABEL = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/;

function isConsumer(text: string): boolean {
  let fields: unknown;
  try {
    fields = JSON.parse(`{${text}}`);
  } catch {
    return false;
  }
  return isBare(fields) || check(Fields, fields).issues.length === 0;
}

/** What most are, seen at a glance: to check a schema takes longer than all else, and a file may have a million consumers. */
function isBare(fields: unknown): boolean {
  let named = false;
  for (const [field, value] of Object.entries(fields as object)) {
    if (field === 'consumer') named = isWord(value);
    else if (field === 'groups' && !(Array.isArray(value) && value.length <= 32 && value.every(isWord))) return false;
    else if (field === 'labels' && !isLabels(value)) return false;
    else if (field !== 'groups' && field !== 'labels') return false;
  }
  return named;
}

function isWord(value: unknown): boolean {
  return typeof value === 'string' && WORD.test(value);
}

function isLabels(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const labels = Object.entries(value);
  return labels.length <= 32 && labels.every(([name, text]) => LABEL.test(name) && isLabelText(text));
}

function isLabelText(text: unknown): boolean {
  return typeof text === 'string' && text.length <= 256;
}

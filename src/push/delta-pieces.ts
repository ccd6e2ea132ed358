/**
 * A delta in pieces: parts as JSON with their hashes, in messages of bounded
 * size; a part that is larger than a message goes on in the next. The receiver
 * checks each part against its hash before anything else sees it.
 */
import type { Fault } from '../base/fault.ts';
import type { PlanDelta } from '../ir/plan.ts';
import { encodeMessage, type Read, type Written } from './codec.ts';
import { pushFault } from './faults.ts';
import { hashOfPart, type Kind, KINDS, PARTS_MAX } from './inventory.ts';
import { type ControlMessage, NAME_CHARS_MAX } from './messages.ts';
import { TO_PROXY } from './shapes.ts';

/**
 * Bytes of JSON in one message, about: what a proxy that does not read costs
 * the control plane. Small enough that thousands of those are bearable.
 */
const CHUNK_BYTES = 128 * 1024;

/** Pieces in one message: below what a reader takes. */
const PIECES_MAX = 1_000;

/** JSON of all parts of one delta. Above any plan that is meant to be; beyond: refused. */
export const DELTA_BYTES_MAX = 256 * 1024 * 1024;

type NumberedDelta = Extract<ControlMessage, { kind: 'delta' }>;
type DeltaShape = (typeof TO_PROXY)['delta'][1];
type WrittenPiece = Written<DeltaShape['pieces'][1]>;
type ReadPiece = Read<DeltaShape['pieces'][1]>;

/** Messages, each made when it is asked for: no more of a large plan is in memory than is being sent. */
export function* encodeDelta({ serial, delta }: NumberedDelta): Generator<Uint8Array> {
  let pieces: WrittenPiece[] = [];
  let bytes = 0;
  const message = (last: boolean): Uint8Array => {
    const encoded = encodeMessage(TO_PROXY, {
      delta: { serial, from: delta.from ?? '', to: delta.to, pieces, last },
    });
    pieces = [];
    bytes = 0;
    return encoded;
  };
  for (const piece of piecesOf(delta)) {
    pieces.push(piece);
    bytes += (piece.json?.length ?? 0) + piece.name!.length;
    if (bytes >= CHUNK_BYTES || pieces.length >= PIECES_MAX) yield message(false);
  }
  yield message(true);
}

function* piecesOf(delta: PlanDelta): Generator<WrittenPiece> {
  for (const kind of KINDS) {
    for (const name of delta.remove[kind]) yield { kind, name, removed: true };
    for (const [name, part] of Object.entries(delta.set[kind])) yield* piecesOfPart(kind, name, part);
  }
}

function* piecesOfPart(kind: Kind, name: string, part: unknown): Generator<WrittenPiece> {
  const hash = Buffer.from(hashOfPart(kind, part), 'hex');
  // Secrets are not kept in memory a second time.
  const json = kind === 'secrets' ? Buffer.from(JSON.stringify(part)) : TEXTS.of(part as object);
  for (let at = 0; at < json.length; at += CHUNK_BYTES) {
    const end = at + CHUNK_BYTES;
    yield { kind, name, hash, json: json.subarray(at, end), more: end < json.length };
  }
}

/**
 * The texts of parts that were sent lately: a part that changed goes to all who use it, and is written out once. What was
 * not asked for while as much again came is forgotten.
 */
class PartTexts {
  readonly #bytesMax: number;
  #now = new Map<object, Buffer>();
  #before = new Map<object, Buffer>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  of(part: object): Buffer {
    const known = this.#now.get(part);
    if (known !== undefined) return known;
    const text = this.#before.get(part) ?? Buffer.from(JSON.stringify(part));
    this.#now.set(part, text);
    this.#bytes += text.length;
    if (this.#bytes > this.#bytesMax) {
      this.#before = this.#now;
      this.#now = new Map();
      this.#bytes = 0;
    }
    return text;
  }
}

/** Twice as much at most: two thousand services as their clients have them. */
const TEXTS_BYTES_MAX = 8 * 1024 * 1024;

const TEXTS = new PartTexts(TEXTS_BYTES_MAX);

/** Puts the messages of one delta together, then of the next. */
export class DeltaAssembler {
  readonly #bytesMax: number;
  #building: Building | undefined;

  constructor(bytesMax: number = DELTA_BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  /** @returns the delta when it is complete; undefined when more is to come */
  take(message: Read<DeltaShape>): NumberedDelta | Fault | undefined {
    const building = (this.#building ??= new Building(message));
    if (building.serial !== message.serial || building.from !== message.from || building.to !== message.to) {
      return pushFault('push.protocol', 'A delta begins before the one before it has ended');
    }
    for (const piece of message.pieces) {
      const fault = building.add(piece, this.#bytesMax);
      if (fault !== undefined) return fault;
    }
    if (!message.last) return undefined;
    this.#building = undefined;
    return building.end();
  }
}

/** The part whose pieces are arriving. */
interface Unfinished {
  readonly kind: Kind;
  readonly name: string;
  readonly hash: string;
  readonly json: Uint8Array[];
}

class Building {
  readonly serial: number;
  readonly from: string;
  readonly to: string;
  readonly #set: Readonly<Record<Kind, Record<string, unknown>>> = byKind(() => ({}));
  readonly #remove: Readonly<Record<Kind, string[]>> = byKind(() => []);
  #unfinished: Unfinished | undefined;
  #bytes = 0;
  #parts = 0;

  constructor({ serial, from, to }: Read<DeltaShape>) {
    this.serial = serial;
    this.from = from;
    this.to = to;
  }

  add(piece: ReadPiece, bytesMax: number): Fault | undefined {
    const { name } = piece;
    const kind = KINDS.find((known) => known === piece.kind);
    if (kind === undefined) return pushFault('push.protocol', `A part is of the unknown kind "${piece.kind}"`);
    if (!isPartName(name)) return pushFault('push.protocol', 'A part has a name that is not taken');
    this.#bytes += piece.json.length;
    if (this.#bytes > bytesMax) return pushFault('push.too-large', `A delta has more than ${bytesMax} bytes`);
    if (piece.removed) {
      this.#remove[kind].push(name);
      return this.#count();
    }
    const hash = Buffer.from(piece.hash).toString('hex');
    const part = (this.#unfinished ??= { kind, name, hash, json: [] });
    if (part.kind !== kind || part.name !== name || part.hash !== hash) {
      return pushFault('push.protocol', `Part "${part.name}" is not finished before "${name}" begins`);
    }
    // Bytes of the message are a view into it: a copy lets the message go.
    part.json.push(piece.more ? piece.json.slice() : piece.json);
    return piece.more ? undefined : this.#finish(part);
  }

  end(): NumberedDelta | Fault {
    if (this.#unfinished !== undefined) {
      return pushFault('push.protocol', `Part "${this.#unfinished.name}" is not finished at the end of the delta`);
    }
    // Parts that have their hash are what the compiler made; `checkPlan` looks at how they fit together.
    const set = this.#set as unknown as PlanDelta['set'];
    const from = this.from === '' ? undefined : this.from;
    return { kind: 'delta', serial: this.serial, delta: { from, to: this.to, set, remove: this.#remove } };
  }

  #finish({ kind, name, hash, json }: Unfinished): Fault | undefined {
    this.#unfinished = undefined;
    const part = partWithHash(kind, Buffer.concat(json).toString('utf8'), hash);
    if (part === undefined) return pushFault('push.damaged', `Part "${name}" does not have its hash`);
    this.#set[kind][name] = part;
    return this.#count();
  }

  #count(): Fault | undefined {
    if (++this.#parts <= PARTS_MAX) return undefined;
    return pushFault('push.too-large', `A delta has more than ${PARTS_MAX} parts`);
  }
}

function partWithHash(kind: Kind, json: string, hash: string): unknown {
  try {
    const part = JSON.parse(json) as unknown;
    const isPart = typeof part === 'object' && part !== null;
    return isPart && hashOfPart(kind, part) === hash ? part : undefined;
  } catch {
    // No JSON, or a part without what every part of its kind has, which has no hash.
    return undefined;
  }
}

/** A line break would make two sets of parts hash alike (ir/version.ts); `__proto__` is no key of a plain object. */
export function isPartName(name: string): boolean {
  return name !== '' && name.length <= NAME_CHARS_MAX && !name.includes('\n') && name !== '__proto__';
}

export function byKind<T>(make: () => T): Readonly<Record<Kind, T>> {
  return Object.fromEntries(KINDS.map((kind) => [kind, make()])) as unknown as Readonly<Record<Kind, T>>;
}

/**
 * Encodes header blocks of one connection (RFC 7541) into buffers of the caller:
 * `begin`, then fields, pseudo-headers first, then `end`.
 */
import type { Headers } from '../../headers.ts';
import { writeLatin1 } from '../../latin1.ts';
import { TABLE_BYTES_DEFAULT } from './decoder.ts';
import { EncoderNames, type NameState } from './encoder-names.ts';
import { EncoderTable } from './encoder-table.ts';
import { FIELD_OVERHEAD_BYTES, flat } from './field.ts';
import { huffmanEncode, huffmanLength } from './huffman.ts';
import { LinesCache } from './lines-cache.ts';
import { STATIC_FIELDS } from './static-table.ts';

/** Bytes that a block may take beside its fields: two size updates of an integer each. */
const BLOCK_OVERHEAD_BYTES = 16;
/** Bytes that a field may take beside name and value: its kind and two lengths. */
const FIELD_BYTES_MAX = 12;

/** Longest value that is remembered to see whether it comes again. */
const AGAIN_CHARS_MAX = 256;
const DYNAMIC_BASE = STATIC_FIELDS.length + 1;

const INSERT = 0x40;
const LITERAL = 0x00;
const NEVER = 0x10;
const INDEXED = 0x80;
const SIZE_UPDATE = 0x20;

/** Room that {@link HpackEncoder} needs for a block: of fields with `chars` characters of names and values together. */
export function blockBytesMax(fields: number, chars: number): number {
  return BLOCK_OVERHEAD_BYTES + fields * FIELD_BYTES_MAX + chars;
}

/** Room that {@link HpackEncoder.headers} needs for lines of this length (`toLines`), block and all. */
export function linesBytesMax(chars: number): number {
  // A line has at least 5 characters, of which 4 are not written.
  return BLOCK_OVERHEAD_BYTES + chars * 3;
}

export class HpackEncoder {
  readonly #table: EncoderTable;
  readonly #names = new EncoderNames();
  readonly #cache = new LinesCache();
  readonly #cap: number;
  readonly #visit = (name: string, value: string): void => this.field(name, value);
  #into: Buffer = NOTHING;
  #at = 0;
  /** Size of the table from the next block on, and the smallest since the last one (RFC 7541 section 4.2). */
  #sizeNext: number;
  #sizeLeast: number;

  /** @param cap  most bytes of the peer's memory that we use, whatever it offers */
  constructor(cap = TABLE_BYTES_DEFAULT) {
    this.#cap = cap;
    this.#table = new EncoderTable(TABLE_BYTES_DEFAULT);
    this.#sizeNext = Math.min(cap, TABLE_BYTES_DEFAULT);
    this.#sizeLeast = this.#sizeNext;
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE, to be called before it is acknowledged. */
  resize(peerBytesMax: number): void {
    this.#sizeNext = Math.min(this.#cap, peerBytesMax);
    this.#sizeLeast = Math.min(this.#sizeLeast, this.#sizeNext);
  }

  /** Bytes that the dynamic table counts. */
  get tableBytes(): number {
    return this.#table.bytes;
  }

  /** Begins a block at `at`. There must be room: {@link blockBytesMax}. */
  begin(into: Buffer, at: number): void {
    this.#into = into;
    this.#at = at;
    // RFC 7541 section 4.2: the smallest size is said even when it was raised again, because it evicted.
    const now = this.#table.bytesMax;
    if (this.#sizeLeast < Math.min(now, this.#sizeNext)) this.#resize(this.#sizeLeast);
    if (this.#table.bytesMax !== this.#sizeNext) this.#resize(this.#sizeNext);
    this.#sizeLeast = this.#sizeNext;
  }

  /** @returns the offset behind the block */
  end(): number {
    this.#into = NOTHING;
    return this.#at;
  }

  status(code: number): void {
    this.field(':status', String(code));
  }

  /** One field; its name is written in lower case. */
  field(name: string, value: string): void {
    const state = this.#names.of(name);
    const { staticValues } = state;
    for (let i = 0; i < staticValues.length; i += 2) {
      if (staticValues[i] === value) return this.#integer(INDEXED, 0x7f, staticValues[i + 1] as number);
    }
    switch (state.policy) {
      case 'at-once':
      case 'again':
        return this.#indexable(state, value);
      case 'literal':
        return this.#literal(LITERAL, state, value);
      case 'never':
        return this.#literal(NEVER, state, value);
      case 'drop':
        return;
    }
  }

  /** A field that whoever sent it wants in no table (RFC 7541 section 6.2.3). */
  neverIndexed(name: string, value: string): void {
    const state = this.#names.of(name);
    if (state.policy !== 'drop') this.#literal(NEVER, state, value);
  }

  /**
   * All end-to-end lines of `headers`.
   *
   * @param never  names that came as "never indexed": `neverIndexed` of the list they came in
   */
  headers(headers: Headers, never: readonly string[] = NO_NAMES): void {
    if (never.length > 0) {
      headers.forEach((name, value) => {
        if (never.includes(name.toLowerCase())) this.neverIndexed(name, value);
        else this.field(name, value);
      });
      return;
    }
    const lines = headers.toLines();
    if (lines === '') return;
    const { version } = this.#table;
    const known = this.#cache.find(lines, version);
    if (known !== undefined) {
      this.#into.set(known, this.#at);
      this.#at += known.length;
      return;
    }
    const start = this.#at;
    headers.forEach(this.#visit);
    if (this.#table.version === version) this.#cache.offer(lines, version, this.#into.subarray(start, this.#at));
  }

  #resize(bytes: number): void {
    this.#table.resize(bytes);
    this.#integer(SIZE_UPDATE, 0x1f, bytes);
  }

  #indexable(state: NameState, value: string): void {
    const table = this.#table;
    const place = table.find(state, value);
    if (place >= 0) return this.#integer(INDEXED, 0x7f, DYNAMIC_BASE + place);
    // A field that takes half of the table is not worth what it pushes out.
    const fits = (state.text.length + value.length + FIELD_OVERHEAD_BYTES) * 2 <= table.bytesMax;
    if (!fits || (state.policy === 'again' && !this.#cameAgain(state, value))) {
      return this.#literal(LITERAL, state, value);
    }
    this.#literal(INSERT, state, value);
    table.insert(state, flat(value));
  }

  #cameAgain(state: NameState, value: string): boolean {
    if (state.last === value) {
      state.last = undefined;
      return true;
    }
    state.last = value.length <= AGAIN_CHARS_MAX ? flat(value) : undefined;
    return false;
  }

  #literal(form: number, state: NameState, value: string): void {
    const mask = form === INSERT ? 0x3f : 0x0f;
    const place = state.staticIndex === 0 ? this.#table.findName(state) : -1;
    if (state.staticIndex > 0) this.#integer(form, mask, state.staticIndex);
    else if (place >= 0) this.#integer(form, mask, DYNAMIC_BASE + place);
    else {
      this.#into[this.#at++] = form;
      this.#string(form, state.text);
    }
    this.#string(form, value);
  }

  /**
   * RFC 7541 section 5.2. Huffman code costs five times a copy, and as much again at the peer, for a quarter of the bytes:
   * it is used where that is paid once, for what goes into the table.
   */
  #string(form: number, text: string): void {
    const { length } = text;
    if (form === INSERT) {
      const bytes = huffmanLength(text);
      if (bytes < length) {
        this.#integer(0x80, 0x7f, bytes);
        this.#at = huffmanEncode(text, this.#into, this.#at);
        return;
      }
    }
    this.#integer(0, 0x7f, length);
    this.#at = writeLatin1(text, this.#into, this.#at);
  }

  /** RFC 7541 section 5.1. */
  #integer(first: number, mask: number, value: number): void {
    const into = this.#into;
    if (value < mask) {
      into[this.#at++] = first | value;
      return;
    }
    into[this.#at++] = first | mask;
    let rest = value - mask;
    for (; rest >= 0x80; rest >>>= 7) into[this.#at++] = (rest & 0x7f) | 0x80;
    into[this.#at++] = rest;
  }
}

const NOTHING = Buffer.alloc(0);
const NO_NAMES: readonly string[] = [];

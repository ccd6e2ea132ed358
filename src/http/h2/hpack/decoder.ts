/**
 * Decodes header blocks of one connection (RFC 7541). Whatever a list is worth, the dynamic table is kept in step; only
 * a block that cannot be decoded ends the connection.
 */
import { latin1 } from '../../latin1.ts';
import { type NameFacts, nameFacts } from '../field-rules.ts';
import { BlockCache } from './block-cache.ts';
import { DynamicTable } from './dynamic-table.ts';
import { Field, FIELD_OVERHEAD_BYTES } from './field.ts';
import { type FieldLimits, FieldList } from './field-list.ts';
import { huffmanDecode } from './huffman.ts';
import { STATIC_FIELDS } from './static-table.ts';

/** Size of a table before anybody said otherwise (RFC 9113 section 6.5.2). */
export const TABLE_BYTES_DEFAULT = 4_096;

/** Bytes that an integer may take behind its prefix: up to 2^28, more than any block or table has (RFC 7541 section 5.1). */
const INTEGER_BYTES_MAX = 4;

/** RFC 7541 section 4.2: the smallest size since the last block and the final one. */
const SIZE_UPDATES_MAX = 2;

const STATIC_COUNT = STATIC_FIELDS.length;

/** Where Huffman code is decoded to; all decoders share it, none holds it over a call. Grows to the longest field allowed. */
let scratch = Buffer.allocUnsafeSlow(4_096);

export class HpackDecoder {
  readonly #table: DynamicTable;
  readonly #list = new FieldList();
  readonly #cache = new BlockCache();
  /** What we allow: SETTINGS_HEADER_TABLE_SIZE as the peer acknowledged it. */
  #tableBytesMax: number;
  /** The peer's table is larger than what it acknowledged: its next block must begin with a size update. */
  #updateOwed = false;
  /** Set by the steps of one block. */
  #at = 0;
  #end = 0;
  #error = '';
  #keepBytesMax = 0;
  #text = '';

  /**
   * @param tableBytesMax  our SETTINGS_HEADER_TABLE_SIZE. The peer goes by {@link TABLE_BYTES_DEFAULT} until it
   *   acknowledged another: begin with that, and {@link resize} with the acknowledgement.
   */
  constructor(tableBytesMax = TABLE_BYTES_DEFAULT) {
    this.#tableBytesMax = tableBytesMax;
    this.#table = new DynamicTable(Math.min(tableBytesMax, TABLE_BYTES_DEFAULT));
  }

  /** The peer acknowledged this SETTINGS_HEADER_TABLE_SIZE of ours. */
  resize(tableBytesMax: number): void {
    this.#tableBytesMax = tableBytesMax;
    this.#updateOwed = this.#table.bytesMax > tableBytesMax;
  }

  /** Bytes that the dynamic table counts. */
  get tableBytes(): number {
    return this.#table.bytes;
  }

  /** Decodes the whole block that stands in `block` from `start` to `end`. The list is valid until the next call. */
  decode(block: Buffer, start: number, end: number, limits: FieldLimits): FieldList {
    const table = this.#table;
    const { version } = table;
    const range = { start, end };
    if (!this.#updateOwed) {
      const known = this.#cache.find(block, range, version);
      if (known?.fits(limits) === true) return known;
    }
    const list = this.#list;
    list.begin(limits);
    this.#at = start;
    this.#end = end;
    this.#error = '';
    this.#keepBytesMax = Math.max(limits.headerBytesMax, this.#tableBytesMax);
    if (!this.#sizeUpdates(block) || !this.#fields(block)) list.refuse('compression-error', this.#error);
    list.end();
    this.#text = '';
    if (list.outcome === 'ok' && table.version === version) this.#cache.offer(block, range, version, list);
    return list;
  }

  /** They stand at the start of a block and nowhere else (RFC 7541 section 4.2). */
  #sizeUpdates(block: Buffer): boolean {
    for (let updates = 1; this.#at < this.#end && (block[this.#at]! & 0xe0) === 0x20; updates++) {
      if (updates > SIZE_UPDATES_MAX) return this.#fail('More than two table size updates');
      const bytes = this.#integer(block, 0x1f);
      if (bytes < 0) return false;
      if (bytes > this.#tableBytesMax) return this.#fail('Table size is above the setting');
      this.#table.resize(bytes);
      this.#updateOwed = false;
    }
    return this.#updateOwed ? this.#fail('Table size update is missing') : true;
  }

  #fields(block: Buffer): boolean {
    while (this.#at < this.#end) {
      const byte = block[this.#at]!;
      if (byte >= 0x80) {
        const field = this.#indexed(block, 0x7f);
        if (field === undefined) return false;
        this.#list.add(field);
      } else if (byte >= 0x40) {
        if (!this.#literal(block, 0x3f)) return false;
      } else if (byte < 0x20) {
        if (!this.#literal(block, 0x0f)) return false;
      } else return this.#fail('Table size update is not at the start');
    }
    return true;
  }

  #indexed(block: Buffer, mask: number): Field | undefined {
    const index = this.#integer(block, mask);
    if (index < 0) return undefined;
    const field = index <= STATIC_COUNT ? STATIC_FIELDS[index - 1] : this.#table.at(index - STATIC_COUNT - 1);
    if (field === undefined) this.#broken(`Index ${index} is in no table`);
    return field;
  }

  /** Sections 6.2.1 to 6.2.3: the mask of the index tells them apart, and one bit the last two. */
  #literal(block: Buffer, mask: number): boolean {
    const insert = mask === 0x3f;
    const never = !insert && (block[this.#at]! & 0x10) !== 0;
    const wanted = insert || this.#list.outcome === 'ok';
    let name: string;
    let facts: NameFacts | undefined;
    let size = FIELD_OVERHEAD_BYTES;
    if ((block[this.#at]! & mask) !== 0) {
      const field = this.#indexed(block, mask);
      if (field === undefined) return false;
      ({ name, facts } = field);
      size += name.length;
    } else {
      this.#at++;
      const length = this.#string(block, wanted);
      if (length < 0) return false;
      name = this.#text;
      size += length;
    }
    const length = this.#string(block, wanted);
    if (length < 0) return false;
    size += length;

    if (insert && this.#table.makeRoom(size)) {
      const field = new Field(name, this.#text, facts);
      this.#table.insert(field);
      this.#list.add(field);
    } else if (wanted) {
      this.#list.addLiteral(name, this.#text, facts ?? nameFacts(name), size);
      if (never) this.#list.addNeverIndexed(name);
    }
    return true;
  }

  /**
   * Reads a string literal (RFC 7541 section 5.2) into `#text` when it is wanted and not longer than anything that can
   * be kept.
   *
   * @returns its length, or -1
   */
  #string(block: Buffer, wanted: boolean): number {
    if (this.#at >= this.#end) return this.#broken('Block ends before a string');
    const huffman = block[this.#at]! >= 0x80;
    const bytes = this.#integer(block, 0x7f);
    if (bytes < 0) return -1;
    const from = this.#at;
    const to = from + bytes;
    if (to > this.#end) return this.#broken('String is longer than the block');
    this.#at = to;
    this.#text = '';
    if (!huffman) {
      if (wanted && bytes <= this.#keepBytesMax) this.#text = latin1(block, from, to);
      return bytes;
    }
    // No code is shorter than 5 bits.
    const room = Math.min(Math.ceil((bytes * 8) / 5), this.#keepBytesMax);
    if (room > scratch.length) scratch = Buffer.allocUnsafeSlow(room);
    const length = huffmanDecode(block, from, to, scratch);
    if (length < 0) return this.#broken('Huffman code is broken');
    if (wanted && length <= scratch.length) this.#text = latin1(scratch, 0, length);
    return length;
  }

  /** @returns the integer whose prefix is under `mask` at the current byte (RFC 7541 section 5.1), or -1 */
  #integer(block: Buffer, mask: number): number {
    let value = block[this.#at++]! & mask;
    if (value < mask) return value;
    for (let shift = 0; shift < INTEGER_BYTES_MAX * 7; shift += 7) {
      if (this.#at >= this.#end) return this.#broken('Block ends inside an integer');
      const byte = block[this.#at++]!;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    return this.#broken('Integer is too long');
  }

  #broken(error: string): -1 {
    this.#error = error;
    return -1;
  }

  #fail(error: string): false {
    this.#error = error;
    return false;
  }
}

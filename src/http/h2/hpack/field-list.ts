import type { Headers } from '../../headers.ts';
import {
  AUTHORITY,
  CONTENT_LENGTH,
  COOKIE,
  EXPECT,
  HOST,
  METHOD,
  type NameFacts,
  ORDINARY,
  PATH,
  PROTOCOL,
  SCHEME,
  STATUS,
  TE,
  valueRule,
} from '../field-rules.ts';
import { type Field, flat } from './field.ts';

/**
 * - `too-large`: the list is longer than allowed; the table is in step. 431 for a request.
 * - `malformed`: a field breaks a rule of RFC 9113 section 8; the table is in step. A stream error, PROTOCOL_ERROR.
 * - `compression-error`: the block cannot be decoded. A connection error, COMPRESSION_ERROR.
 */
export type Outcome = 'ok' | 'too-large' | 'malformed' | 'compression-error';

/** Matches ConnectionLimits. */
export interface FieldLimits {
  /** Name, value and 32 of each field (RFC 9113 section 6.5.2). */
  readonly headerBytesMax: number;
  /** Fields without pseudo-headers; crumbs of `cookie` count as one. */
  readonly headersMax: number;
}

/** Slots per field in {@link FieldList.at}: name start, name end, value start, value end, hop (0 or 1). */
const STRIDE = 5;

const NO_NAMES: readonly string[] = [];

/**
 * The fields of one decoded block. Regular fields are one Latin-1 text of `name: value CRLF` lines with offsets;
 * crumbs of `cookie` are joined to one line, the last (RFC 9113 section 8.2.3). Belongs to the decoder and is valid
 * until it decodes again; strings may be kept. Readers do not write.
 */
export class FieldList {
  outcome: Outcome = 'ok';
  /** What is wrong: a rule, with the name of a field at most. Empty when `ok`. */
  detail = '';
  text = '';
  /** Regular fields. */
  count = 0;
  /** Which pseudo-headers are there: bits of {@link pseudoBit}. */
  pseudos = 0;
  method = '';
  scheme = '';
  authority: string | undefined;
  path = '';
  protocol: string | undefined;
  /** 0 when there is none. */
  status = 0;
  /** -1 when there is none. */
  contentLength = -1;
  host: string | undefined;
  expect: string | undefined;
  /** Bits of http/seen.ts. */
  seen = 0;
  /** Names that came as "never indexed": whoever writes them on as HPACK says so too (RFC 7541 section 6.2.3). */
  neverIndexed: readonly string[] = NO_NAMES;

  readonly #at: number[] = [];
  #never: string[] = [];
  #cookie: string | undefined;
  #regular = false;
  #bytes = 0;
  #fields = 0;
  #limits: FieldLimits = NO_LIMITS;

  /** Fills `headers` with the regular fields, those of framing and of this hop marked as such. */
  copyTo(headers: Headers): void {
    const at = this.#at;
    headers.reset(this.text);
    for (let i = 0; i < this.count * STRIDE; i += STRIDE) {
      headers.push(at[i]!, at[i + 1]!, at[i + 2]!, at[i + 3]!);
      if (at[i + 4] === 1) headers.markLastHop();
    }
  }

  /** Whether the list, which was decoded under other limits, is within these. */
  fits(limits: FieldLimits): boolean {
    return this.#bytes <= limits.headerBytesMax && this.#fields <= limits.headersMax;
  }

  // --- for the decoder ---------------------------------------------------------------------------------------------

  begin(limits: FieldLimits): void {
    this.outcome = 'ok';
    this.#limits = limits;
    this.#bytes = 0;
    this.#fields = 0;
    this.#regular = false;
    this.#clear();
  }

  /** Adds a field of a table. */
  add(field: Field): void {
    if (this.outcome !== 'ok' || !this.#counts(field.size, field.facts.kind)) return;
    if (field.rule !== undefined) return this.refuse('malformed', field.rule);
    const { facts } = field;
    if (facts.kind === ORDINARY) {
      this.#regular = true;
      this.seen |= facts.seen;
      this.#line(field.line, field.name.length, 0);
    } else this.#special(field.name, facts, field.value);
  }

  /** Adds a field that stands in no table; `size` is what it counts. */
  addLiteral(name: string, value: string, facts: NameFacts, size: number): void {
    if (this.outcome !== 'ok' || !this.#counts(size, facts.kind)) return;
    const rule = facts.rule ?? valueRule(name, facts.kind, value);
    if (rule !== undefined) return this.refuse('malformed', rule);
    if (facts.kind === ORDINARY) {
      this.#regular = true;
      this.seen |= facts.seen;
      this.#line(`${name}: ${value}\r\n`, name.length, 0);
    } else this.#special(name, facts, value);
  }

  addNeverIndexed(name: string): void {
    if (this.outcome !== 'ok') return;
    if (this.#never.length === 0) this.neverIndexed = this.#never;
    this.#never.push(name);
  }

  /** Nothing of the list is of use any more, and nothing is kept. */
  refuse(outcome: Outcome, detail: string): void {
    this.#clear();
    this.outcome = outcome;
    this.detail = detail;
  }

  end(): void {
    const cookie = this.#cookie;
    if (cookie !== undefined && this.outcome === 'ok') this.#line(`cookie: ${cookie}\r\n`, 6, 0);
  }

  /** For lists that outlive the next block. */
  copy(): FieldList {
    const copy = Object.assign(new FieldList(), this);
    copy.text = flat(this.text);
    for (let i = 0; i < this.count * STRIDE; i++) copy.#at.push(this.#at[i]!);
    copy.#bytes = this.#bytes;
    copy.#fields = this.#fields;
    return copy;
  }

  #clear(): void {
    this.detail = '';
    this.text = '';
    this.count = 0;
    this.pseudos = 0;
    this.method = '';
    this.scheme = '';
    this.authority = undefined;
    this.path = '';
    this.protocol = undefined;
    this.status = 0;
    this.contentLength = -1;
    this.host = undefined;
    this.expect = undefined;
    this.seen = 0;
    if (this.#never.length > 0) this.#never = [];
    this.neverIndexed = NO_NAMES;
    this.#cookie = undefined;
  }

  #counts(size: number, kind: number): boolean {
    const limits = this.#limits;
    this.#bytes += size;
    if (this.#bytes > limits.headerBytesMax) {
      this.refuse('too-large', `Header list is larger than ${limits.headerBytesMax} bytes`);
      return false;
    }
    if (kind >= METHOD || (kind === COOKIE && this.#cookie !== undefined)) return true;
    if (++this.#fields <= limits.headersMax) return true;
    this.refuse('too-large', `More than ${limits.headersMax} header lines`);
    return false;
  }

  #line(line: string, nameLength: number, hop: number): void {
    const at = this.#at;
    const i = this.count++ * STRIDE;
    const start = this.text.length;
    this.text += line;
    at[i] = start;
    at[i + 1] = start + nameLength;
    at[i + 2] = start + nameLength + 2;
    at[i + 3] = this.text.length - 2;
    at[i + 4] = hop;
  }

  #special(name: string, facts: NameFacts, value: string): void {
    const { kind } = facts;
    if (kind >= METHOD) return this.#pseudo(name, kind, value);
    this.#regular = true;
    this.seen |= facts.seen;
    switch (kind) {
      case COOKIE:
        this.#cookie = this.#cookie === undefined ? value : `${this.#cookie}; ${value}`;
        return;
      case CONTENT_LENGTH:
        if (this.contentLength >= 0) return this.refuse('malformed', 'Field "content-length" is repeated');
        this.contentLength = Number(value);
        break;
      case HOST:
        if (this.host !== undefined) return this.refuse('malformed', 'Field "host" is repeated');
        this.host = value;
        break;
      case EXPECT:
        this.expect = value;
        break;
      case TE:
        break;
    }
    this.#line(`${name}: ${value}\r\n`, name.length, 1);
  }

  /** RFC 9113 section 8.3: once, and before the regular fields. */
  #pseudo(name: string, kind: number, value: string): void {
    const bit = pseudoBit(kind);
    if (this.#regular) return this.refuse('malformed', `Pseudo-header "${name}" stands behind a regular field`);
    if ((this.pseudos & bit) !== 0) return this.refuse('malformed', `Pseudo-header "${name}" is repeated`);
    this.pseudos |= bit;
    switch (kind) {
      case METHOD:
        this.method = value;
        break;
      case SCHEME:
        this.scheme = value;
        break;
      case AUTHORITY:
        this.authority = value;
        break;
      case PATH:
        this.path = value;
        break;
      case PROTOCOL:
        this.protocol = value;
        break;
      case STATUS:
        this.status = Number(value);
        break;
    }
  }
}

const NO_LIMITS: FieldLimits = { headerBytesMax: 0, headersMax: 0 };

/** The bit of a pseudo-header in {@link FieldList.pseudos}, by its kind in field-rules.ts. */
export function pseudoBit(kind: number): number {
  return 1 << (kind - METHOD);
}

import { latin1 } from '../../latin1.ts';
import { METHOD, nameFacts, type NameFacts, valueRule } from '../field-rules.ts';

/** What a field counts beside its name and value, in tables (RFC 7541 section 4.1) and lists (RFC 9113 section 6.5.2). */
export const FIELD_OVERHEAD_BYTES = 32;

/** Field of a table: read and checked once, however often it is referred to. */
export class Field {
  readonly name: string;
  readonly value: string;
  /** `name: value CRLF`; empty for a pseudo-header. */
  readonly line: string;
  /** Bytes that it counts. */
  readonly size: number;
  readonly facts: NameFacts;
  /** The rule that it breaks. */
  readonly rule: string | undefined;

  constructor(name: string, value: string, facts = nameFacts(name)) {
    this.name = name;
    this.size = name.length + value.length + FIELD_OVERHEAD_BYTES;
    this.facts = facts;
    this.rule = facts.rule ?? valueRule(name, facts.kind, value);
    if (facts.kind >= METHOD) {
      this.line = '';
      this.value = value;
    } else {
      // One flat string, of which the value is a part: appending it costs least, and nothing is held twice.
      this.line = flat(`${name}: ${value}\r\n`);
      this.value = this.line.slice(name.length + 2, -2);
    }
  }
}

/** The same text in a piece of memory of its own: a string that V8 cut out of another or joined holds all of its parts. */
export function flat(text: string): string {
  return latin1(Buffer.from(text, 'latin1'));
}

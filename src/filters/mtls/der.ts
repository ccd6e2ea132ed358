/** Elements of DER (X.690): what X.509 is written in. Strict, and read where they lie. */

export interface Element {
  /** The whole first byte: class, whether it holds elements, number. */
  readonly tag: number;
  /** Of the element with its tag and length. */
  readonly from: number;
  /** Of its content. */
  readonly start: number;
  /** Behind its content, and so behind the element. */
  readonly end: number;
}

export const INTEGER = 0x02;
export const BIT_STRING = 0x03;
export const OCTET_STRING = 0x04;
export const OID = 0x06;
export const UTC_TIME = 0x17;
export const GENERALIZED_TIME = 0x18;
export const SEQUENCE = 0x30;

/** @throws {Error} when no element of this kind lies there */
export function elementAt(bytes: Buffer, from: number, end: number, tag?: number): Element {
  const found = readElement(bytes, from, end);
  if (tag !== undefined && found.tag !== tag) throw new Error('An element is of another kind than it should be');
  return found;
}

/** The elements inside of one, in order. @throws {Error} when they are not whole */
export function elementsIn(bytes: Buffer, { start, end }: Element): Element[] {
  const found: Element[] = [];
  for (let at = start; at < end;) {
    const element = readElement(bytes, at, end);
    found.push(element);
    at = element.end;
  }
  return found;
}

function readElement(bytes: Buffer, from: number, end: number): Element {
  if (from + 2 > end) throw new Error('An element is cut off');
  const tag = bytes[from]!;
  // Numbers of more than 30 do not occur in X.509.
  if ((tag & 0x1f) === 0x1f) throw new Error('An element has a long tag');
  const short = bytes[from + 1]!;
  let start = from + 2;
  let length = short;
  if (short >= 0x80) {
    const count = short & 0x7f;
    // DER has no lengths that are not said; four bytes are 4 GiB.
    if (count === 0 || count > 4 || start + count > end) throw new Error('An element has a length that is not DER');
    length = bytes.readUIntBE(start, count);
    start += count;
    if (length < 0x80 || (count > 1 && length < 2 ** (8 * (count - 1))))
      throw new Error('A length is not the shortest');
  }
  if (start + length > end) throw new Error('An element is cut off');
  return { tag, from, start, end: start + length };
}

/** Bytes of an element with its tag and length. */
export function wholeOf(bytes: Buffer, { from, end }: Element): Buffer {
  return bytes.subarray(from, end);
}

export function contentOf(bytes: Buffer, { start, end }: Element): Buffer {
  return bytes.subarray(start, end);
}

/** `1.2.840.113549.1.1.11` */
export function oidOf(bytes: Buffer, element: Element): string {
  const numbers: number[] = [];
  let number = 0;
  for (const byte of contentOf(bytes, element)) {
    number = number * 128 + (byte & 0x7f);
    if (byte < 0x80) {
      numbers.push(number);
      number = 0;
    }
  }
  const [first = 0, ...rest] = numbers;
  const top = Math.min(2, Math.floor(first / 40));
  return [top, first - top * 40, ...rest].join('.');
}

/** Epoch milliseconds of a time as RFC 5280 section 4.1.2.5 has it. @throws {Error} on any other spelling */
export function timeOf(bytes: Buffer, element: Element): number {
  const text = contentOf(bytes, element).toString('latin1');
  const form =
    element.tag === UTC_TIME ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/ : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
  const parts = form.exec(text)?.slice(1).map(Number);
  if ((element.tag !== UTC_TIME && element.tag !== GENERALIZED_TIME) || parts === undefined) {
    throw new Error('A time is not written as RFC 5280 has it');
  }
  const [written, month, ...rest] = parts as [number, number, number, number, number, number];
  const year = element.tag === UTC_TIME ? written + (written < 50 ? 2000 : 1900) : written;
  return Date.UTC(year, month - 1, ...rest);
}

/** An extension of a certificate or a list (RFC 5280 section 4.2). */
export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  /** Where its value lies. */
  readonly value: Element;
}

/** @param list  the SEQUENCE of extensions */
export function extensionsIn(bytes: Buffer, list: Element): Extension[] {
  return elementsIn(bytes, list).map((one) => {
    const parts = elementsIn(bytes, one);
    const critical = parts.length === 3 && contentOf(bytes, parts[1]!)[0] !== 0;
    const value = parts.at(-1)!;
    if (parts.length < 2 || parts[0]!.tag !== OID || value.tag !== OCTET_STRING) {
      throw new Error('An extension is not written as RFC 5280 has it');
    }
    return { oid: oidOf(bytes, parts[0]!), critical, value: elementAt(bytes, value.start, value.end) };
  });
}

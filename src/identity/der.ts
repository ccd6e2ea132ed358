/** Elements of DER (X.690), written: as much as a request for a certificate and two extensions need. */

const SHORT_MAX = 127;

/** One element: its tag, its length, its content. */
export function element(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  if (length <= SHORT_MAX) return Buffer.concat([Buffer.from([tag, length]), content]);
  // Names and keys: 64 KiB are more than any of them has.
  if (length > 0xffff) throw new RangeError(`Cannot write an element of ${length} bytes`);
  const size = length <= 0xff ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

export const sequence = (...parts: readonly Uint8Array[]): Buffer => element(0x30, ...parts);
export const set = (...parts: readonly Uint8Array[]): Buffer => element(0x31, ...parts);
export const octetString = (content: Uint8Array): Buffer => element(0x04, content);
/** Of whole bytes: none is unused. */
export const bitString = (content: Uint8Array): Buffer => element(0x03, Buffer.from([0]), content);
/** From 0 to 127. */
export const smallInteger = (value: number): Buffer => element(0x02, Buffer.from([value]));
/** @param number  of a context-specific tag that holds elements */
export const tagged = (number: number, ...parts: readonly Uint8Array[]): Buffer => element(0xa0 | number, ...parts);
/** GeneralName of a URI, and of URIs in constraints (RFC 5280 section 4.2.1.6). */
export const uriName = (text: string): Buffer => element(0x86, Buffer.from(text, 'latin1'));
/** @param hex  content of an object identifier */
export const oid = (hex: string): Buffer => element(0x06, Buffer.from(hex, 'hex'));

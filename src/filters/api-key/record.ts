/**
 * A key as a file has it: one JSON object a line, with the hash of the key and
 * never the key itself; and how new keys are made.
 */
import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { ConsumerName, GroupNames, Labels } from '../../filter/consumer.ts';
import { check, type Static, Type } from '../../schema/schema.ts';

const Time = Type.String({
  pattern: '^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z$',
  expected: 'a time in UTC such as "2027-01-31T00:00:00Z"',
});

const KeyRecord = Type.Object(
  {
    id: Type.String({ pattern: '^[0-9a-f]{16}$', expected: '16 hexadecimal digits in lower case' }),
    sha256: Type.String({
      pattern: '^[0-9a-f]{64}$',
      expected: 'the SHA-256 of the key as 64 hexadecimal digits in lower case',
      // Whoever takes the field for the key itself should not find it in a log.
      secret: true,
    }),
    consumer: ConsumerName,
    groups: GroupNames,
    labels: Labels,
    notBefore: Type.Optional(Time),
    expires: Type.Optional(Time),
    disabled: Type.Boolean({ default: false }),
  },
  { additionalProperties: false },
);
export type KeyRecord = Static<typeof KeyRecord>;

/** A record whose defaults are not filled in, because most have none of these fields. */
export type WrittenRecord = Pick<KeyRecord, 'id' | 'sha256' | 'consumer'> & Partial<KeyRecord>;

/** Longest line of a key file, in bytes: room for every field at its longest. */
export const LINE_BYTES_MAX = 32 * 1024;

/** Keys in one file. At 100 bytes each in memory, half a gigabyte. */
export const KEYS_MAX = 5_000_000;

/** Shortest and longest key that is taken. 22 characters of base64 are 128 bits: no hash of less is safe to keep (decision 0046). */
export const KEY_CHARS_MIN = 22;
export const KEY_CHARS_MAX = 256;

/** RFC 9110 section 11.2, token68: such a key may stand behind a scheme, in a query and in a cookie as it is. */
const KEY_FORM = /^[A-Za-z0-9._~+/-]+={0,2}$/;

export function isKey(text: string): boolean {
  return text.length >= KEY_CHARS_MIN && text.length <= KEY_CHARS_MAX && KEY_FORM.test(text);
}

/** @throws {Error} when the line is no record; the message shows nothing that could be a key */
export function readRecord(line: string): KeyRecord {
  const { value, issues } = check(KeyRecord, parsed(line));
  if (value === undefined) throw new Error(issues.map(issueText)[0]);
  for (const field of ['notBefore', 'expires'] as const) {
    const time = value[field];
    if (time !== undefined && Number.isNaN(Date.parse(time)))
      throw new Error(`${field}: Expected a time, got "${time}"`);
  }
  return value;
}

/** What V8 says of broken JSON, and a schema of a text, shows a piece of it. */
function parsed(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value !== 'object' || value === null) throw new Error('Expected a JSON object');
  return value;
}

function issueText({ pointer, message }: { readonly pointer: string; readonly message: string }): string {
  return pointer === '' ? message : `${pointer.slice(1)}: ${message}`;
}

/** Without what is empty, in the order that is read fastest (key-line.ts). */
export function writeRecord(record: WrittenRecord): string {
  const { id, sha256, consumer, groups = [], labels = {}, notBefore, expires, disabled = false } = record;
  return JSON.stringify({
    id,
    sha256,
    consumer,
    ...(groups.length > 0 && { groups }),
    ...(Object.keys(labels).length > 0 && { labels }),
    notBefore,
    expires,
    ...(disabled && { disabled }),
  });
}

/** SHA-256 as bytes, one a character: the cheapest form that Node.js gives. Keys are ASCII. */
export function digestOf(key: string): string {
  return hash('sha256', key, 'latin1');
}

export function sha256Of(key: string): string {
  return hash('sha256', key, 'hex');
}

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** 62 ** 43 is a little more than 2 ** 256. */
const RANDOM_CHARS = 43;
/** 62 ** 6 is more than 2 ** 32. */
const CHECKSUM_CHARS = 6;

/** What a prefix of new keys may be. */
export const PREFIX_FORM = /^[A-Za-z][A-Za-z0-9_]{0,30}$/;

/**
 * A new key: `fw_`, 256 random bits, and a checksum of both, all in base 62. The
 * form lets scanners find keys that leaked, and the checksum tells a key from
 * what only looks like one, without asking anybody.
 */
export function newKey(prefix: string, randomBytes: (count: number) => Buffer): string {
  let text = `${prefix}_`;
  const end = text.length + RANDOM_CHARS;
  while (text.length < end) {
    for (const byte of randomBytes(64)) {
      // 248 is the largest multiple of 62 in a byte: above it, some digits would come more often than others.
      if (byte < 248 && text.length < end) text += DIGITS[byte % 62]!;
    }
  }
  return text + checksumOf(text);
}

/** `valid`: made by {@link newKey}. `mistyped`: it looks so, and the checksum is another. */
export function keyKind(key: string): 'valid' | 'mistyped' | 'foreign' {
  if (!/^[A-Za-z][A-Za-z0-9_]{0,30}_[0-9A-Za-z]{49}$/.test(key)) return 'foreign';
  const end = key.length - CHECKSUM_CHARS;
  return checksumOf(key.slice(0, end)) === key.slice(end) ? 'valid' : 'mistyped';
}

function checksumOf(text: string): string {
  let rest = crc32(text);
  let digits = '';
  for (let i = 0; i < CHECKSUM_CHARS; i++) {
    digits = DIGITS[rest % 62]! + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
}

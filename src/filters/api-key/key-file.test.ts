import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../base/random.ts';
import { readKeys } from './key-file.ts';
import type { KeyTable } from './key-table.ts';
import { isKey, keyKind, newKey, readRecord, sha256Of, writeRecord } from './record.ts';

const random = seededRandom(1, 2, 3, 4);
const randomBytes = (count: number): Buffer => Buffer.from(Array.from({ length: count }, () => random.bits32() & 0xff));

function read(text: string): KeyTable {
  const reading = readKeys(Buffer.from(text));
  for (;;) {
    const { done, value } = reading.next();
    if (done === true) return value;
  }
}

const KEY = newKey('fw', randomBytes);
const LINE = { id: '00112233445566aa', sha256: sha256Of(KEY), consumer: 'acme' };
const OTHER = { id: '00112233445566bb', sha256: sha256Of('other'), consumer: 'b' };

/** A line as somebody else may write it. */
const spaced = (line: object): string => JSON.stringify(line, undefined, 1).replaceAll('\n', ' ');

const FOUND: [rule: string, line: object, want: object][] = [
  ['the least', {}, {}],
  ['groups', { groups: ['gold', 'eu'] }, { groups: ['gold', 'eu'] }],
  ['labels', { labels: { team: 'ü "x" \\ ,"expires":"' } }, { labels: { team: 'ü "x" \\ ,"expires":"' } }],
  ['an end', { expires: '2027-01-31T12:00:00Z' }, { expiresMs: Date.UTC(2027, 0, 31, 12) }],
  ['an end in 1970 is one', { expires: '1970-01-01T00:00:00Z' }, { expiresMs: 1_000 }],
  ['a begin', { notBefore: '2027-01-31T12:00:00Z' }, { notBeforeMs: Date.UTC(2027, 0, 31, 12) }],
  [
    'disabled',
    { disabled: true, expires: '2027-01-31T12:00:00Z' },
    { disabled: true, expiresMs: Date.UTC(2027, 0, 31, 12) },
  ],
  ['not disabled', { disabled: false }, {}],
];

for (const [rule, more, want] of FOUND) {
  for (const [form, write] of [
    ['as we write it', (line: typeof LINE): string => writeRecord(line)],
    ['as it comes', (line: object): string => JSON.stringify(line)],
    ['written by others', spaced],
  ] as const) {
    test(`key file: ${rule}, ${form}`, () => {
      const found = read(`${write({ ...OTHER })}\r\n\n \t\n${write({ ...LINE, ...more })}`).find(KEY)!;
      const { groups = [], labels = {}, notBeforeMs = 0, expiresMs = Infinity, disabled = false } = want as never;
      assert.equal(found.identity.subject, LINE.id);
      assert.deepEqual(found.identity.consumer, { name: 'acme', groups, labels });
      assert.deepEqual(found.identity.methods, ['apiKey']);
      assert.equal(found.expiresMs, expiresMs);
      assert.equal(found.disabled, disabled);
      if (!disabled) assert.equal(found.notBeforeMs, notBeforeMs);
    });
  }
}

const WRONG: [rule: string, line: string, want: RegExp][] = [
  ['no JSON', 'fw_thekeyitself', /^line 2: Expected a JSON object$/],
  ['no object', '"fw_thekeyitself"', /^line 2: Expected a JSON object$/],
  ['a comment', '# keys', /^line 2: Expected a JSON object$/],
  ['no consumer', JSON.stringify({ id: LINE.id, sha256: LINE.sha256 }), /^line 2: consumer: Missing field/],
  ['the key for its hash', JSON.stringify({ ...LINE, sha256: KEY }), /^line 2: sha256: Expected the SHA-256/],
  ['the key as a field', JSON.stringify({ ...LINE, key: KEY }), /^line 2: key: Unknown field/],
  ['a hash in capitals', JSON.stringify({ ...LINE, sha256: LINE.sha256.toUpperCase() }), /^line 2: sha256: /],
  ['a short hash', JSON.stringify({ ...LINE, sha256: LINE.sha256.slice(1) }), /^line 2: sha256: /],
  ['an id of another form', JSON.stringify({ ...LINE, id: 'x' }), /^line 2: id: /],
  ['a consumer that could break a header', JSON.stringify({ ...LINE, consumer: 'a\r\nb: c' }), /^line 2: consumer: /],
  ['a group with a comma', JSON.stringify({ ...LINE, groups: ['a,b'] }), /^line 2: groups\/0: /],
  ['a label that is no text', JSON.stringify({ ...LINE, labels: { a: 1 } }), /^line 2: labels\/a: /],
  ['a misspelt field', JSON.stringify({ ...LINE, expire: '2027-01-31T12:00:00Z' }), /^line 2: expire: .*expires/],
  ['a date', writeRecord({ ...LINE, expires: '2027-01-31' }), /^line 2: expires: Expected a time in UTC/],
  ['a day that there is not', writeRecord({ ...LINE, expires: '2027-13-31T00:00:00Z' }), /^line 2: expires: /],
  ['two objects', `${writeRecord(LINE)}${writeRecord(OTHER)}`, /^line 2: Expected a JSON object$/],
  ['half a line', writeRecord(LINE).slice(0, -5), /^line 2: Expected a JSON object$/],
  ['the same key twice', writeRecord({ ...OTHER, consumer: 'c' }), /^line 2: The same key as in line 1$/],
  ['a line without an end', 'x'.repeat(40_000), /^line 2: Expected at most 32768 bytes, got 40000$/],
];

for (const [rule, line, want] of WRONG) {
  test(`key file: ${rule} is refused, with its place and without the key`, () => {
    let message = '';
    try {
      read(`${writeRecord(OTHER)}\n${line}\n`);
    } catch (error) {
      ({ message } = error as Error);
    }
    assert.match(message, want);
    assert.ok(
      !message.includes(KEY) && !message.includes('thekeyitself') && !message.includes(KEY.slice(3, 20)),
      message,
    );
  });
}

test('key file: an empty one has no keys', () => {
  assert.equal(read('').find(KEY), undefined);
  assert.equal(read('\n').find(KEY), undefined);
});

test('key file: thousands of keys are all found again, and no others; consumers are kept once', () => {
  const keys = Array.from({ length: 20_000 }, () => newKey('fw', randomBytes));
  const line = (key: string, i: number): string =>
    writeRecord({
      id: i.toString(16).padStart(16, '0'),
      sha256: sha256Of(key),
      consumer: `c${i % 7_000}`,
      groups: ['g'],
    });
  const table = read(keys.map(line).join('\n'));
  assert.equal(table.size, keys.length);
  // Asked twice: those that were found lately are found another way.
  for (const _ of ['cold', 'warm']) {
    keys.forEach((key, i) => {
      const { identity } = table.find(key)!;
      assert.equal(identity.subject, i.toString(16).padStart(16, '0'));
      assert.equal(identity.consumer!.name, `c${i % 7_000}`);
    });
  }
  for (let i = 0; i < 1_000; i++) assert.equal(table.find(newKey('fw', randomBytes)), undefined);
  for (const key of keys.slice(0, 1_000)) {
    table.find(key);
    for (const near of [
      `${key} `,
      key.slice(0, -1),
      `${key}\0`,
      key.toLowerCase(),
      ` ${key}`,
      `\u0166${key.slice(1)}`,
    ]) {
      assert.equal(table.find(near), undefined, near);
    }
  }
  assert.ok(table.bytes / keys.length < 120, `${table.bytes / keys.length} bytes a key`);
});

test('key file: keys of any length are found', () => {
  for (const length of [22, 63, 64, 65, 256]) {
    const key = 'k'.repeat(length);
    const table = read(writeRecord({ ...LINE, sha256: sha256Of(key) }));
    for (const _ of ['cold', 'warm']) assert.equal(table.find(key)?.identity.subject, LINE.id);
    assert.equal(table.find('k'.repeat(length - 1)), undefined);
    assert.equal(table.find('k'.repeat(length + 1)), undefined);
  }
});

test('new keys: prefix, 256 bits, checksum; a typing error shows', () => {
  assert.match(KEY, /^fw_[0-9A-Za-z]{49}$/);
  assert.ok(isKey(KEY));
  assert.equal(keyKind(KEY), 'valid');
  assert.equal(keyKind(newKey('shop_live', randomBytes)), 'valid');
  assert.equal(keyKind(KEY.replace(/.$/, (c) => (c === 'a' ? 'b' : 'a'))), 'mistyped');
  assert.equal(keyKind(`fv${KEY.slice(2)}`), 'mistyped');
  assert.equal(keyKind('a'.repeat(40)), 'foreign');
});

test('new keys: every digit comes equally often in every place', () => {
  const counts = new Map<string, number>();
  for (let i = 0; i < 2_000; i++)
    for (const c of newKey('fw', randomBytes).slice(3, 46)) counts.set(c, (counts.get(c) ?? 0) + 1);
  assert.equal(counts.size, 62);
  const mean = (2_000 * 43) / 62;
  for (const [c, count] of counts) assert.ok(Math.abs(count - mean) < mean * 0.15, `${c}: ${count} of ${mean}`);
});

test('records: what is written is read', () => {
  const record = { ...LINE, groups: ['g'], labels: { a: 'b' }, expires: '2027-01-31T00:00:00Z', disabled: true };
  assert.deepEqual(readRecord(writeRecord(record)), record);
  assert.equal(writeRecord({ ...LINE, groups: [], labels: {}, disabled: false }), JSON.stringify(LINE));
});

test('key file: how much of a wrong key is right does not show in the time it takes', () => {
  const table = read(writeRecord(LINE));
  assert.ok(table.find(KEY));
  const changed = (at: number): string => `${KEY.slice(0, at)}${KEY[at] === 'a' ? 'b' : 'a'}${KEY.slice(at + 1)}`;
  const wrong = { early: changed(3), late: changed(KEY.length - 1), all: newKey('fw', randomBytes) };
  const bestNs: Record<string, number> = {};
  for (let round = 0; round < 60; round++) {
    for (const [name, key] of Object.entries(wrong)) {
      const start = process.hrtime.bigint();
      for (let i = 0; i < 500; i++) assert.equal(table.find(key), undefined);
      bestNs[name] = Math.min(bestNs[name] ?? Infinity, Number(process.hrtime.bigint() - start) / 500);
    }
  }
  const times = Object.values(bestNs);
  assert.ok(Math.max(...times) < Math.min(...times) * 1.5, JSON.stringify(bestNs));
});

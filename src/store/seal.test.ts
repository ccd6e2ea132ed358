import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { Seal } from './seal.ts';

const seal = new Seal(randomBytes(32));
const sealed = seal.close('account a', 'a private key');
const bytes = Buffer.from(sealed.slice(3), 'base64');

function changed(at: number): string {
  const copy = Buffer.from(bytes);
  copy[at]! ^= 1;
  return `v1.${copy.toString('base64')}`;
}

const ROWS: [rule: string, open: () => string | undefined, want: string | undefined][] = [
  ['what was sealed opens for its purpose', () => seal.open('account a', sealed), 'a private key'],
  ['not for another purpose', () => seal.open('account b', sealed), undefined],
  ['not with another key', () => new Seal(randomBytes(32)).open('account a', sealed), undefined],
  ['not with a changed nonce', () => seal.open('account a', changed(0)), undefined],
  ['not with a changed value', () => seal.open('account a', changed(14)), undefined],
  ['not with a changed tag', () => seal.open('account a', changed(bytes.length - 1)), undefined],
  ['not when it was cut', () => seal.open('account a', sealed.slice(0, 20)), undefined],
  ['not in another form', () => seal.open('account a', `v2${sealed.slice(2)}`), undefined],
  ['not when it is empty', () => seal.open('account a', ''), undefined],
];

for (const [rule, open, want] of ROWS) test(`seal: ${rule}`, () => assert.equal(open(), want));

test('seal: two values that are equal look different, and neither shows itself', () => {
  const other = seal.close('account a', 'a private key');
  assert.notEqual(other, sealed);
  assert.ok(!Buffer.from(other.slice(3), 'base64').includes('private'));
});

test('seal: printing it does not print the key', () => assert.equal(inspect(seal), 'Seal [redacted]'));

test('seal: a key of another length is a defect', () => assert.throws(() => new Seal(randomBytes(16)), RangeError));

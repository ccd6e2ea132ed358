import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readStateKey } from './state-key.ts';

const scratch = mkdtempSync(join(tmpdir(), 'fourways-key-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

const bytes = Buffer.alloc(32, 7);
const file = join(scratch, 'given');
writeFileSync(file, `${bytes.toString('base64')}\n`);
const none = { value: undefined, file: undefined, dir: join(scratch, 'none') };

const ROWS: [rule: string, options: Parameters<typeof readStateKey>[0]][] = [
  ['in base64 from the environment', { ...none, value: bytes.toString('base64') }],
  ['in hex from the environment', { ...none, value: bytes.toString('hex') }],
  ['from a file', { ...none, file }],
];

for (const [rule, options] of ROWS) {
  test(`state key: ${rule}`, () => assert.deepEqual(Buffer.from(readStateKey(options)), bytes));
}

test('state key: without one given, one is made for the owner alone, and read again', () => {
  const dir = join(scratch, 'made');
  const made = readStateKey({ ...none, dir });
  assert.equal(made.length, 32);
  assert.deepEqual(readdirSync(dir), ['state.key']);
  assert.equal(statSync(join(dir, 'state.key')).mode & 0o777, 0o600);
  assert.deepEqual(readStateKey({ ...none, dir }), made);
  assert.notDeepEqual(readStateKey({ ...none, dir: join(scratch, 'other') }), made);
});

test('state key: one of another length is refused with where it stands, and never shown', () => {
  const short = Buffer.alloc(16, 9).toString('base64');
  assert.throws(
    () => readStateKey({ ...none, value: short }),
    (error: Error) => {
      assert.match(error.message, /^Cannot read the state key in FOURWAYS_STATE_KEY: expected 32 bytes .*, got 16$/);
      return !error.message.includes(short);
    },
  );
});

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { test } from 'node:test';
import { readFileText } from './file-read.ts';
import { TempFolder } from './testing/temp-folder.ts';

test('readFileText: text is decoded, a byte order mark is dropped', () => {
  using folder = new TempFolder();
  assert.deepEqual(readFileText(folder.write('a', '\ufeffkind: Ä\n')), { kind: 'text', text: 'kind: Ä\n' });
  assert.deepEqual(readFileText(folder.write('b', '')), { kind: 'text', text: '' });
});

test('readFileText: what is not there is gone', () => {
  using folder = new TempFolder();
  assert.deepEqual(readFileText(folder.in('a')), { kind: 'gone' });
  assert.deepEqual(readFileText(`${folder.write('a', '')}/b`), { kind: 'gone' });
});

test('readFileText: bytes that are not UTF-8 are refused', () => {
  using folder = new TempFolder();
  const path = folder.write('a', Uint8Array.of(0x61, 0xff));
  assert.deepEqual(readFileText(path), { kind: 'failed', reason: 'it is not UTF-8 text' });
});

test('readFileText: a file above the limit is refused without reading it', () => {
  using folder = new TempFolder();
  const path = folder.write('a', 'x'.repeat(11));
  assert.deepEqual(readFileText(path, 10), { kind: 'failed', reason: 'it has 11 bytes: 10 are allowed' });
  assert.equal(readFileText(path, 11).kind, 'text');
});

test('readFileText: a named pipe does not hold us', () => {
  using folder = new TempFolder();
  execFileSync('mkfifo', [folder.in('pipe')]);
  assert.deepEqual(readFileText(folder.in('pipe')), { kind: 'failed', reason: 'it is not a regular file' });
});

test(
  'readFileText: a file without read permission says so',
  { skip: process.getuid?.() === 0 && 'root may read all' },
  () => {
    using folder = new TempFolder();
    const path = folder.write('a', '');
    chmodSync(path, 0);
    assert.deepEqual(readFileText(path), { kind: 'failed', reason: 'permission denied' });
  },
);

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { unifiedDiff } from './unified-diff.ts';

test('unifiedDiff: nothing for what is the same, a whole file for one that is new', () => {
  assert.equal(unifiedDiff({ file: 'a.yaml', before: 'x\n', after: 'x\n' }), '');
  assert.equal(
    unifiedDiff({ file: 'a.yaml', before: undefined, after: 'x\ny\n' }),
    '--- /dev/null\n+++ b/a.yaml\n@@ -0,0 +1,2 @@\n+x\n+y\n',
  );
});

test('unifiedDiff: three lines around each change, changes that are close as one', () => {
  const before = Array.from({ length: 30 }, (_, i) => `line ${i + 1}`);
  const after = before.with(4, 'five').with(8, 'nine').toSpliced(24, 1);
  assert.deepEqual(
    unifiedDiff({ file: 'a', before: `${before.join('\n')}\n`, after: `${after.join('\n')}\n` })
      .split('\n')
      .filter((line) => !line.startsWith(' ')),
    [
      '--- a/a',
      '+++ b/a',
      '@@ -2,11 +2,11 @@',
      '-line 5',
      '+five',
      '-line 9',
      '+nine',
      '@@ -22,7 +22,6 @@',
      '-line 25',
      '',
    ],
  );
});

const TEXTS: [string, string][] = [
  ['', 'a\n'],
  ['a\n', ''],
  ['a', 'a\n'],
  ['a\n', 'a'],
  ['a\nb\nc\n', 'c\nb\na\n'],
  ['a\nb\n', 'a\nb\n---\nc\n'],
  ['a\n\n\nb\nb\n', 'b\n\na\nb\n'],
  ['x\n'.repeat(50), `${'x\n'.repeat(20)}y\n${'x\n'.repeat(31)}`],
  // More than is matched line by line.
  [
    Array.from({ length: 3_000 }, (_, i) => `a${i}\n`).join(''),
    Array.from({ length: 3_000 }, (_, i) => `b${i}\n`).join(''),
  ],
];

test('unifiedDiff: git apply makes of the one text the other', () => {
  const dir = mkdtempSync(join(tmpdir(), 'fourways-diff-'));
  for (const [before, after] of TEXTS) {
    writeFileSync(join(dir, 'f'), before);
    const input = unifiedDiff({ file: 'f', before, after });
    execFileSync('git', ['apply'], { input, cwd: dir });
    assert.equal(readFileSync(join(dir, 'f'), 'utf8'), after, input.slice(0, 500));
  }
  rmSync(dir, { recursive: true });
});

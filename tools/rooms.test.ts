import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { checkRooms, ROOMS } from './rooms.ts';

test('rooms: every import in src obeys the law', () => {
  const breaches = checkRooms(new URL('../src', import.meta.url).pathname);
  assert.deepEqual(breaches, []);
});

test('rooms: a row names only rows above it', () => {
  const seen = new Set<string>();
  for (const [room, allowed] of Object.entries(ROOMS)) {
    for (const entry of allowed) assert.ok(entry === '*' || seen.has(entry.split('/')[0]!), `${room} names ${entry}`);
    seen.add(room);
  }
});

const ROWS: [rule: string, file: string, source: string, want: RegExp][] = [
  ['a lower room does not import a higher one', 'base/a.ts', "import { x } from '../proxy/b.ts';", /room "base"/],
  [
    'a package is loaded in its room only',
    'proxy/a.ts',
    "import { parse } from 'yaml';",
    /belongs to room "resource" or "openapi"/,
  ],
  ['an unknown package is refused', 'base/a.ts', "import x from 'left-pad';", /\(none\)/],
  ['filter folders are apart', 'filters/a/filter.ts', "import { y } from '../b/filter.ts';", /apart/],
  ['a private file stays in its room', 'proxy/a.ts', "import { y } from '../http/_b.ts';", /private/],
  ['a new room needs a row', 'attic/a.ts', "import { y } from './b.ts';", /not in tools/],
];

for (const [rule, file, source, want] of ROWS) {
  test(`rooms: ${rule}`, () => {
    const root = mkdtempSync(join(tmpdir(), 'rooms-'));
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), `${source}\n`);
    const breaches = checkRooms(root);
    rmSync(root, { recursive: true });
    assert.equal(breaches.length, 1);
    assert.match(breaches[0]!.rule, want);
  });
}

test('rooms: a check that looks at nothing fails', () => {
  const root = mkdtempSync(join(tmpdir(), 'rooms-'));
  assert.throws(() => checkRooms(root), /no file/);
  rmSync(root, { recursive: true });
});

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { depsOf } from './deps.ts';

const FILES = {
  'src/main/a.ts': [
    "import { connect } from 'node:net';",
    "import type { Never } from 'erased';",
    'import {',
    '  b,',
    "} from '../base/b.ts';",
    "export { c } from '../base/c.ts';",
    "export type { Never } from 'erased';",
    "export const later = async () => import('late');",
  ],
  'src/base/b.ts': ["import { parse } from 'yaml/util';", "import '@scope/name/file.js';"],
  'src/base/c.ts': ["import '../main/a.ts';"],
};

test('deps: rooms, packages and Node modules that are loaded at the start and later, each once', () => {
  const root = mkdtempSync(join(tmpdir(), 'deps-'));
  for (const [file, lines] of Object.entries(FILES)) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), lines.join('\n'));
  }
  const [start, ever] = [depsOf(root, 'src/main/a.ts', 'start'), depsOf(root, 'src/main/a.ts', 'ever')];
  rmSync(root, { recursive: true });
  assert.deepEqual(start, ['node:net', 'npm @scope/name', 'npm yaml', 'src/base', 'src/main']);
  assert.deepEqual(ever, ['node:net', 'npm @scope/name', 'npm late', 'npm yaml', 'src/base', 'src/main']);
});

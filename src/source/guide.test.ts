/** What the guide shows is accepted: docs/guide/configuration.md. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { formatProblem } from '../base/problem.ts';
import { readContent } from './file-content.ts';

const GUIDE = readFileSync(new URL('../../docs/guide/configuration.md', import.meta.url), 'utf8');

/** Parts of a configuration name services and files that other parts would have. */
const OF_PARTS = new Set(['reference.unknown', 'file.unreadable']);

const blocks = [...GUIDE.matchAll(/^```yaml\n([^]*?)^```$/gm)].map(([, block]) => block!);

test('guide: it has the examples that are looked for', () => {
  assert.equal(blocks.length, 6);
});

blocks.forEach((block, i) => {
  test(`guide: example ${i + 1} is accepted`, () => {
    const { problems, documents } = readContent(block, 'fourways.yaml', undefined);
    const wrong = problems.filter(({ level, code }) => level === 'error' && !OF_PARTS.has(code));
    assert.deepEqual(wrong.map(formatProblem), []);
    assert.ok(documents.length > 0 || problems.length > 0);
  });
});

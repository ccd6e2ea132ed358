/** What the guides show as configuration is configuration: each block of YAML is read as a file of its own. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readContent } from '../src/source/file-content.ts';

const GUIDES = fileURLToPath(new URL('../docs/guide/', import.meta.url));

/** A manifest, or a short form; a block with nothing of these at its top is a piece of one. */
const WHOLE = /^(?:apiVersion|listen|routes):/m;

/** What a block names may stand in another one, or in a file that is not there. */
const ELSEWHERE = new Set(['file.unreadable', 'reference.unknown', 'policy.no-target']);

for (const page of readdirSync(GUIDES)) {
  const text = readFileSync(join(GUIDES, page), 'utf8');
  const blocks = [...text.matchAll(/^```yaml(?: \S+)?\n([^]*?)^```$/gm)].filter(([, block]) => WHOLE.test(block!));
  if (blocks.length === 0) continue;
  test(`guide ${page}: what it shows can be read`, () => {
    for (const { 1: block, index } of blocks) {
      const line = text.slice(0, index).split('\n').length;
      const { problems } = readContent(block!, 'shown.yaml', undefined);
      const found = problems.filter(({ code }) => !ELSEWHERE.has(code));
      assert.deepEqual(found, [], `the block in line ${line} of ${page}`);
    }
  });
}

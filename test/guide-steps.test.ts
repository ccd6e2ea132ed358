/** Guides of the mesh, each tried as it is written: every file, every step, and what it claims to show. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blocksOf, GuideRun } from './client/guide.ts';

const PAGES = [
  'discovery.md',
  'mesh-egress.md',
  'mesh.md',
  'mesh-control-planes.md',
  'mesh-data-centres.md',
  'mesh-day-two.md',
  'mesh-looking.md',
  'mesh-own-ca.md',
  'mesh-rotation.md',
  'mesh-security.md',
];

for (const page of PAGES) {
  test(`guide ${page}: every step shows what it claims`, async () => {
    const blocks = blocksOf(page);
    assert.ok(
      blocks.some(({ kind }) => kind === 'step'),
      'there is something to try',
    );
    await using run = await GuideRun.open();
    for (const block of blocks) await run.run(block);
  });
}

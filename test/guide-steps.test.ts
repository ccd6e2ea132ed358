/** Guides of the mesh, each tried as it is written: every file, every step, and what it claims to show. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blocksOf, GuideRun } from './client/guide.ts';

const PAGES = [
  'discovery.md',
  'mesh-egress.md',
  'mesh.md',
  'mesh-control-planes.md',
  'mesh-capture.md',
  'mesh-data-centres.md',
  'mesh-day-two.md',
  'mesh-hosts.md',
  'mesh-looking.md',
  'mesh-own-ca.md',
  'mesh-rotation.md',
  'mesh-security.md',
];

/** They act as several users of the system. */
const ROOT_PAGES = new Set(['mesh-capture.md']);

for (const page of PAGES) {
  const skip = ROOT_PAGES.has(page) && process.getuid?.() !== 0 ? 'needs root' : false;
  test(`guide ${page}: every step shows what it claims`, { skip }, async () => {
    const blocks = blocksOf(page);
    assert.ok(
      blocks.some(({ kind }) => kind === 'step'),
      'there is something to try',
    );
    await using run = await GuideRun.open();
    for (const block of blocks) await run.run(block);
  });
}

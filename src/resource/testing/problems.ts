/** Runs tables of bad manifests. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatProblem } from '../../base/problem.ts';
import { readManifests } from '../read.ts';

/** What is wrong, the manifest, and every line that is said of it. */
export type Row = readonly [rule: string, text: string, ...want: string[]];

export function testProblems(file: string, rows: readonly Row[]): void {
  for (const [rule, text, ...want] of rows) {
    void test(`problems: ${rule}`, () => {
      const { problems, documents } = readManifests(text, file);
      assert.deepEqual(problems.map(formatProblem), want);
      const stopped = problems.some(({ level }) => level === 'error');
      assert.equal(
        documents.every(({ resource }) => resource === undefined),
        stopped,
      );
    });
  }
}

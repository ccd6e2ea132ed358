/** Every manifest of the Gateway API conformance suite is read; it lies beside the repository, when it is there. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { formatProblem } from '../base/problem.ts';
import { readManifests } from './read.ts';

const ROOT = new URL('../../../shared/conformance/', import.meta.url);
const SETS = ['manifests/', 'v1.6.1/manifests/'];

/** Manifests that the suite fills in before it applies them. */
const TEMPLATES: readonly RegExp[] = [/got "PLACEHOLDER_(?:UN)?USABLE_ADDRS"/, /got "\{GATEWAY_CONTROLLER_NAME\}"/];

/** Read for others: pods come from Deployments in a cluster. */
const OTHERS = ['Deployment (apps/v1)'];

for (const set of SETS) {
  const folder = new URL(set, ROOT);
  const skip = existsSync(folder)
    ? false
    : `${folder.pathname} is absent: the manifests of the conformance suite are not checked`;
  test(`conformance: ${set} is read without a problem`, { skip }, () => {
    let documents = 0;
    const problems: string[] = [];
    const ignored = new Set<string>();
    for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.yaml')) continue;
      const result = readManifests(readFileSync(new URL(file, folder), 'utf8'), file);
      documents += result.documents.length;
      problems.push(...result.problems.map(formatProblem));
      for (const kind of result.ignored.keys()) ignored.add(kind);
    }
    assert.ok(documents > 400, `only ${documents} documents`);
    assert.deepEqual(
      problems.filter((line) => !TEMPLATES.some((template) => template.test(line))),
      [],
    );
    assert.deepEqual([...ignored], OTHERS);
  });
}

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { PHASES } from '../filter/declaration.ts';
import { readManifests } from '../resource/read.ts';
import { check } from '../schema/schema.ts';
import { FILTERS, PLANNED_FILTERS } from './list.ts';

// A new filter must state where it runs: this is the whole order on the wire.
test('filters: requests meet them in this order', () => {
  assert.deepEqual(
    FILTERS.map(({ name, phase }) => `${phase} ${name}`),
    [
      'admit ipAccess',
      'admit cors',
      'admit bodyLimit',
      'authenticate mtls',
      'authenticate apiKey',
      'authenticate jwt',
      'authenticate basic',
      'authenticate oidc',
      'authorise authorize',
      'authorise extAuth',
      'limit rateLimit',
      'limit concurrency',
      'transform compress',
      'transform decompress',
      'transform validate',
      'transform transform',
      'transform rewrite',
      'transform identityHeader',
      'transform headers',
      'transform own',
      'answer cache',
      'answer mock',
      'answer redirect',
      'answer directResponse',
    ],
  );
});

test('filters: phases come in their order', () => {
  const phases = FILTERS.map(({ phase }) => PHASES.indexOf(phase));
  assert.deepEqual(
    phases,
    phases.toSorted((a, b) => a - b),
  );
});

test('filters: each folder has its files', () => {
  const root = new URL('.', import.meta.url);
  const folders = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  // Those that sign and check user contexts share a folder.
  assert.equal(folders.length, PLANNED_FILTERS.length - 1);
  for (const { name } of folders) {
    const files = readdirSync(new URL(`${name}/`, root));
    for (const file of ['config.ts', 'filter.ts', 'filter.test.ts', 'doc.md']) {
      assert.ok(files.includes(file), `${name} has no ${file}`);
    }
  }
});

test('filters: every configuration is a strict object and says what it is', () => {
  for (const { name, config } of FILTERS) {
    const schema = config as { additionalProperties?: unknown; description?: unknown };
    assert.equal(schema.additionalProperties, false, name);
    assert.equal(typeof schema.description, 'string', name);
    assert.notEqual(check(config, { nonsense: 1 }).issues.length, 0, name);
  }
});

test('filters: what their pages show can be read', () => {
  for (const { name } of FILTERS) {
    const folder = name.replaceAll(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`);
    const page = readFileSync(new URL(`${folder}/doc.md`, import.meta.url), 'utf8');
    const blocks = [...page.matchAll(/^```yaml\n((?:filters|authentication|mode):[^]*?)^```$/gm)];
    assert.ok(blocks.length > 0, `${folder}/doc.md shows nothing`);
    for (const [, block] of blocks) {
      const spec = block!.replaceAll(/^/gm, '  ');
      const head = 'apiVersion: fourways.io/v1alpha1\nkind: Policy\nmetadata: { name: a }\nspec:\n';
      const { problems } = readManifests(`${head}  targetRefs: [{ kind: HTTPRoute, name: a }]\n${spec}`, 'doc.yaml');
      assert.deepEqual(
        problems.map(({ field, message }) => `${field}: ${message}`),
        [],
        `${folder}/doc.md`,
      );
    }
  }
});

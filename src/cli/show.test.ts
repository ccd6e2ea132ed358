import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { runCommand } from './main.ts';
import { type FakeIo, fakeIo, type FakeIoOptions } from './testing/fake-io.ts';

const SHORT = `listen: 127.0.0.1:8080
services:
  web: http://127.0.0.1:3000
routes:
  - name: everything
    to: web
`;

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'show-'));
  writeFileSync(join(folder, 'fourways.yaml'), SHORT);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function show(argv: string[], exit = 0, options: FakeIoOptions = {}): Promise<FakeIo> {
  const io = fakeIo({ cwd: folder, ...options });
  assert.equal(await runCommand(['show', ...argv], io), exit, io.errLines.join('\n'));
  return io;
}

test('show: lists the resources of a short form, and where they come from', async () => {
  const { outLines } = await show(['fourways.yaml']);
  assert.match(outLines.join('\n'), /^HTTPRoute default\/everything +fourways\.yaml:5$/m);
});

test('show: --expanded prints manifests that are accepted again and give the same plan', async () => {
  const expanded = (await show(['--expanded', 'fourways.yaml'])).outLines.join('\n');
  assert.match(expanded, /^kind: HTTPRoute$/m);
  writeFileSync(join(folder, 'expanded.yaml'), `${expanded}\n`);
  const routesOf = async (path: string): Promise<unknown> => {
    const plan = JSON.parse((await show(['plan', path, '--json'])).outLines.join('\n')) as Record<string, unknown>;
    // Positions and ages are those of another file.
    return JSON.parse(
      JSON.stringify(plan, (key, value: unknown) => (['at', 'createdMs', 'version'].includes(key) ? undefined : value)),
    );
  };
  assert.deepEqual(await routesOf('expanded.yaml'), await routesOf('fourways.yaml'));
});

test('show: --json of resources is a List', async () => {
  const list = JSON.parse((await show(['resources', '.', '--json'])).outLines.join('\n')) as {
    kind: string;
    items: { kind: string }[];
  };
  assert.equal(list.kind, 'List');
  assert.ok(list.items.some(({ kind }) => kind === 'HTTPRoute'));
});

test('show plan: prints the plan', async () => {
  const plan = JSON.parse((await show(['plan', '.'])).outLines.join('\n')) as { version: string; clusters: object };
  assert.match(plan.version, /^[0-9a-f]{64}$/);
  assert.deepEqual(Object.keys(plan.clusters), ['Backend/default/web']);
});

test('show status: conditions of a path, not programmed because nothing runs', async () => {
  const text = (await show(['status', '.'])).outLines.join('\n');
  assert.match(text, /^HTTPRoute default\/everything +Gateway default\/fourways.* +Accepted +True +Accepted$/m);
  assert.match(text, /^Gateway default\/fourways .* Programmed +False/m);
});

test('show: asks a running Fourways', async () => {
  const answers = {
    'http://127.0.0.1:9900/plan': { status: 200, body: '{"version":"abc"}' },
    'http://127.0.0.1:9900/status': { status: 200, body: '{"apiVersion":"v1","kind":"List","items":[]}' },
  };
  const plan = await show(['plan', '--admin', '127.0.0.1:9900', '--json'], 0, { answers });
  assert.deepEqual(plan.outLines, ['{"version":"abc"}']);
  const status = await show(['--admin', '127.0.0.1:9900'], 0, { answers });
  assert.match(status.outLines.join('\n'), /^OBJECT +FOR +CONDITION/);
  const resources = await show(['resources', '--admin', '127.0.0.1:9900'], 1, { answers });
  assert.match(resources.errLines.join('\n'), /Cannot show resources of a running Fourways/);
});

test('show endpoints: where each comes from, since when, and how well it is', async () => {
  const one = { address: '10.0.0.1', port: 8080, connections: 2, idle: 1, sinceMs: Date.now() - 3 * 60_000 };
  const endpoints = {
    'Service/shop/web/80': [{ ...one, source: 'EndpointSlice shop/web-1', zone: 'eu/a', health: 'healthy' }],
    'Backend/shop/old': [
      { ...one, address: '::1', source: 'DNS old.test', resolvedFrom: 'old.test', stale: 'ESERVFAIL' },
    ],
  };
  const body = JSON.stringify({ workers: [], endpoints });
  const answers = { 'http://127.0.0.1:9900/endpoints': { status: 200, body } };
  const { outLines } = await show(['endpoints', '--admin', '127.0.0.1:9900'], 0, { answers });
  const lines = outLines.join('\n').split('\n');
  assert.match(lines[0]!, /^CLUSTER +ENDPOINT +SOURCE +AGE +ZONE +HEALTH +CONNECTIONS$/);
  assert.match(
    lines[1]!,
    /^Backend\/shop\/old +\[::1\]:8080 +DNS old.test +3m +- +-, of an earlier answer: ESERVFAIL +2$/,
  );
  assert.match(lines[2]!, /^Service\/shop\/web\/80 +10.0.0.1:8080 +EndpointSlice shop\/web-1 +3m +eu\/a +healthy +2$/);
});

const WRONG: [what: string, argv: string[], exit: number, want: RegExp][] = [
  ['nothing to look at', [], 2, /Name either a file or folder/],
  ['both', ['.', '--admin', '127.0.0.1:1'], 2, /Name either a file or folder/],
  ['two paths', ['a', 'b'], 2, /Unexpected argument "b"/],
  ['endpoints of a file', ['endpoints', '.'], 1, /Cannot show endpoints of a file/],
  ['expanded plan', ['plan', '.', '--expanded'], 2, /--expanded belongs to "show resources"/],
  ['a path that is not there', ['nowhere'], 1, /nowhere/],
];

for (const [what, argv, exit, want] of WRONG) {
  test(`show: refuses ${what}`, async () => {
    assert.match((await show(argv, exit)).errLines.join('\n'), want);
  });
}

test('show: says that there are errors, and shows what is left', async () => {
  writeFileSync(join(folder, 'bad.yaml'), 'kind: HTTPRoute\n');
  const { errLines, outLines } = await show(['.']);
  assert.match(errLines.join('\n'), /^1 error in \.: "fourways check \." says which$/);
  assert.match(outLines.join('\n'), /HTTPRoute default\/everything/);
});

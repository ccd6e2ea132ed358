import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { Problem } from '../base/problem.ts';
import { runCommand } from './main.ts';
import { fakeIo, type FakeIoOptions } from './testing/fake-io.ts';

let folder = '';
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'check-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const GATEWAY = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  gatewayClassName: fourways
  listeners:
    - { name: http, protocol: HTTP, port: 80 }
`;
const ROUTE = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: web }
spec:
  parentRefs: [{ name: edge }]
  rules:
    - backendRefs: [{ group: fourways.io, kind: Backend, name: web }]
`;
const BACKEND = `apiVersion: fourways.io/v1alpha1
kind: Backend
metadata: { name: web }
spec:
  endpoints: [{ address: 127.0.0.1, port: 3000 }]
`;

function write(files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
}

function io(options: FakeIoOptions = {}): ReturnType<typeof fakeIo> {
  return { ...fakeIo({ cwd: folder, ...options }), readFile: async (path) => readFileSync(path, 'utf8') };
}

test('check: accepts a folder, and says how much there is', async () => {
  write({ 'gw/gateway.yaml': GATEWAY, 'gw/routes.yaml': ROUTE, 'gw/backends.yaml': BACKEND });
  const fake = io();
  assert.equal(await runCommand(['check', 'gw'], fake), 0);
  assert.deepEqual(fake.outLines, [
    'Accepted: 1 port, 1 listener, 1 route, 1 rule, 1 cluster\nStreaming: every rule streams its bodies',
  ]);
});

test('check: routes below HTTP count like others', async () => {
  const listener = '    - { name: tcp, protocol: TCP, port: 5432 }\n';
  const route = ROUTE.replace('HTTPRoute', 'TCPRoute').replace('name: edge', 'name: edge, sectionName: tcp');
  write({ 'gw/gateway.yaml': GATEWAY + listener, 'gw/routes.yaml': route, 'gw/backends.yaml': BACKEND });
  const fake = io();
  assert.equal(await runCommand(['check', 'gw'], fake), 0);
  assert.match(fake.outLines.join(), /^Accepted: 2 ports, 2 listeners, 1 route, 1 rule, 1 cluster\n/);
});

test('check: what is there and cannot be read is not called missing', async () => {
  write({ 'gw/gateway.yaml': GATEWAY.replace('port: 80', 'port: 80, prot: 1'), 'gw/routes.yaml': ROUTE });
  const fake = io();
  assert.equal(await runCommand(['check', 'gw'], fake), 1);
  const text = [...fake.outLines, ...fake.errLines].join('\n');
  assert.match(text, /Unknown field "prot"/);
  assert.doesNotMatch(text, /Gateway default\/edge does not exist/);
  assert.match(text, /Backend default\/web does not exist/);
});

test('check: a class that is there and cannot be read is not called missing by its Gateways', async () => {
  const gatewayClass = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: ours }
spec: { controllerName: fourways.io/gateway-controller, controler: 1 }
`;
  const gateway = GATEWAY.replace('gatewayClassName: fourways', 'gatewayClassName: ours');
  for (const other of ['', `---\n${gatewayClass.replace(', controler: 1', '').replace('ours', 'other')}`]) {
    write({ 'gw/class.yaml': gatewayClass + other, 'gw/gateway.yaml': gateway });
    const fake = io();
    assert.equal(await runCommand(['check', 'gw'], fake), 1);
    const text = [...fake.outLines, ...fake.errLines].join('\n');
    assert.match(text, /Unknown field "controler".*\(GatewayClass ours, /);
    assert.doesNotMatch(text, /does not exist/);
  }
});

test('check: several paths are one configuration', async () => {
  write({ 'gateway.yaml': GATEWAY, 'routes.yaml': ROUTE, 'backends.yaml': BACKEND });
  const fake = io();
  assert.equal(await runCommand(['check', 'gateway.yaml', 'routes.yaml', 'backends.yaml'], fake), 0);
  assert.match(fake.outLines.join('\n'), /^Accepted: 1 port, 1 listener, 1 route/);
});

test('check: names every problem with its place, then says no', async () => {
  write({ 'gw/a.yaml': GATEWAY.replace('port: 80', 'prot: 80'), 'gw/b.yaml': ROUTE });
  const fake = io();
  assert.equal(await runCommand(['check', 'gw'], fake), 1);
  const text = fake.outLines.join('\n');
  assert.match(text, /^gw\/a\.yaml:7:\d+: error: .*prot.*\(Gateway default\/edge, /m);
  assert.match(text, /^Not accepted: \d+ errors?/m);
  assert.doesNotMatch(text, /\^/, 'no excerpt where nobody looks');
});

test('check: a terminal gets the line with a mark under the place', async () => {
  write({ 'gw/a.yaml': GATEWAY.replace('port: 80', 'prot: 80') });
  const fake = io({ isTerminal: true });
  assert.equal(await runCommand(['check', 'gw'], fake), 1);
  assert.match(fake.outLines.join('\n'), /^ {4}7 \| {5}- \{ name: http, protocol: HTTP, prot: 80 \}\n {6}\| {37}\^$/m);
});

const FILE_POLICY = `apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: own }
spec:
  targetRefs: [{ kind: HTTPRoute, name: web }]
  filters:
    ipAccess: { allow: ["127.0.0.0/8"], denyFiles: [./lists/bad.txt] }
    own:
      use:
        - { module: ./here.ts }
        - { module: ../absent.ts }
        - { module: some-package }
`;

test('check: says which files that filters name are not there, and which modules do not load, at their fields', async () => {
  write({ 'gw/a.yaml': GATEWAY, 'gw/b.yaml': ROUTE, 'gw/c.yaml': BACKEND, 'gw/d.yaml': FILE_POLICY });
  const fake = io({
    programs: { [join(folder, 'absent.ts')]: 'there is no such file', 'some-package': 'it has a mistake' },
  });
  assert.equal(await runCommand(['check', 'gw', '--json'], fake), 1);
  const { problems } = JSON.parse(fake.outLines.join('\n')) as { problems: readonly Problem[] };
  assert.deepEqual(
    problems.map(({ level, code, at, field, message }) => [
      `${level} ${code} ${at?.file}:${at?.line}:${at?.column}`,
      field,
      message,
    ]),
    [
      [
        'warning file.unreadable gw/d.yaml:7:53',
        '/spec/filters/ipAccess/denyFiles/0',
        'Cannot read "./lists/bad.txt": no such file or directory; the filter needs it where the proxy runs',
      ],
      [
        'error filter.module gw/d.yaml:11:13',
        '/spec/filters/own/use/1/module',
        'Cannot load the filter of "../absent.ts": there is no such file',
      ],
      [
        'error filter.module gw/d.yaml:12:13',
        '/spec/filters/own/use/2/module',
        'Cannot load the filter of "some-package": it has a mistake',
      ],
    ],
  );
  write({ 'gw/lists/bad.txt': '' });
  assert.equal(await runCommand(['check', 'gw', '--strict'], io()), 0);
});

test('check: says which rules may hold bodies because code of users decides it', async () => {
  write({ 'gw/a.yaml': GATEWAY, 'gw/b.yaml': ROUTE, 'gw/c.yaml': BACKEND, 'gw/d.yaml': FILE_POLICY });
  const fake = io();
  assert.equal(await runCommand(['check', 'gw'], fake), 0);
  assert.match(
    fake.outLines.join('\n'),
    /^ {2}HTTPRoute\/default\/web\/0: bodies of requests and answers may be held whole: the code of filter "own" of Policy default\/own decides it$/m,
  );
});

test('check: says which rules hold bodies, which bodies, and for which filter', async () => {
  const policy = `apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: contract }
spec:
  targetRefs: [{ kind: HTTPRoute, name: web }]
  filters: { validate: { document: { openapi: 3.1.0, info: { title: A, version: '1' }, paths: {} }, requests: enforce } }
`;
  write({ 'gw/a.yaml': GATEWAY, 'gw/b.yaml': ROUTE, 'gw/c.yaml': BACKEND, 'gw/d.yaml': policy });
  const fake = io();
  assert.equal(await runCommand(['check', 'gw'], fake), 0, fake.outLines.join('\n'));
  assert.match(
    fake.outLines.join('\n'),
    /^Streaming: every rule streams its bodies, but for\n {2}HTTPRoute\/default\/web\/0: bodies of requests are held whole, because filter "validate" of Policy default\/contract reads them$/m,
  );
  const json = io();
  await runCommand(['check', 'gw', '--json'], json);
  const { buffering } = JSON.parse(json.outLines.join('\n')) as { buffering: object[] };
  assert.deepEqual(
    buffering.map((one) => JSON.stringify(one)).join(),
    JSON.stringify({
      rule: 'HTTPRoute/default/web/0',
      filter: 'validate',
      owner: 'Policy default/contract',
      request: true,
      response: false,
      certain: true,
    }),
  );
});

test('check: --json has accepted, problems and counts', async () => {
  write({ 'gw/a.yaml': GATEWAY, 'gw/b.yaml': ROUTE });
  const fake = io();
  const exit = await runCommand(['check', 'gw', '--json'], fake);
  const report = JSON.parse(fake.outLines.join('\n')) as { accepted: boolean; problems: Problem[]; counts: object };
  assert.equal(report.accepted, exit === 0);
  assert.ok(report.problems.length > 0, 'the backend is not there');
  assert.equal(report.problems[0]!.at!.file, 'gw/b.yaml');
  assert.deepEqual(report.counts, { resources: 2, ports: 1, listeners: 1, routes: 1, rules: 1, clusters: 0 });
});

test('check: --strict refuses what has warnings only', async () => {
  // A namespace on an object that is in none: said, and without effect.
  const extra = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: fourways, namespace: somewhere }
spec: { controllerName: fourways.io/gateway-controller }
`;
  write({ 'gw/a.yaml': GATEWAY, 'gw/b.yaml': ROUTE, 'gw/c.yaml': BACKEND, 'gw/d.yaml': extra });
  assert.equal(await runCommand(['check', 'gw'], io()), 0);
  const strict = io();
  assert.equal(await runCommand(['check', 'gw', '--strict'], strict), 1);
  assert.match(strict.outLines.join('\n'), /^Not accepted: 1 warning$/m);
});

const BROKEN: [what: string, files: Readonly<Record<string, string>>, argv: string[], exit: number, want: RegExp][] = [
  ['no path', {}, ['check'], 2, /Name at least one file or folder/],
  ['a path that is not there', {}, ['check', 'nowhere'], 1, /error: .*nowhere.*no such file/],
  ['an empty folder', { 'gw/notes.txt': 'x' }, ['check', 'gw'], 1, /Not accepted/],
  ['YAML that does not parse', { 'gw/a.yaml': 'a: [1\nb' }, ['check', 'gw'], 1, /^gw\/a\.yaml:\d+:\d+: error: /m],
  [
    'a module that cannot run',
    { 'gw/fourways.config.ts': '' },
    ['check', 'gw'],
    1,
    /error: .*this test runs no modules/,
  ],
];

for (const [what, files, argv, exit, want] of BROKEN) {
  test(`check: ${what}`, async () => {
    write(files);
    const fake = io();
    assert.equal(await runCommand(argv, fake), exit);
    assert.match([...fake.outLines, ...fake.errLines].join('\n'), want);
  });
}

for (const flags of [[], ['--gateway-api']]) {
  test(`check: accepts what "fourways init ${flags.join(' ')}" writes, without a warning`, async () => {
    assert.equal(await runCommand(['init', 'new', ...flags], io()), 0);
    const fake = io();
    assert.equal(await runCommand(['check', 'new', '--strict'], fake), 0, fake.outLines.join('\n'));
  });
}

import assert from 'node:assert/strict';
import { relative } from 'node:path';
import { test } from 'node:test';
import type { ModuleFailure } from '../source/module.ts';
import { TempFolder } from '../source/testing/temp-folder.ts';
import { runConfigModule } from './load-config.ts';

const CONFIG = 'fourways.config.ts';

/** Long enough for a busy machine; only what never ends is given less. */
const PATIENT_MS = 30_000;

async function failureOf(folder: TempFolder, name = CONFIG, runMs = PATIENT_MS): Promise<ModuleFailure> {
  const { result } = await runConfigModule(folder.in(name), { runMs, heapMegabytesMax: 32 });
  assert.equal(result.kind, 'failed');
  return result as ModuleFailure;
}

test('runConfigModule: types are stripped, imports followed, output kept, files named', async () => {
  using folder = new TempFolder();
  folder.write('ports.ts', 'export const port: number = 3001;');
  folder.write('more.json', '{"a":1}');
  folder.write('node_modules/lib/package.json', '{"name":"lib","type":"module","exports":"./lib.js"}');
  folder.write('node_modules/lib/lib.js', 'export const lib = true;');
  const path = folder.write(
    CONFIG,
    `import { defineConfig } from 'fourways/config';
     import { port } from './ports.ts';
     import more from './more.json' with { type: 'json' };
     import { lib } from 'lib';
     console.log('hello');
     export default defineConfig({ services: { users: \`http://127.0.0.1:\${port}\` }, routes: [], ...(more.a && lib ? {} : null) });`,
  );
  const { result, files, output } = await runConfigModule(path);
  assert.deepEqual(result, { kind: 'value', value: { services: { users: 'http://127.0.0.1:3001' }, routes: [] } });
  assert.deepEqual(files.map((file) => relative(folder.path, file)).toSorted(), [CONFIG, 'more.json', 'ports.ts']);
  assert.deepEqual(output, ['hello']);
});

test('runConfigModule: a JavaScript module and a CommonJS module do as well', async () => {
  using folder = new TempFolder();
  folder.write('a.mjs', `export default { listen: 1 };`);
  folder.write('b.cjs', `module.exports = { listen: 2 };`);
  for (const [name, listen] of [
    ['a.mjs', 1],
    ['b.cjs', 2],
  ] as const) {
    const { result } = await runConfigModule(folder.in(name));
    assert.deepEqual(result, { kind: 'value', value: { listen } });
  }
});

test('runConfigModule: a promise and a function are waited for', async () => {
  using folder = new TempFolder();
  folder.write('a.ts', 'export default Promise.resolve({ listen: 1 });');
  folder.write('b.ts', 'export default async () => ({ listen: 2 });');
  assert.deepEqual((await runConfigModule(folder.in('a.ts'))).result, { kind: 'value', value: { listen: 1 } });
  assert.deepEqual((await runConfigModule(folder.in('b.ts'))).result, { kind: 'value', value: { listen: 2 } });
});

// What the module does, and what must be said of it. A place is LINE:COLUMN in that file.
const ROWS: [rule: string, text: string, code: string, reason: RegExp, place?: string][] = [
  [
    'a throw has the place of the throw',
    'const a = 1;\nfunction f() { throw new Error("boo"); }\nf();',
    'module.failed',
    /^boo$/,
    '2:22',
  ],
  ['a thrown string has no place', 'throw "boo";', 'module.failed', /^it threw "boo"$/],
  [
    'a rejected promise is a throw',
    'export default Promise.reject(new Error("boo"));',
    'module.failed',
    /^boo$/,
    '1:31',
  ],
  ['a name that is not there', 'export default {\n  to: userz };', 'module.failed', /^userz is not defined$/, '2:7'],
  ['TypeScript syntax', 'const a = 1;\nconst b: = 3;', 'module.syntax', /^Unexpected token/, '2:10'],
  ['TypeScript that cannot be stripped', 'enum X { A }', 'module.syntax', /^TypeScript enum is not supported/, '1:1'],
  [
    'an import that is not there',
    'const a = 1;\nimport x from "./nothing.ts";',
    'module.failed',
    /^cannot find "\.\/nothing\.ts"$/,
    '2:15',
  ],
  [
    'a name that a module does not export',
    'import { nope } from "node:fs";',
    'module.syntax',
    /does not provide an export named 'nope'$/,
    '1:10',
  ],
  ['no default export', 'export const a = 1;', 'module.value', /^it has no default export$/],
  ['process.exit', 'process.exit(3);', 'module.failed', /^it ended with exit code 3 before it had exported anything$/],
  ['an endless loop', 'for (;;);', 'module.timeout', /^it was still running after 1 s$/],
  [
    'a promise that nobody keeps',
    'await new Promise((resolve) => setInterval(resolve.bind, 1000));',
    'module.timeout',
    /^it was still running/,
  ],
  ['a promise that nobody can keep', 'await new Promise(() => {});', 'module.failed', /^it ended with exit code 13 /],
  [
    'an error that nobody catches',
    'setTimeout(() => { throw new Error("late"); }); await new Promise((r) => setTimeout(r, 900));',
    'module.failed',
    /^late$/,
    '1:26',
  ],
  [
    'memory without end',
    'const a = []; for (;;) a.push(new Array(1000).fill(a.length));',
    'module.failed',
    /^it needs more than 32 MB of memory$/,
  ],
  ['a function value', 'export default { a: [() => 1] };', 'module.value', /^it has a function/],
  ['a loop in the value', 'const a = {}; a.b = [a]; export default a;', 'module.value', /^it contains itself$/],
  ['a class instance', 'export default { a: new Map() };', 'module.value', /^it has a Map/],
  [
    'a number that JSON has not',
    'export default { a: 0 / 0 };',
    'module.value',
    /^it has NaN where a number should be$/,
  ],
];

for (const [rule, text, code, reason, place] of ROWS) {
  test(`runConfigModule: ${rule} is a located failure`, async () => {
    using folder = new TempFolder();
    const path = folder.write(CONFIG, text);
    const failure = await failureOf(folder, CONFIG, code === 'module.timeout' ? 1_000 : PATIENT_MS);
    assert.equal(failure.code, code);
    assert.match(failure.reason, reason);
    const at = failure.at === undefined ? undefined : `${failure.at.line}:${failure.at.column}`;
    assert.equal(at, place);
    if (failure.at !== undefined) assert.equal(failure.at.file, path);
  });
}

test('runConfigModule: a syntax error in plain JavaScript has its place', async () => {
  using folder = new TempFolder();
  const path = folder.write('fourways.config.mjs', 'const a = 1;\nconst b = ;\n');
  assert.deepEqual((await failureOf(folder, 'fourways.config.mjs')).at, { file: path, line: 2, column: 11 });
});

test('runConfigModule: a failure in an imported file has its place there, and both files are named', async () => {
  using folder = new TempFolder();
  const dep = folder.write('dep.ts', 'export const a = 1;\nthrow new Error("boo");');
  const path = folder.write(CONFIG, 'import "./dep.ts";\nexport default {};');
  const { result, files } = await runConfigModule(path);
  assert.deepEqual(result, {
    kind: 'failed',
    code: 'module.failed',
    reason: 'boo',
    at: { file: dep, line: 2, column: 7 },
  });
  assert.deepEqual(files, [path, dep]);
});

test('runConfigModule: a value that is wrong names its field', async () => {
  using folder = new TempFolder();
  folder.write(CONFIG, 'export default { "a/b": [1, Symbol("x")] };');
  assert.equal((await failureOf(folder)).field, '/a~1b/1');
});

test('runConfigModule: URL, Date, undefined, plain regular expressions and __proto__ are carried over', async () => {
  using folder = new TempFolder();
  const path = folder.write(
    CONFIG,
    `export default { a: new URL('http://a.test'), b: undefined, c: /^x/, d: new Date(0), ['__proto__']: 1, e: [undefined] };`,
  );
  const { result } = await runConfigModule(path);
  assert.equal(
    JSON.stringify(result),
    '{"kind":"value","value":{"a":"http://a.test/","c":"^x","d":"1970-01-01T00:00:00.000Z","__proto__":1,"e":[null]}}',
  );
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { editYaml, readYaml, type YamlEdit } from './yaml.ts';

const BLOCK = `# whose
kind: Policy
spec:
  # tried out
  mode: audit # for now
  targetRefs: [{ kind: Service,   name: a }]
  rules:
    # the first
    - { name: one }
    # the second
    - name: two # yes
      paths:
        - /a

    - name: three
  more: 1
`;

const ROWS: [rule: string, before: string, edit: YamlEdit, after: string][] = [
  [
    'a line is taken out',
    BLOCK,
    { path: ['spec', 'mode'], remove: true },
    BLOCK.replace('  mode: audit # for now\n', ''),
  ],
  [
    'a value is another one',
    BLOCK,
    { path: ['spec', 'mode'], set: 'enforce' },
    BLOCK.replace('audit # for now', 'enforce'),
  ],
  [
    'a value is new',
    'spec:\n  a: 1\n  b: 2\n',
    { path: ['spec', 'mode'], set: 'audit' },
    'spec:\n  mode: audit\n  a: 1\n  b: 2\n',
  ],
  [
    'items are put behind those that are there',
    BLOCK,
    {
      path: ['spec', 'rules'],
      list: [{ kept: 0 }, { kept: 1 }, { kept: 2 }, { value: { name: 'four', paths: ['/b'] } }],
    },
    BLOCK.replace('    - name: three\n', '    - name: three\n    - name: four\n      paths:\n        - /b\n'),
  ],
  [
    'an item goes with the comments before it',
    BLOCK,
    { path: ['spec', 'rules'], list: [{ kept: 0 }, { kept: 2 }] },
    BLOCK.replace('    # the second\n    - name: two # yes\n      paths:\n        - /a\n', ''),
  ],
  [
    'the first goes, and the comment above the list stays',
    BLOCK,
    { path: ['spec', 'rules'], list: [{ kept: 1 }, { kept: 2 }] },
    BLOCK.replace('    - { name: one }\n', ''),
  ],
  [
    'without an end of the last line',
    'a:\n  - 1',
    { path: ['a'], list: [{ kept: 0 }, { value: 2 }] },
    'a:\n  - 1\n  - 2\n',
  ],
  [
    'a list on one line is written anew',
    'a: [ { b: 1 } ] # c\n',
    { path: ['a'], list: [{ kept: 0 }, { value: { b: 2 } }] },
    'a: [ { b: 1 }, { b: 2 } ] # c\n',
  ],
  ['a list that is not there', 'a: {}\n', { path: ['a', 'b'], list: [{ value: 1 }] }, 'a: { b: [ 1 ] }\n'],
  ['a field of a map on one line', 'a: { b: 1, c: 2 }\n', { path: ['a', 'b'], remove: true }, 'a: { c: 2 }\n'],
];

for (const [rule, before, edit, after] of ROWS) {
  test(`editYaml: ${rule}`, () => {
    const edited = editYaml(before, [edit]);
    assert.equal(edited, after);
    assert.deepEqual(readYaml(edited).mistakes, []);
  });
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogFields } from '../base/log.ts';
import { createPeopleLog } from './people-log.ts';

const WALL_MS = new Date(2026, 0, 1, 12, 3, 4).getTime();

const ROWS: [rule: string, fields: LogFields | undefined, want: string][] = [
  ['a message alone', undefined, '12:03:04 warn  It rains'],
  ['plain values', { port: 80, ok: true }, '12:03:04 warn  It rains  port=80 ok=true'],
  ['text with spaces is quoted', { why: 'too late' }, '12:03:04 warn  It rains  why="too late"'],
  ['lists', { added: ['a', 'b c'] }, '12:03:04 warn  It rains  added=[a, "b c"]'],
  ['what is empty is left out', { added: [], error: undefined }, '12:03:04 warn  It rains'],
  ['objects are JSON', { at: { line: 1 } }, '12:03:04 warn  It rains  at={"line":1}'],
  [
    'a stack has its own lines',
    { worker: 1, stack: 'Error\n  at x' },
    '12:03:04 warn  It rains  worker=1\nError\n  at x',
  ],
];

for (const [rule, fields, want] of ROWS) {
  test(`createPeopleLog: ${rule}`, () => {
    const lines: string[] = [];
    createPeopleLog({ level: 'info', colour: 'off', wallMs: () => WALL_MS, write: (line) => lines.push(line) }).warn(
      'It rains',
      fields,
    );
    assert.deepEqual(lines, [want]);
  });
}

test('createPeopleLog: levels and colours', () => {
  const lines: string[] = [];
  const log = createPeopleLog({
    level: 'warn',
    colour: 'on',
    wallMs: () => WALL_MS,
    write: (line) => lines.push(line),
  });
  log.info('no');
  log.error('yes');
  assert.deepEqual(lines, ['\u001b[2m12:03:04\u001b[0m \u001b[31merror\u001b[0m yes']);
});

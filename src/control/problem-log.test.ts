import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forwardingLog } from '../base/log.ts';
import type { Problem } from '../base/problem.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import { ProblemLog } from './problem-log.ts';

const problemOf = (code: string): Problem => ({ level: 'warning', code, message: `the message of ${code}` }) as Problem;

test('what passes by itself while a mesh starts is said when it has not passed', () => {
  const clock = new ManualClock();
  const said: string[] = [];
  const log = new ProblemLog(
    forwardingLog('info', (level, message) => said.push(`${level}: ${message}`)),
    clock,
  );
  const [passing, other] = [problemOf('service.no-workload'), problemOf('route.shadowed')];

  log.update([passing, other]);
  assert.equal(said.length, 1);
  assert.match(said[0]!, /^warn: .*route\.shadowed/);
  clock.advance(5_000);
  log.update([other]);
  clock.advance(10_000);
  assert.equal(said.length, 1, 'it has come and gone, and nobody had to know');

  log.update([passing, other]);
  clock.advance(10_000);
  assert.match(said[1]!, /^warn: .*service\.no-workload/);
  log.update([]);
  assert.deepEqual(said.slice(2).toSorted(), [
    'info: Resolved: the message of route.shadowed',
    'info: Resolved: the message of service.no-workload',
  ]);
});

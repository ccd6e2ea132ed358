import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../base/testing/manual-clock.ts';
import { collectAtRest } from './spare-memory.ts';

test('spare memory: garbage is collected when work is over, once, and never meanwhile', () => {
  const clock = new ManualClock();
  let [cpuMs, heapBytes, collected] = [1_000, 20e6, 0];
  const stop = collectAtRest({
    clock,
    cpuMs: () => cpuMs,
    heapBytes: () => heapBytes,
    collect() {
      collected++;
      cpuMs += 200;
      heapBytes = 18e6;
    },
  });
  const pass = (workMs: number, garbageBytes: number): void => {
    for (let i = 0; i < 4; i++) {
      cpuMs += workMs;
      heapBytes += garbageBytes;
      clock.advance(5_000);
    }
  };
  pass(0, 100_000);
  assert.equal(collected, 0, 'too little to be worth it');
  pass(500, 3e6);
  assert.equal(collected, 0, 'it works');
  pass(10, 0);
  assert.equal(collected, 1, 'it rests');
  pass(10, 400_000);
  assert.equal(collected, 1);
  pass(10, 400_000);
  assert.equal(collected, 2, 'it is called now and then');
  stop();
  pass(0, 9e6);
  assert.equal(collected, 2);
});

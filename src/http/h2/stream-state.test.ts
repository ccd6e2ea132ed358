import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mayReceive, maySend, step, type StreamState } from './stream-state.ts';

const STATES: readonly StreamState[] = ['idle', 'open', 'half-closed-local', 'half-closed-remote', 'closed'];

test('stream-state: a reset closes from every state', () => {
  for (const state of STATES) assert.equal(step(state, 'reset'), 'closed');
});

test('stream-state: who has ended sends nothing more, whichever came first', () => {
  assert.equal(step(step('open', 'end-in'), 'end-out'), 'closed');
  assert.equal(step(step('open', 'end-out'), 'end-in'), 'closed');
  assert.deepEqual(STATES.filter(mayReceive), ['open', 'half-closed-local']);
  assert.deepEqual(STATES.filter(maySend), ['open', 'half-closed-remote']);
});

test('stream-state: an event that cannot happen is a bug', () => {
  for (const state of ['half-closed-remote', 'closed', 'idle'] as const) {
    assert.throws(() => step(state, 'end-in'), RangeError);
  }
});

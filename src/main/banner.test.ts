import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bannerLines, type Ready } from './banner.ts';

const READY: Ready = {
  event: 'ready',
  plan: '0123456789ab',
  listening: ['http://0.0.0.0:8080', 'https://[::1]:8443'],
  admin: 'http://127.0.0.1:9900',
  workers: 2,
  routes: 1,
  problems: 0,
  pid: 1,
};

test('bannerLines: what is served, where, and how to go on', () => {
  assert.deepEqual(bannerLines(READY, 'edge'), [
    '',
    '  Fourways serves edge',
    '    http://0.0.0.0:8080',
    '    https://[::1]:8443',
    '    http://127.0.0.1:9900  admin: /status /metrics /plan /problems',
    '  1 route, 2 workers, plan 0123456789ab',
    '  Changes of the configuration are served as they are saved. Ctrl-C ends.',
    '',
  ]);
});

test('bannerLines: nothing to listen on, no admin API, problems', () => {
  const { admin: _, ...rest } = READY;
  const lines = bannerLines({ ...rest, listening: [], problems: 3 }, 'edge');
  assert.ok(lines.includes('  Nothing is listened on: no listener of the configuration can be served'));
  assert.ok(lines.includes('  3 problems: "fourways check edge" lists them'));
  assert.ok(!lines.some((line) => line.includes('admin')));
});

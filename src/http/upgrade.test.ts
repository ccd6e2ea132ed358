import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tunnelsOf } from './upgrade.ts';

const ROWS: readonly (readonly [upgrade: string, want: string | undefined])[] = [
  ['websocket', 'websocket'],
  ['foo/1', 'foo/1'],
  ['foo, bar/2', 'foo, bar/2'],
  ['connect-udp', 'connect-udp'],
  ['h2c', undefined],
  ['h2c/1', undefined],
  ['h2', undefined],
  ['http/2.0', undefined],
  ['tls/1.0, http/1.1', undefined],
  ['h2c, websocket', 'websocket'],
  ['foo,h2c,,bar', 'foo, bar'],
  ['foo/h2c', 'foo/h2c'],
  ['', undefined],
  [',', undefined],
  ['h2c foo', undefined],
  ['foo/1/2', undefined],
  ['foo;h2c', undefined],
  ['"h2c"', undefined],
];
for (const [upgrade, want] of ROWS) {
  test(`Upgrade: ${upgrade}: what may be asked for`, () => assert.equal(tunnelsOf(upgrade), want));
}

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Headers } from './headers.ts';
import { dropHeadNames } from './trailer-names.ts';

const ROWS: readonly (readonly [name: string, what: 'stays' | 'goes'])[] = [
  ['x-sum', 'stays'],
  ['Grpc-Status', 'stays'],
  ['Digest', 'stays'],
  ['x-forward', 'stays'],
  ['Authorization', 'goes'],
  ['Proxy_Authorization', 'goes'],
  ['COOKIE', 'goes'],
  ['Client-Cert', 'goes'],
  ['client_cert_chain', 'goes'],
  ['X-Forwarded-For', 'goes'],
  ['x_forwarded_client_cert', 'goes'],
  ['forwarded', 'goes'],
  ['via', 'goes'],
  ['x-request-id', 'goes'],
  ['Content_Type', 'goes'],
];
for (const [name, what] of ROWS) {
  test(`the trailer ${name} ${what}`, () => {
    const trailers = Headers.of([[name, '1']]);
    dropHeadNames(trailers);
    assert.equal(trailers.toLines(), what === 'stays' ? `${name}: 1\r\n` : '');
  });
}

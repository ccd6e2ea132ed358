/** Runs a table of smuggling attempts against a backend of each wire and looks at both ends. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Harness } from '../../src/proxy/testing/node-harness.ts';
import { attemptH1, proxyTo, type WireName, WIRES } from './pairing.ts';
import { record, type Recorder } from './recorder.ts';

/** `want`: what the client is told, or what the backend reads. Where the two backends see it differently, one for each. */
export type AttemptRow<A> = readonly [what: string, attempt: A, want: string | Readonly<Record<WireName, string>>];

const NEXT = 'GET /next shop.test';

/** @param send  sends an attempt to this port, by the wire `from`; gives what the client is told */
export function testAttempts<A>(
  from: WireName,
  rows: readonly AttemptRow<A>[],
  send: (port: number, attempt: A) => Promise<string>,
): void {
  for (const wire of WIRES) {
    let upstream: Recorder;
    let proxy: Harness;

    before(async () => {
      upstream = await record(wire);
      proxy = await proxyTo({ wire, port: upstream.port });
    });

    after(async () => {
      await proxy[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    });

    for (const [what, attempt, want] of rows) {
      test(`${from} to ${wire}: ${what}`, async () => {
        const answer = await send(proxy.port, attempt);
        // Whatever lies at the end of a connection to the backend would meet this one.
        assert.equal(await attemptH1(proxy.port, 'GET /next HTTP/1.1\r\nHost: shop.test\r\n\r\n'), '200');
        const seen = upstream.take().filter((request) => !request.endsWith('\ncut'));
        assert.equal(seen.pop(), NEXT);
        assert.equal(
          seen.length === 0 ? answer : [...(answer === '200' ? [] : [answer]), ...seen].join('\n'),
          typeof want === 'string' ? want : want[wire],
        );
      });
    }
  }
}

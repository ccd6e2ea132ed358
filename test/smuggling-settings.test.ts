/** What a listener says of names with an underscore holds for every wire: such servers as read them like hyphens exist. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attemptH1, proxyTo, type WireName, WIRES } from './client/pairing.ts';
import { attemptH2, END_STREAM, headers } from './client/raw-h2.ts';
import { record } from './client/recorder.ts';

function attempt(client: WireName, port: number): Promise<string> {
  if (client === 'h1') {
    return attemptH1(port, 'GET /a HTTP/1.1\r\nHost: shop.test\r\nContent_Length: 5\r\nX_User: root\r\nX: 1\r\n\r\n');
  }
  const pseudos = { ':method': 'GET', ':scheme': 'http', ':authority': 'shop.test', ':path': '/a' };
  const fields = { ...pseudos, content_length: '5', x_user: 'root', x: '1' };
  return attemptH2(port, [headers(1, Object.entries(fields), END_STREAM)]);
}

const ROWS = [
  ['keep', '200', ['GET /a shop.test\ncontent_length: 5\nx_user: root\nx: 1']],
  ['remove', '200', ['GET /a shop.test\nx: 1']],
  ['refuse', '400 request.malformed', []],
] as const;

for (const client of WIRES) {
  for (const wire of WIRES) {
    for (const [underscoreNames, answer, seen] of ROWS) {
      test(`underscoreNames: ${underscoreNames}, ${client} to ${wire}`, async () => {
        await using upstream = await record(wire);
        await using proxy = await proxyTo({ wire, port: upstream.port }, { underscoreNames });
        assert.equal(await attempt(client, proxy.port), answer);
        assert.deepEqual(upstream.take(), seen);
      });
    }
  }
}

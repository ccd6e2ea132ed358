/** The services of the examples outlive what a gateway may do to them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { startService } from '../examples/services/service.ts';

test('a service of the examples: a request that is cut short ends nothing but itself', async (t) => {
  const service = await startService('web:0');
  t.after(() => service.close());
  const client = connect(service.port, '127.0.0.1');
  await once(client, 'connect');
  client.write('POST / HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\ncontent-length: 100\r\n\r\n');
  await once(client, 'data'); // 100 Continue: the service waits for the body
  client.resetAndDestroy();
  await once(client, 'close');
  const answer = await fetch(`http://127.0.0.1:${service.port}/count/`);
  assert.deepEqual(await answer.json(), { service: 'web', times: 1, bytes: 0 });
});

/** A real proxy between the two wires, as tests of what passes from one to the other need it. */
import type { PlanListener } from '../../src/ir/plan.ts';
import { clusterTo, Harness, LISTENER, routeOf, ruleTo } from '../../src/proxy/testing/node-harness.ts';
import { readResponse } from './message.ts';
import { RawClient } from './raw-client.ts';

export type WireName = 'h1' | 'h2';

export const WIRES: readonly WireName[] = ['h1', 'h2'];

/** A proxy that takes both wires and sends to `port` by this one. */
export async function proxyTo(
  upstream: { readonly wire: WireName; readonly port: number },
  settings: Partial<PlanListener['settings']> = {},
): Promise<Harness> {
  const proxy = new Harness();
  await proxy.start({
    listeners: {
      l: {
        ...LISTENER,
        settings: { ...LISTENER.settings, via: false, httpVersions: ['h2', 'http/1.1'], ...settings },
      },
    },
    routes: { r: routeOf(ruleTo()) },
    clusters: { c: clusterTo([upstream.port], { protocol: upstream.wire === 'h2' ? 'h2' : 'http1' }) },
  });
  return proxy;
}

/**
 * Sends these bytes on a connection of its own and reads all answers.
 *
 * @param bytes  that are no whole request: the client gives up, and half-closes behind them
 * @returns status and problem code of each answer: `200 + 400 request.malformed`; `closed` for none
 */
export async function attemptH1(port: number, bytes: string | { readonly unfinished: string }): Promise<string> {
  await using client = await RawClient.open({ host: '127.0.0.1', port });
  const text = typeof bytes === 'string' ? bytes : bytes.unfinished;
  client.send(text);
  if (typeof bytes !== 'string') client.end();
  const told: string[] = [];
  const method = text.slice(0, text.indexOf(' '));
  while ((await client.waitFor(1, 'an answer')).length > 0) {
    const { status, body, interim } = await readResponse(client, told.length === 0 ? method : 'GET');
    const code = /"code":"([^"]+)"/.exec(body.toString('latin1'))?.[1];
    told.push([...interim.map((head) => head.status), status, ...(code === undefined ? [] : [code])].join(' '));
    // No more is to come from us; what else was read into the bytes is answered still.
    client.end();
  }
  return told.length === 0 ? 'closed' : told.join(' + ');
}

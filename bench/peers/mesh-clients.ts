/**
 * Proxies of a mesh that only take plans, many in one process. Arguments: CONTROL FIRST COUNT WATCHED PORT OTHERS...; the token
 * comes in TOKEN. Says by IPC `ready`, then each time that a client has another plan in which WATCHED (a service) has got, or has
 * lost, the endpoint at PORT: when, on the monotonic clock of the machine.
 */
import type { Plan } from '../../src/ir/plan.ts';
import { joinAs } from './mesh-member.ts';

/** From a child to the bench. */
export type ClientsNews =
  | { readonly kind: 'ready' }
  | { readonly kind: 'seen'; readonly client: number; readonly what: 'there' | 'gone'; readonly atMs: number };

const [control, first, count, watched, port, ...others] = process.argv.slice(2);
const tell = (news: ClientsNews): void => void process.send!(news);

function has(plan: Plan): boolean {
  return Object.entries(plan.clusters).some(
    ([key, { endpoints }]) =>
      key.startsWith(`Service/shop/${watched}/`) && endpoints.some((endpoint) => endpoint.port === Number(port)),
  );
}

for (let i = Number(first); i < Number(first) + Number(count); i++) {
  let had = false;
  const planned = Promise.withResolvers<void>();
  const { client } = await joinAs({
    control: control!,
    token: process.env['TOKEN']!,
    service: others[i % others.length]!,
    instance: `client-${i}`,
    onPlan(plan) {
      const atMs = Number(process.hrtime.bigint()) / 1e6;
      const now = has(plan);
      if (now !== had) tell({ kind: 'seen', client: i, what: now ? 'there' : 'gone', atMs });
      had = now;
      planned.resolve();
    },
  });
  client.subscribe([`${watched}.shop`, ...others.map((name) => `${name}.shop`)]);
  await planned.promise;
}
tell({ kind: 'ready' });

/**
 * A request of a filter for what an exchange asks for, to a backend of its rule:
 * nobody waits for it, so it outlives the exchange. The filters of the backend
 * see it and its answer as they see those of clients.
 */
import type { Clock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import type { Refetch, UpstreamAnswer, UpstreamQuestion } from '../filter/env.ts';
import type { BodyWish, Exchange, RouteMatch, Verdict } from '../filter/filter.ts';
import type { RequestHead, ResponseHead } from '../http/message.ts';
import { filterFailed } from './filter-failed.ts';
import type { RequestMarks } from './marks.ts';
import type { Rule, RuleBackend } from './rule.ts';
import { askUpstream } from './upstream-question.ts';

/** What every exchange of a proxy is besides what filters know of it. */
interface Running extends Exchange {
  readonly rule: Rule;
  readonly times: RequestMarks;
}

const NO_MATCH: RouteMatch = { matchedPath: undefined };

/** Never rejects. */
export async function refetch(x: Exchange, how: Refetch, clock: Clock): Promise<UpstreamAnswer | Fault> {
  // Before anything is waited for: the connection uses the head again for its next request.
  const { rule } = x as Running;
  const copy = copyOf(x as Running, how);
  const backend = rule.pickBackend();
  if (backend?.cluster === undefined) return new Fault('route.backend-invalid', 'No backend can be asked');
  rule.begin();
  try {
    return await through(copy, backend, { how, clock });
  } finally {
    for (const filter of backend.chain.onEnd) filter.onEnd!(copy);
    rule.end();
  }
}

interface Asking {
  readonly how: Refetch;
  readonly clock: Clock;
}

async function through(copy: Exchange, backend: RuleBackend, { how, clock }: Asking): Promise<UpstreamAnswer | Fault> {
  for (const { name, filter } of backend.chain.onRequest) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- each sees what the one before it made of the request
      const refused = refusalOf(name, await filter.onRequest!(copy, NO_MATCH));
      if (refused !== undefined) return refused;
    } catch (error) {
      return filterFailed(name, error);
    }
  }
  const answer = await askUpstream(backend.cluster!, questionOf(copy, how), clock);
  if (answer instanceof Fault) return answer;
  const { status, headers, body } = answer;
  if (!headers.has('date')) headers.add('date', new Date(clock.wallMs()).toUTCString());
  const head: ResponseHead = { status, reason: '', headers, bodyLength: body.length };
  for (const { name, filter } of backend.chain.onResponse) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- as above
      const refused = refusalOf(name, (await filter.onResponse!(copy, head)) ?? undefined);
      if (refused !== undefined) return refused;
    } catch (error) {
      return filterFailed(name, error);
    }
  }
  return { ...answer, status: head.status };
}

/** Whoever answers, or wants to see or change a body, cannot be heeded here. */
function refusalOf(name: string, said: Verdict | BodyWish): Fault | undefined {
  if (said === undefined) return undefined;
  if (said instanceof Fault) return said;
  return new Fault('filter.failed', `Filter "${name}" of the backend answers, or wants a body, where nobody waits`);
}

function copyOf(x: Running, { set, remove }: Refetch): Exchange {
  const { asked, rule, clientIp, client, requestId, listenerPort, identity } = x;
  const headers = x.request.headers.copy();
  for (const name of remove) headers.delete(name);
  for (const [name, value] of set) headers.set(name, value);
  for (const line of x.times.requestLines.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) headers.add(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const request: RequestHead = { ...x.request, headers, bodyLength: 0, upgrade: undefined, expectContinue: false };
  return {
    request,
    asked,
    rule,
    clientIp,
    client,
    requestId,
    listenerPort,
    identity,
    kept: undefined,
    note: () => undefined,
  };
}

function questionOf({ request }: Exchange, { timeoutMs, answerBytesMax }: Refetch): UpstreamQuestion {
  const { method, path, query, authority, headers } = request;
  return { method, target: path + query, authority, headers, timeoutMs, answerBytesMax };
}

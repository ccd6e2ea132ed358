/** Who serves an object, where proxies of a mesh do: k of n of them, and by which plan. */
import { type Draft, fails, holds } from './condition.ts';
import type { RuntimeState, ServingProxy } from './status-item.ts';

/** So much of a hash tells two plans apart. */
const HASH_SHOWN = 12;

/** Plans, and proxies that refuse theirs, that one message names. */
const NAMED_MAX = 3;

/**
 * @param keys  of the places where the object acts, as `proxiesOf` knows them
 * @returns nothing where no mesh is run, and where nobody has to be there: a Service need not be called
 */
export function acknowledged(keys: readonly string[], { proxiesOf }: Pick<RuntimeState, 'proxiesOf'>): Draft[] {
  if (proxiesOf === undefined) return [];
  const byName = new Map(keys.flatMap((key) => proxiesOf(key)).map((proxy) => [proxy.name, proxy]));
  if (byName.size === 0 && !keys.some((key) => key.startsWith('Gateway/'))) return [];
  return servedBy([...byName.values()]);
}

function servedBy(proxies: readonly ServingProxy[]): Draft[] {
  const type = 'fourways.io/Acknowledged';
  if (proxies.length === 0) return [fails(type, { reason: 'NoProxies', message: 'No proxy has a plan with it' })];
  const count = proxies.filter(({ state }) => state === 'current').length;
  const message = `${count} of ${proxies.length} proxies serve it: ${plansOf(proxies)}`;
  if (count === proxies.length) return [holds(type, { reason: 'Acknowledged', message })];
  const refusing = proxies.filter(({ refused }) => refused !== undefined);
  const named = refusing.slice(0, NAMED_MAX).map(({ name, refused }) => `; ${name} refuses it: ${refused}`);
  const rest = refusing.length > NAMED_MAX ? `; and ${refusing.length - NAMED_MAX} more refuse it` : '';
  return [
    fails(type, {
      reason: refusing.length > 0 ? 'Refused' : 'Pending',
      message: message + named.join('') + rest,
    }),
  ];
}

/** By hash of what they are to serve: one for all, or each has its own. */
function plansOf(proxies: readonly ServingProxy[]): string {
  const hashes = [...new Set(proxies.flatMap(({ wanted }) => wanted?.slice(0, HASH_SHOWN) ?? []))];
  if (hashes.length === 0) return 'no plan yet';
  const rest = hashes.length > NAMED_MAX ? ` and ${hashes.length - NAMED_MAX} more` : '';
  return `plan${hashes.length > 1 ? 's' : ''} ${hashes.slice(0, NAMED_MAX).join(', ')}${rest}`;
}

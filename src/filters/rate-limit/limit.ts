/** One limit, ready to ask: its expressions compiled, what it says of itself put together. */
import { networkOf } from '../../base/cidr.ts';
import { parseDuration } from '../../base/duration.ts';
import { compileExpression } from '../../expr/expression.ts';
import type { Demand } from '../../filter/cells.ts';
import type { Exchange } from '../../filter/filter.ts';
import { type LimitConfig, limitName } from './config.ts';

/** Of one request; used again for the next one. */
export interface LimitDemand extends Demand {
  readonly limit: Limit;
  key: string;
}

export interface Limit {
  readonly name: string;
  /** Names what counts together, over workers, proxies and changes of the configuration. */
  readonly space: string;
  readonly burst: number;
  readonly perUnitMs: number;
  /** How a member of RateLimit begins; what is left stands behind. */
  readonly stateBegin: string;
  /** Member of RateLimit-Policy. */
  readonly policy: string;
  isFor(x: Exchange): boolean;
  /** Undefined: the expression has no value. */
  keyOf(x: Exchange): string | undefined;
  costOf(x: Exchange): number;
}

export interface LimitPlace {
  /** The policy, and the rule where each counts by itself. */
  readonly space: string;
  readonly ipv6Prefix: number;
}

export function makeLimit(config: LimitConfig, { space, ipv6Prefix }: LimitPlace): Limit {
  const { requests, units, per, key, when } = config;
  // The check has seen that there is one of them, and a duration.
  const amount = (requests ?? units)!;
  const perUnitMs = parseDuration(per)! / amount;
  const burst = config.burst ?? amount;
  const name = limitName(config);
  const applies = when === undefined ? undefined : compileExpression(when, 'bool');
  return {
    name,
    // Another expression makes other keys.
    space: `${space} ${name} ${key ?? ''}`.replaceAll('\0', ' '),
    burst,
    perUnitMs,
    stateBegin: `"${name}";r=`,
    policy: `"${name}";q=${burst};w=${Math.max(1, Math.ceil((burst * perUnitMs) / 1_000))}`,
    isFor: applies === undefined ? () => true : (x) => applies(x) !== false,
    keyOf: key === undefined ? (x) => networkOf(x.clientIp, ipv6Prefix) : compileExpression(key, 'string'),
    costOf: costReader(config.cost),
  };
}

function costReader(cost: LimitConfig['cost']): (x: Exchange) => number {
  if (cost === undefined) return () => 1;
  if (typeof cost === 'number') return () => cost;
  const read = compileExpression(cost, 'int');
  return (x) => {
    const units = read(x);
    // A cost below nothing would give back what others have used.
    return units === undefined || units < 0 ? 1 : units;
  };
}

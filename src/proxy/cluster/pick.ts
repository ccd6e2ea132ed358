/**
 * Smooth weighted round robin: over any run of picks each choice gets its share,
 * spread evenly rather than in bursts. Each pick adds every weight to its choice's
 * credit and takes the sum from the one with the most.
 */
import type { Endpoint } from '../upstream/endpoint.ts';

export interface Weighted {
  readonly weight: number;
  credit: number;
}

/** The next choice; undefined when all weights are 0. */
export function pickShare<T extends Weighted>(choices: readonly T[]): T | undefined {
  let best: T | undefined;
  let sum = 0;
  for (const choice of choices) {
    if (choice.weight === 0) continue;
    sum += choice.weight;
    choice.credit += choice.weight;
    if (best === undefined || choice.credit > best.credit) best = choice;
  }
  if (best !== undefined) best.credit -= sum;
  return best;
}

/**
 * The next endpoint: healthy ones first; when none is, all are tried (better a
 * chance than a certain refusal). `avoid` is taken only when it is alone.
 */
export function pickWeighted(
  endpoints: readonly Endpoint[],
  avoid: Endpoint | undefined,
  nowMs: number,
): Endpoint | undefined {
  if (endpoints.length <= 1) return endpoints[0];
  return (
    pickAmong(endpoints, (endpoint) => endpoint !== avoid && endpoint.healthy(nowMs)) ??
    pickAmong(endpoints, (endpoint) => endpoint !== avoid)
  );
}

function pickAmong(endpoints: readonly Endpoint[], allowed: (endpoint: Endpoint) => boolean): Endpoint | undefined {
  let best: Endpoint | undefined;
  let sum = 0;
  for (const endpoint of endpoints) {
    if (endpoint.weight === 0 || !allowed(endpoint)) continue;
    sum += endpoint.weight;
    endpoint.credit += endpoint.weight;
    if (best === undefined || endpoint.credit > best.credit) best = endpoint;
  }
  if (best !== undefined) best.credit -= sum;
  return best;
}

/** The filters of a rule or a backend, made from the plan and split by hook, so that absent hooks cost nothing. */
import { Fault } from '../base/fault.ts';
import type { Env } from '../filter/env.ts';
import type { Filter, FilterCode } from '../filter/filter.ts';
import type { PlanFilter } from '../ir/plan.ts';
import { Audited } from './audited.ts';
import { Authenticator, type Method } from './authenticator.ts';

/** One filter of a chain, by the name that logs and faults say. */
export interface Link {
  readonly name: string;
  readonly filter: Filter;
}

export interface FilterChain {
  readonly onRequest: readonly Link[];
  /** In reverse order: what saw the request last sees the answer first. */
  readonly onResponse: readonly Link[];
  readonly onEnd: readonly Filter[];
  /** Filters that may say that they cannot do their work. */
  readonly watched: readonly Watched[];
  close(): void;
}

export interface Watched {
  readonly planned: PlanFilter;
  failing(): string | undefined;
}

export interface ChainEnv {
  /** Code that was loaded, by filter name. */
  readonly filters: ReadonlyMap<string, FilterCode>;
  envOf(planned: PlanFilter): Env;
  /** A filter could not be made: what it is for answers 500, everything else of the plan is served. */
  onUnmade(planned: PlanFilter, error: unknown): void;
}

const EMPTY_CHAIN: FilterChain = { onRequest: [], onResponse: [], onEnd: [], watched: [], close: () => undefined };

/** @throws {Error} when the plan names a filter that is not there: the plan is refused */
export function makeChain(planned: readonly PlanFilter[], env: ChainEnv): FilterChain {
  if (planned.length === 0) return EMPTY_CHAIN;
  const made: Made[] = [];
  try {
    return chainOf(links(planned, env, made), made);
  } catch (error) {
    for (const { filter } of made) filter.close?.();
    throw error;
  }
}

interface Made {
  readonly planned: PlanFilter;
  readonly filter: Filter;
}

function chainOf(all: readonly Link[], made: readonly Made[]): FilterChain {
  return {
    onRequest: all.filter(({ filter }) => filter.onRequest !== undefined),
    onResponse: all.filter(({ filter }) => filter.onResponse !== undefined).toReversed(),
    onEnd: all.map(({ filter }) => filter).filter((filter) => filter.onEnd !== undefined),
    watched: made.flatMap(({ planned, filter }) =>
      filter.failing === undefined ? [] : [{ planned, failing: () => filter.failing!() }],
    ),
    close: () => {
      for (const { filter } of made) filter.close?.();
    },
  };
}

/**
 * Alternatives become one link, at the place of the first of them. What authenticating filters do to a request comes
 * after all of them have been asked: one may take out what another has still to read.
 */
function links(planned: readonly PlanFilter[], env: ChainEnv, made: Made[]): Link[] {
  const all: Link[] = [];
  let afterwards: Link[] = [];
  const groups = new Map<string, Method[]>();
  for (const part of planned) {
    const code = env.filters.get(part.filter);
    if (code === undefined) throw new Error(`Plan names filter "${part.filter}", which this proxy does not have`);
    const lent = env.envOf(part);
    const filter = madeOf(code, part, { lent, env });
    made.push({ planned: part, filter });
    const linked = (acting: Filter): Link => ({
      name: part.filter,
      filter: part.audit === true ? new Audited(part.filter, acting, lent) : acting,
    });
    if (filter.authenticate === undefined) {
      all.push(...afterwards, linked(filter));
      afterwards = [];
      continue;
    }
    afterwards.push(linked(filter));
    const method: Method = { name: part.filter, filter };
    const group = part.alternative === undefined ? undefined : groups.get(part.alternative);
    if (group !== undefined) {
      group.push(method);
      continue;
    }
    const methods = [method];
    if (part.alternative !== undefined) groups.set(part.alternative, methods);
    all.push(linked(new Authenticator(methods, part.anonymous)));
  }
  return [...all, ...afterwards];
}

interface Making {
  readonly lent: Env;
  readonly env: ChainEnv;
}

/** One that cannot be made fails at each request; in an audit it does nothing. */
function madeOf(code: FilterCode, part: PlanFilter, { lent, env }: Making): Filter {
  try {
    return code.make(part.config as never, lent);
  } catch (error) {
    env.onUnmade(part, error);
    const failing = (): string => (error instanceof Error ? error.message : String(error));
    if (part.audit === true) return { failing };
    const fault = new Fault(
      'filter.failed',
      `Filter "${part.filter}" of ${part.owner} could not be made; the log says why`,
    );
    // Others of the same alternatives may still say who is asking.
    return part.alternative === undefined
      ? { onRequest: () => fault, failing }
      : { authenticate: () => fault, failing };
  }
}

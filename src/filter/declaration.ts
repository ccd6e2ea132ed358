/**
 * What is known of a filter without running it: its name, schema, place in the
 * order, faults. The compiler, the command line and the documents read it; the
 * code is loaded by the first plan that names the filter.
 */
import { createRequire } from 'node:module';
import type { FaultKind } from '../base/fault.ts';
import type { Static, TSchema } from '../schema/schema.ts';
import type { FilterCode } from './filter.ts';

/** When a filter runs. The order of this list is the order on the wire. */
export const PHASES = ['admit', 'authenticate', 'authorise', 'limit', 'transform', 'answer'] as const;
export type Phase = (typeof PHASES)[number];

/**
 * What becomes of a filter that is asked for more than once.
 *
 * - `closest`: the closest target counts. For what can only be said once.
 * - `adds`: all targets count, the farthest runs first, so that the closest has the last word.
 * - `narrows`: all run, also those of one target. For security filters: each may refuse, none may widen
 *   what another one allows.
 */
export type Composition = 'closest' | 'adds' | 'narrows';

/** What a schema cannot say. */
export interface ConfigIssue {
  /** JSON pointer inside the configuration: `/rules/0/when`. */
  readonly pointer: string;
  /** What is, then what should be. Sentence case, no full stop. */
  readonly message: string;
}

/** A part of a configuration that runs by itself, at its own place in the order. */
export interface FilterPart {
  readonly phase: Phase;
  /** JSON pointer inside the configuration. */
  readonly pointer: string;
  readonly config: unknown;
}

export interface FilterParts<S extends TSchema = TSchema> {
  /** Schema of one part. */
  readonly schema: TSchema;
  readonly of: (config: Static<S>) => readonly FilterPart[];
}

/** Which bodies a filter holds back whole. */
export interface HeldBodies {
  readonly request: boolean;
  readonly response: boolean;
  /** False where only code of users knows: then it may. Default: true. */
  readonly certain: boolean;
}

/** `S`: what is configured. `P`: what the plan holds, which is one part of it where there are parts. */
export interface FilterDeclaration<S extends TSchema = TSchema, P extends TSchema = S> {
  readonly name: string;
  readonly phase: Phase;
  /** `stable`, or `beta`: may change between minor versions. */
  readonly status: 'stable' | 'beta';
  readonly config: S;
  readonly composition: Composition;
  /** Whether it decides, so that mode `audit` has a meaning: it decides, logs and counts, and lets through. */
  readonly decides: 'yes' | 'no';
  /** Faults that only this filter raises, made by `faultKinds`. */
  readonly faults: Readonly<Record<string, FaultKind>>;
  /** What it counts, with what that means. */
  readonly events: Readonly<Record<string, string>>;
  /** Which bodies it holds back whole, so that they do not stream; undefined for none. */
  readonly buffers: (config: Static<P>) => Omit<HeldBodies, 'certain'> & Partial<HeldBodies>;
  /** What it will do, a line each, for `explain`. Without secrets. */
  readonly explain: (config: Static<P>) => readonly string[];
  /** Only called with what the schema accepts. */
  readonly check: (config: Static<S>) => readonly ConfigIssue[];
  /** Where one configuration becomes several filters: each runs last in its phase. */
  readonly parts?: FilterParts<S>;
  readonly load: () => Promise<FilterCode<P>>;
}

/** A declaration that types can still tell by its name: `fourways.config.ts` knows each filter's configuration. */
export type NamedFilter<N extends string, S extends TSchema> = FilterDeclaration & {
  readonly name: N;
  readonly config: S;
};

type Stated = 'name' | 'phase' | 'config' | 'composition' | 'decides' | 'load';

const NOTHING_BUFFERED = { request: false, response: false };

/** Names the types, and fills in what is not said. */
export function declareFilter<const N extends string, S extends TSchema, P extends TSchema = S>(
  stated: { readonly name: N } & Pick<FilterDeclaration<S, P>, Stated> & Partial<Omit<FilterDeclaration<S, P>, Stated>>,
): NamedFilter<N, S> {
  const declaration: FilterDeclaration<S, P> = {
    status: 'stable',
    faults: {},
    events: {},
    buffers: () => NOTHING_BUFFERED,
    explain: () => [],
    check: () => [],
    ...stated,
  };
  return declaration as unknown as NamedFilter<N, S>;
}

/**
 * The function `check` of `check.ts` beside a declaration, loaded when it is
 * first called: what checks may need parsers that others should not pay for.
 *
 * @param url  `import.meta.url` of the declaration
 */
export function checkBeside<C>(url: string): (config: C) => readonly ConfigIssue[] {
  const file = url.endsWith('.ts') ? './check.ts' : './check.js';
  let check: ((config: C) => readonly ConfigIssue[]) | undefined;
  return (config) => {
    check ??= (createRequire(url)(file) as { readonly check: (config: C) => readonly ConfigIssue[] }).check;
    return check(config);
  };
}

/** Modules of users as the filter `own` sees them; main/ loads and runs them. */
import type { Env, Upstream } from './env.ts';
import type { ExchangeCopy } from './own-exchange.ts';
import type { OwnCall, Outcome, OwnShape } from './own-run.ts';

/** What the compiler makes of the name of a module (`refersTo: 'module'`). */
export interface LoweredModule {
  /** Absolute path of a file, or the name of a package. */
  readonly specifier: string;
  /** Folder of the manifest: packages are looked up from there. */
  readonly from: string;
}

/** Where a filter runs: in a thread of its own, or among the requests. */
export type OwnGuard = 'worker' | 'none';

/** Who says the same shares one program. */
export interface ProgramSpec {
  readonly module: LoweredModule;
  /** Name of the filter; undefined where the module has only one. */
  readonly filter: string | undefined;
  readonly guard: OwnGuard;
  readonly heapMegabytesMax: number;
}

/** A filter for one rule. */
export interface InstanceSpec {
  readonly options: unknown;
  readonly owner: string;
  readonly rule: string;
  readonly secrets: Readonly<Record<string, string>>;
  readonly upstreams: readonly string[];
}

/** What an instance may ask for, or say, while it runs. */
export interface ProgramEnv extends Pick<Env, 'count' | 'warn' | 'fetch'> {
  /** One of {@link InstanceSpec.upstreams}. */
  upstream(name: string): Upstream;
}

export interface Programs {
  open(spec: ProgramSpec): Program;
  /** Ends all of them. */
  close(): void;
}

/** One module of a user: its newest version that is good, loaded anew when a file of it changes. */
export interface Program {
  /** Name of the filter, or of its module until that is known. */
  readonly name: string;
  /** The first version is loaded, or was given up. */
  readonly settled: Promise<void>;
  bind(instance: InstanceSpec, env: ProgramEnv): BoundFilter;
}

export interface BoundFilter {
  /** What serves requests that begin now, or why nothing does. */
  readonly version: FilterVersion | string;
  close(): void;
}

/** One version of a filter for one rule. It stays until what began on it has ended. */
export interface FilterVersion {
  /** Undefined until it is known. */
  readonly shape: OwnShape | undefined;
  /** What the filter itself says of its time. */
  readonly timeoutMs: number | undefined;
  /** Another exchange begins; `end` is to follow. */
  begin(): void;
  end(exchange: number, copyOf: () => ExchangeCopy): void;
  /** Settles within `timeoutMs` and never rejects. */
  call(call: OwnCall, timeoutMs: number): Outcome | Promise<Outcome>;
}

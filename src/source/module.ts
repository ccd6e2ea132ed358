/**
 * A configuration that is a program: `fourways.config.ts`. It runs in a
 * process of its own that main/ starts (main/load-config.ts); this file says what comes back.
 */
import type { Position } from '../base/problem.ts';

/** What became of one run of a configuration module. */
export interface ModuleRun {
  /** Files of the operator that took part, the module itself first: when one changes, the module runs again. */
  readonly files: readonly string[];
  /** Lines that the module wrote to standard output and standard error; bounded. */
  readonly output: readonly string[];
  readonly result: { readonly kind: 'value'; readonly value: unknown } | ModuleFailure;
}

export interface ModuleFailure {
  readonly kind: 'failed';
  /** Stable code: `module.failed`, `module.syntax`, `module.timeout`, `module.value`. */
  readonly code: string;
  /** What happened, without the name of the module: `service is not defined`. */
  readonly reason: string;
  readonly at?: Position;
  /** JSON pointer into the exported value, when that is where it is wrong. */
  readonly field?: string;
}

/** Runs the module at an absolute path in a process of its own. Never rejects: all that can go wrong is in the result. */
export type RunModule = (path: string) => Promise<ModuleRun>;

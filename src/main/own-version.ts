/** One version of a module of a user, wherever it runs. */
import type { InstanceSpec, ProgramEnv } from '../filter/own-program.ts';
import type { Outcome, OutcomeFailed, OwnCall, OwnEnd, OwnShape } from '../filter/own-run.ts';
import type { FileStamp } from './own-import.ts';
import type { LoadedFilter } from './own-protocol.ts';

export interface Version {
  /** The filter, or in words why there is none. */
  readonly loaded: Promise<LoadedFilter | string>;
  /** Files that took part, as they were then. */
  readonly stamps: ReadonlyMap<string, FileStamp>;
  /** @returns in words why it cannot be made */
  make(instance: number, spec: InstanceSpec, env: ProgramEnv): Promise<OwnShape | string>;
  unmake(instance: number): void;
  /** Settles within `timeoutMs` and never rejects. */
  call(instance: number, call: OwnCall, timeoutMs: number): Outcome | Promise<Outcome>;
  end(instance: number, end: OwnEnd): void;
  close(): void;
}

export function failed(event: OutcomeFailed['event'], why: string): Outcome {
  return { verdict: { kind: 'failed', event, why } };
}

export function timedOut({ hook }: OwnCall, timeoutMs: number): Outcome {
  return failed('timeout', `${hook} took longer than ${timeoutMs} ms`);
}

/** What a proxy and the thread of a filter of a user say to each other. */
import type { InstanceSpec } from '../filter/own-program.ts';
import type { OwnAnswer, OwnQuestion } from '../filter/own.ts';
import type { Outcome, OwnCall, OwnEnd, OwnShape } from '../filter/own-run.ts';
import type { LoweredModule } from '../filter/own-program.ts';
import type { FileStamp } from './own-import.ts';

export interface OwnThreadData {
  readonly module: LoweredModule;
  readonly filter: string | undefined;
  readonly version: number;
}

export type ToOwnThread =
  | { readonly kind: 'make'; readonly instance: number; readonly spec: InstanceSpec }
  | { readonly kind: 'unmake'; readonly instance: number }
  | { readonly kind: 'call'; readonly id: number; readonly instance: number; readonly call: OwnCall }
  | { readonly kind: 'end'; readonly instance: number; readonly end: OwnEnd }
  | { readonly kind: 'answer'; readonly id: number; readonly answer: OwnAnswer | string }
  | { readonly kind: 'ping' }
  /** Close what was made, and end. */
  | { readonly kind: 'close' };

export type FromOwnThread =
  | { readonly kind: 'file'; readonly stamp: FileStamp }
  | ({ readonly kind: 'loaded' } & LoadedFilter)
  | { readonly kind: 'broken'; readonly why: string }
  | { readonly kind: 'made'; readonly instance: number; readonly shape: OwnShape }
  | { readonly kind: 'unmade'; readonly instance: number; readonly why: string }
  | { readonly kind: 'outcome'; readonly id: number; readonly outcome: Outcome }
  | { readonly kind: 'count'; readonly instance: number; readonly event: string; readonly count: number }
  | {
      readonly kind: 'warn';
      readonly instance: number;
      readonly message: string;
      readonly fields: Readonly<Record<string, string | number>>;
    }
  | {
      readonly kind: 'ask';
      readonly id: number;
      readonly instance: number;
      readonly upstream: string;
      readonly question: OwnQuestion;
    }
  | { readonly kind: 'pong' };

export interface LoadedFilter {
  readonly name: string;
  readonly timeoutMs: number | undefined;
}

/** A message takes along all of the memory that a view of bytes stands on: views of shared memory are copied first. */
export function exactBytes(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength && !Buffer.isBuffer(bytes) ? bytes : new Uint8Array(bytes);
}

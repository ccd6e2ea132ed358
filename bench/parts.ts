/** Measurements that are not a load on 64 connections. Each writes rows of its own figures. */
import type { Row } from './row.ts';

export interface Part {
  readonly name: string;
  readonly about: string;
  run(options: { readonly dir: string; readonly say: (line: string) => void }): Promise<readonly Row[]>;
}

export const PARTS: readonly Part[] = [];

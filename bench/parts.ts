/** Measurements that are not a load on 64 connections. Each writes rows of its own figures. */
import { measureMemory } from './memory.ts';
import { measureMeshChange } from './mesh-change.ts';
import { measureMeshMemory } from './mesh-memory.ts';
import { measurePropagation } from './propagation.ts';
import type { Row } from './row.ts';
import { measureStart } from './start.ts';

export interface PartOptions {
  /** Scratch folder of this part. */
  readonly dir: string;
  /** Version of Fourways, for the rows. */
  readonly version: string;
  readonly entry: 'built' | 'source';
  readonly say: (line: string) => void;
}

export interface Part {
  readonly name: string;
  readonly about: string;
  run(options: PartOptions): Promise<readonly Row[]>;
}

export const PARTS: readonly Part[] = [
  {
    name: 'propagation-3000',
    about: 'from the rename of one file of a folder with 3,000 HTTPRoutes to its new answer on every connection',
    run: (options) => measurePropagation(options, { routes: 3_000, edits: 120 }),
  },
  {
    name: 'memory-5000',
    about: 'resident memory with 5,000 routes, one worker, after it has come to rest',
    run: (options) => measureMemory(options, { routes: 5_000, workers: 1 }),
  },
  {
    name: 'mesh-memory',
    about: 'memory of a sidecar in a mesh with 1,000 services, of which it calls 50, once it has come to rest',
    run: (options) => measureMeshMemory(options, { services: 1_000, used: 50 }),
  },
  {
    name: 'mesh-change',
    about: 'from the registration of an endpoint until 200 proxies know it, and until it gets its first request',
    run: (options) => measureMeshChange(options, { proxies: 200, changes: 50 }),
  },
  {
    name: 'start',
    about: 'from the start of the process to ready, and its memory at rest, two workers, one route',
    run: (options) => measureStart(options, { workers: 2, rounds: 7 }),
  },
];

import { Fault } from '../base/fault.ts';

/** What a filter threw, without what it may have said of the request. */
export function filterFailed(name: string, error: unknown): Fault {
  return new Fault('filter.failed', `Filter "${name}" failed: ${error instanceof Error ? error.name : 'it threw'}`);
}

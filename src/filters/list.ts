import type { FilterDef } from '../filter/filter.ts';
import { cors } from './cors/filter.ts';
import { directResponse } from './direct-response/filter.ts';
import { headers } from './headers/filter.ts';
import { redirect } from './redirect/filter.ts';
import { rewrite } from './rewrite/filter.ts';

/** Every filter, in the order in which requests meet them; answers meet them the other way round. */
export const FILTERS: readonly FilterDef[] = [
  // ---- admit: before anybody knows who is asking. Preflights carry no credentials.
  cors,
  // ---- transform: what goes upstream. Headers after the rewrite, so that a Host of the operator's wins.
  rewrite,
  headers,
  // ---- answer: instead of an upstream.
  redirect,
  directResponse,
];

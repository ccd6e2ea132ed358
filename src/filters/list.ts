import type { FilterDeclaration } from '../filter/declaration.ts';
import { apiKey } from './api-key/config.ts';
import { authorize } from './authorize/config.ts';
import { compress } from './compress/config.ts';
import { basic } from './basic/config.ts';
import { cache } from './cache/config.ts';
import { bodyLimit } from './body-limit/config.ts';
import { concurrency } from './concurrency/config.ts';
import { cors } from './cors/config.ts';
import { decompress } from './decompress/config.ts';
import { directResponse } from './direct-response/config.ts';
import { extAuth } from './ext-auth/config.ts';
import { headers } from './headers/config.ts';
import { identityHeader } from './identity-header/config.ts';
import { ipAccess } from './ip-access/config.ts';
import { own } from './own/config.ts';
import { jwt } from './jwt/config.ts';
import { mock } from './mock/config.ts';
import { mtls } from './mtls/config.ts';
import { rateLimit } from './rate-limit/config.ts';
import { oidc } from './oidc/config.ts';
import { redirect } from './redirect/config.ts';
import { rewrite } from './rewrite/config.ts';
import { transform } from './transform/config.ts';
import { signUserContext, userContext } from './user-context/config.ts';
import { validate } from './validate/config.ts';

/** Every filter, in the order in which requests meet them; answers meet them the other way round. */
export const FILTERS = [
  // ---- admit: before anybody knows who is asking. Addresses first: nothing is done for whoever is kept out.
  ipAccess,
  // Preflights carry no credentials.
  cors,
  // Before any filter that reads the body.
  bodyLimit,
  // ---- authenticate: of several of which one is enough, the cheap ones are asked first.
  mtls,
  apiKey,
  jwt,
  // Passwords cost most.
  basic,
  // Last: where it is not content it sends to log in, so all others should have been asked.
  oidc,
  // ---- authorise: once it is known who is asking. What is decided here before what has to be asked for.
  authorize,
  extAuth,
  // ---- limit: by who is asking. Rates first: what they refuse is not at work.
  rateLimit,
  concurrency,
  // ---- transform: what goes upstream. Compress meets the request first, to hear what the client takes before another
  // filter asks services for something else; so it meets the answer last, and nothing has to read what it wrote.
  // Decompress comes before all that read bodies. Validate sees requests as clients send them, and answers as clients
  // get them. Headers after the rewrite, so that a Host of the operator's wins.
  compress,
  decompress,
  validate,
  transform,
  rewrite,
  identityHeader,
  headers,
  // Filters of users run last in the phase that each names; this is the place of those that name `transform`.
  own,
  // ---- answer: instead of an upstream. The cache stands behind everything that may refuse, and behind what changes a
  // request, so that its key is what the upstream is asked; it keeps answers as the upstream gave them.
  cache,
  mock,
  redirect,
  directResponse,
] as const satisfies readonly FilterDeclaration[];

/**
 * All that plans may name, in the order in which requests meet them. Those that no policy asks for are added by the
 * compiler in a mesh: who the user is comes before what else is asked.
 */
export const PLANNED_FILTERS: readonly FilterDeclaration[] = [userContext, ...FILTERS, signUserContext];

export const FILTERS_BY_NAME: ReadonlyMap<string, FilterDeclaration> = new Map(
  PLANNED_FILTERS.map((filter) => [filter.name, filter]),
);

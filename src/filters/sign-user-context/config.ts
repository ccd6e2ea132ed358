import { faultKinds } from '../../base/fault.ts';
import { declareFilter } from '../../filter/declaration.ts';
import { type Static, Type } from '../../schema/schema.ts';

/** Made by the compiler, from the Mesh. */
export const SignUserContextConfig = Type.Object(
  {
    audience: Type.Array(Type.String(), { minItems: 1, maxItems: 65 }),
    /** Names of claims; absent for all that say something of the user. */
    claims: Type.Optional(Type.Array(Type.String(), { maxItems: 64 })),
    lifetimeMs: Type.Integer({ minimum: 1_000, maximum: 600_000 }),
  },
  { additionalProperties: false },
);
export type SignUserContextConfig = Static<typeof SignUserContextConfig>;

export const SIGN_USER_CONTEXT_FAULTS = faultKinds({
  'user-context.too-large': {
    blame: 'gateway',
    retry: 'never',
    status: 500,
    grpc: 13,
    title: 'The gateway cannot pass on who is asking',
    advice:
      'What is known of the user would be longer than 8 KiB with the certificates of the gateway: name the claims that services need in `userContext.claims` of the Mesh.',
  },
});

/** Tells services of the mesh who is asking. Nobody asks for it: the compiler adds it where a gateway leads to them. */
export const signUserContext = declareFilter({
  name: 'signUserContext',
  phase: 'transform',
  config: SignUserContextConfig,
  composition: 'closest',
  decides: 'no',
  faults: SIGN_USER_CONTEXT_FAULTS,
  events: { signed: 'User contexts that were signed: one for each user, and anew as its time goes by.' },
  explain: ({ audience, claims, lifetimeMs }) => [
    `tells services of ${audience.join(', ')} who is asking, signed by this gateway, good for ${lifetimeMs / 1_000} s, with ${claims === undefined ? 'all claims' : claims.length === 0 ? 'no claims' : `claims ${claims.join(', ')}`}`,
  ],
  load: async () => (await import('./filter.ts')).code,
});

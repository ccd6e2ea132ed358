import { declareFilter } from '../../filter/declaration.ts';
import { type Static, Type } from '../../schema/schema.ts';
import { SIGN_USER_CONTEXT_FAULTS, USER_CONTEXT_FAULTS } from './faults.ts';

/** Made by the compiler, from the Mesh. */
export const UserContextConfig = Type.Object(
  {
    /** Trust domain of whoever reads it. */
    audience: Type.String(),
    /** SPIFFE IDs that may say who a user is. */
    signers: Type.Array(Type.String()),
    /** Roots by trust domain, each PEM. */
    trust: Type.Record(Type.String(), Type.Array(Type.String())),
  },
  { additionalProperties: false },
);
export type UserContextConfig = Static<typeof UserContextConfig>;

/** Who the user behind a call is, as a gateway has verified. Nobody asks for it: every sidecar of a mesh has it. */
export const userContext = declareFilter({
  name: 'userContext',
  phase: 'authenticate',
  config: UserContextConfig,
  composition: 'closest',
  decides: 'no',
  faults: USER_CONTEXT_FAULTS,
  events: {
    accepted: 'User contexts that were verified: each once, however many requests carry it.',
    refused: 'Requests with a user context that is forged, tampered with, expired, or for another mesh.',
    stripped: 'Requests in clear text whose user context was taken out: nobody knows who sent them.',
  },
  explain: ({ signers }) => [
    signers.length === 0
      ? 'refuses every user context'
      : `believes ${signers.join(', ')} who the user is; nobody else, and nobody in clear text`,
  ],
  load: async () => (await import('./filter.ts')).code,
});

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
  load: async () => (await import('./signing.ts')).code,
});

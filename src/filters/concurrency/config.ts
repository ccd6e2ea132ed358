import { faultKinds } from '../../base/fault.ts';
import { EXPRESSION_CHARS_MAX } from '../../base/limits.ts';
import { checkBeside, declareFilter } from '../../filter/declaration.ts';
import { durationField } from '../../filter/fields.ts';
import { type Static, Type } from '../../schema/schema.ts';

export const ConcurrencyConfig = Type.Object(
  {
    max: Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      description: 'Requests that may be at work at a time, from their head to the end of their answer or tunnel.',
    }),
    key: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: EXPRESSION_CHARS_MAX,
        description:
          'Expression (CEL) for a text: requests with the same text count together, and so do all for which it has no value. Default: all requests count together.',
      }),
    ),
    together: Type.Enum(['policy', 'rule'], {
      default: 'rule',
      description: 'Which requests count together: those of all rules that the policy acts on, or those of each rule.',
    }),
    retryAfter: durationField({
      default: '1s',
      description: 'What `Retry-After` says on a refusal, in whole seconds; `0s` leaves it out.',
    }),
  },
  { additionalProperties: false, description: 'Limits how many requests are at work at a time.' },
);
export type ConcurrencyConfig = Static<typeof ConcurrencyConfig>;

export const CONCURRENCY_FAULTS = faultKinds({
  'concurrency.exceeded': {
    blame: 'policy',
    retry: 'never',
    status: 503,
    grpc: 8,
    title: 'Too many requests are at work',
    advice: 'max of concurrency is reached. Either requests take longer than usual, or max is too low.',
  },
});

export const concurrency = declareFilter({
  name: 'concurrency',
  phase: 'limit',
  config: ConcurrencyConfig,
  composition: 'narrows',
  decides: 'yes',
  faults: CONCURRENCY_FAULTS,
  events: {
    refused: 'Requests that were refused.',
    full: 'Those of them that were refused because the table of the process was full, not their limit.',
    no_key: 'Requests for which the expression of the key had no value.',
  },
  explain: ({ max, key, together }) => [
    `at most ${max} at a time${key === undefined ? '' : ` for each ${key}`}, counted over ${
      together === 'policy' ? 'all rules of the policy' : 'this rule'
    }`,
  ],
  check: checkBeside<ConcurrencyConfig>(import.meta.url),
  load: async () => (await import('./filter.ts')).code,
});

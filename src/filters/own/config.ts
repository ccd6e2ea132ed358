import { declareFilter } from '../../filter/declaration.ts';
import { durationField } from '../../filter/fields.ts';
import { OWN_PHASES } from '../../filter/own-phases.ts';
import { backendRef, moduleName, secretRef } from '../../filter/references.ts';
import { type Static, Type } from '../../schema/schema.ts';

const strict = { additionalProperties: false };

const Name = Type.String({
  pattern: '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$',
  expected: 'a name of letters, digits, "_", "." and "-"',
});

const OwnEntry = Type.Object(
  {
    module: moduleName({
      description:
        'File beside the manifest (`./stamp.ts`), or a package that is looked up from there. Loaded anew when it, or a file that it imports, changes.',
    }),
    filter: Type.Optional(
      Type.String({
        pattern: '^[a-z][a-z0-9-]{0,62}$',
        expected: 'the name that defineFilter was given',
        description: 'Name that `defineFilter` was given. Needed where the module defines several.',
      }),
    ),
    options: Type.Optional(
      Type.Unknown({ description: 'Options of the filter, checked by its own schema when it is loaded. No secrets.' }),
    ),
    phase: Type.Enum([...OWN_PHASES], {
      default: 'transform',
      description:
        'When it runs, last in that phase: before anybody knows who is asking, once that is known, or right before the upstream.',
    }),
    timeout: Type.Optional(
      durationField({
        description:
          'How long one call of a hook may take, at most 60 s; beyond it 500. Default: what the filter says, else 1 s.',
      }),
    ),
    guard: Type.Enum(['worker', 'none'], {
      default: 'worker',
      description:
        '`worker`: in a thread of its own, which is ended and started again when it hangs. `none`: among the requests, ten times cheaper; a loop without end then holds all of them up. For what is trusted.',
    }),
    heapMegabytesMax: Type.Integer({
      minimum: 8,
      maximum: 4096,
      default: 64,
      description:
        'Memory of the thread; one that needs more is ended and started again. With guard `none` without effect.',
    }),
    secrets: Type.Record(Name, secretRef({ description: 'A value for the filter.' }), {
      maxProperties: 16,
      default: {},
      description: 'What the filter gets by `env.secret(NAME)`.',
    }),
    upstreams: Type.Record(Name, backendRef({ description: 'A service for the filter.' }), {
      maxProperties: 16,
      default: {},
      description: 'Services that the filter asks by `env.upstream(NAME)`.',
    }),
  },
  strict,
);
export type OwnEntry = Static<typeof OwnEntry>;
export type OwnEntrySchema = typeof OwnEntry;

export const OwnConfig = Type.Object(
  {
    use: Type.Array(OwnEntry, {
      minItems: 1,
      maxItems: 32,
      description: 'The filters, in the order in which they run.',
    }),
  },
  { ...strict, description: 'Runs filters of your own, written in TypeScript or JavaScript.' },
);
export type OwnConfig = Static<typeof OwnConfig>;

export const own = declareFilter<'own', typeof OwnConfig, typeof OwnEntry>({
  name: 'own',
  phase: 'transform',
  config: OwnConfig,
  // Nobody but their author knows what they are for: they may be what keeps requests out.
  composition: 'narrows',
  decides: 'yes',
  parts: {
    schema: OwnEntry,
    of: ({ use }) => use.map((config, i) => ({ phase: config.phase, pointer: `/use/${i}`, config })),
  },
  events: {
    failed: 'Hooks that threw, rejected or gave back what they may not: 500.',
    timeout: 'Hooks that took too long: 500.',
    unavailable: 'Requests that met a filter that cannot run: 500.',
    refused: 'Requests and answers that a filter refused.',
    audited: 'Decisions in mode `audit`.',
  },
  buffers: () => ({ request: true, response: true, certain: false }),
  explain: ({ module: { specifier }, filter, phase, guard, timeout }) => [
    `runs ${filter === undefined ? 'the filter' : `filter "${filter}"`} of ${specifier} in phase ${phase}, ` +
      (guard === 'worker' ? 'in a thread of its own' : 'among the requests') +
      (timeout === undefined ? '' : `, at most ${timeout} a call`),
  ],
  load: async () => (await import('./filter.ts')).code,
});

import { faultKinds } from '../../base/fault.ts';
import { CONSUMER_HEADER_FIELDS, ConsumerName, GroupNames, Labels } from '../../filter/consumer.ts';
import { type ConfigIssue, declareFilter } from '../../filter/declaration.ts';
import { FieldName, realmField } from '../../filter/fields.ts';
import { fileName, secretRef } from '../../filter/references.ts';
import { FILE_EVENTS } from '../../filter/shared-file.ts';
import { type Static, Type } from '../../schema/schema.ts';

const strict = { additionalProperties: false };

const Token = { minLength: 1, maxLength: 64, pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" };

const PlaceSchema = Type.Union(
  [
    Type.Object(
      {
        header: FieldName,
        scheme: Type.Optional(
          Type.String({
            ...Token,
            expected: 'a scheme such as "ApiKey" or "Bearer"',
            description: 'Word before the key, in any case: `Authorization: ApiKey …`. Other schemes are left alone.',
          }),
        ),
      },
      strict,
    ),
    Type.Object(
      {
        query: Type.String({
          minLength: 1,
          maxLength: 64,
          description: 'Parameter of the query, decoded. Addresses are logged and shared: prefer a header.',
        }),
      },
      strict,
    ),
    Type.Object(
      {
        cookie: Type.String({
          ...Token,
          expected: 'the name of a cookie',
          description: 'Cookie. Browsers send it by themselves: think of CSRF.',
        }),
      },
      strict,
    ),
  ],
  { expected: 'one of { header, scheme }, { query } and { cookie }' },
);
export type Place = Static<typeof PlaceSchema>;

export const ApiKeyConfig = Type.Object(
  {
    from: Type.Array(PlaceSchema, {
      minItems: 1,
      maxItems: 8,
      default: [{ header: 'x-api-key' }],
      description:
        'Where a request may have its key. All are looked at: a key in two places, or twice in one, is refused.',
    }),
    file: Type.Optional(
      fileName({
        description:
          'File of keys beside the proxy, as `fourways keys` writes it. Looked at every two seconds; what it said before holds while it is wrong.',
      }),
    ),
    keys: Type.Array(
      Type.Object(
        {
          consumer: ConsumerName,
          groups: GroupNames,
          labels: Labels,
          secret: secretRef({ description: 'The key itself, in a Secret.' }),
        },
        strict,
      ),
      { maxItems: 256, default: [], description: 'A few keys that stand in Secrets.' },
    ),
    hideCredentials: Type.Boolean({
      default: true,
      description: 'Whether the key is taken out of what goes upstream. Everything beside it stays as it came.',
    }),
    ...CONSUMER_HEADER_FIELDS,
    realm: realmField('What WWW-Authenticate calls the place that the key is for.'),
  },
  { ...strict, description: 'Lets in who has an API key, and says which consumer it is.' },
);
export type ApiKeyConfig = Static<typeof ApiKeyConfig>;

export const API_KEY_FAULTS = faultKinds({
  'api-key.invalid': {
    blame: 'client',
    retry: 'never',
    status: 401,
    grpc: 16,
    title: 'The API key is not valid',
    advice:
      'The key is not known, is disabled, or is not valid yet; the log says which, with the id of the key. "fourways keys list FILE" shows what there is.',
  },
  'api-key.expired': {
    blame: 'client',
    retry: 'never',
    status: 401,
    grpc: 16,
    title: 'The API key has expired',
    advice: 'The log has the id of the key. Give its consumer a new one with "fourways keys create".',
  },
  'api-key.ambiguous': {
    blame: 'client',
    retry: 'never',
    status: 400,
    grpc: 3,
    title: 'The request has more than one API key',
    advice:
      'A key stood in two places of "from", or twice in one. Two programs could take different ones, so neither is taken.',
  },
});

export const apiKey = declareFilter({
  name: 'apiKey',
  phase: 'authenticate',
  config: ApiKeyConfig,
  composition: 'narrows',
  decides: 'yes',
  faults: API_KEY_FAULTS,
  events: { refused: 'Requests whose key was refused.', ...FILE_EVENTS },
  explain: ({ from, file, keys }) => [
    `key from ${from.map(placeText).join(', or ')}`,
    ...(file === undefined ? [] : [`keys of ${file.file}`]),
    ...keys.map(({ consumer, secret }) => `key of ${consumer} in ${secret.secret}`),
  ],
  check: checkApiKey,
  load: async () => (await import('./filter.ts')).code,
});

function placeText(place: Place): string {
  if ('query' in place) return `query parameter ${place.query}`;
  if ('cookie' in place) return `cookie ${place.cookie}`;
  return place.scheme === undefined ? `header ${place.header}` : `header ${place.header}: ${place.scheme}`;
}

/** Headers that have a form of their own, in which a whole value is no key. */
const STRUCTURED = new Map([
  ['cookie', 'Expected { cookie: NAME } for a cookie, got the header Cookie'],
  ['host', 'Expected another header than Host: it says where a request goes'],
]);

function checkApiKey({ from, file, keys }: ApiKeyConfig): readonly ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  if (file === undefined && keys.length === 0) {
    issues.push({ pointer: '', message: 'Without any key nobody gets in: set "file" or "keys"' });
  }
  const seen = new Set<string>();
  from.forEach((place, i) => {
    const structured = 'header' in place ? STRUCTURED.get(place.header.toLowerCase()) : undefined;
    if (structured !== undefined) issues.push({ pointer: `/from/${i}/header`, message: structured });
    const text = 'header' in place ? placeText(place).toLowerCase() : placeText(place);
    if (seen.has(text)) issues.push({ pointer: `/from/${i}`, message: `Expected each place once, got ${text} twice` });
    seen.add(text);
  });
  return issues;
}

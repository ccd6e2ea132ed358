import { faultKinds } from '../../base/fault.ts';
import { CONSUMER_HEADER_FIELDS } from '../../filter/consumer.ts';
import { type ConfigIssue, declareFilter } from '../../filter/declaration.ts';
import { realmField } from '../../filter/fields.ts';
import { fileName, secretRef } from '../../filter/references.ts';
import { FILE_EVENTS } from '../../filter/shared-file.ts';
import { type Static, Type } from '../../schema/schema.ts';

export const BasicConfig = Type.Object(
  {
    file: Type.Optional(
      fileName({
        description:
          'File of users beside the proxy, as `fourways keys passwd` writes it: `user:hash` or `user:hash:group,group` a line. Looked at every two seconds; what it said before holds while it is wrong.',
      }),
    ),
    secret: Type.Optional(secretRef({ description: 'Value of a Secret with such lines, instead of a file.' })),
    realm: realmField('What browsers show when they ask for a password.'),
    hideCredentials: Type.Boolean({
      default: true,
      description: 'Whether Authorization is taken out of what goes upstream. Credentials of other schemes stay.',
    }),
    ...CONSUMER_HEADER_FIELDS,
    cacheSeconds: Type.Integer({
      minimum: 0,
      maximum: 3_600,
      default: 60,
      description: 'How long credentials that were checked are not checked again. A changed file ends it at once.',
    }),
    checksMax: Type.Integer({
      minimum: 1,
      maximum: 64,
      default: 2,
      description:
        'Passwords that are checked at a time, in all workers together. Node.js has 4 threads for this and all else that blocks; UV_THREADPOOL_SIZE sets more.',
    }),
  },
  { additionalProperties: false, description: 'Lets in who has a user name and a password (RFC 7617).' },
);
export type BasicConfig = Static<typeof BasicConfig>;

export const BASIC_FAULTS = faultKinds({
  'basic.invalid': {
    blame: 'client',
    retry: 'never',
    status: 401,
    grpc: 16,
    title: 'The user name or the password is not right',
    advice: 'The log does not say which of the two: neither may be told. "fourways keys list FILE" shows the users.',
  },
  'basic.malformed': {
    blame: 'client',
    retry: 'never',
    status: 400,
    grpc: 3,
    title: 'The credentials are not valid',
    advice:
      'Authorization stands there twice, or breaks RFC 7617: base64 of UTF-8, "user:password", no control characters.',
  },
  'basic.throttled': {
    blame: 'client',
    retry: 'never',
    status: 429,
    grpc: 8,
    title: 'Too many passwords are tried at a time',
    advice:
      'One address has too many passwords waiting to be checked. Somebody guesses, or many users share the address.',
  },
  'basic.busy': {
    blame: 'gateway',
    retry: 'never',
    status: 503,
    grpc: 14,
    title: 'Too many passwords are being checked',
    advice: 'Somebody guesses from many addresses, or checksMax is too low for all who come at once.',
  },
});

export const basic = declareFilter({
  name: 'basic',
  phase: 'authenticate',
  config: BasicConfig,
  composition: 'narrows',
  decides: 'yes',
  faults: BASIC_FAULTS,
  events: {
    checked: 'Passwords that were checked.',
    refused: 'Requests whose user name or password was not right.',
    throttled: 'Requests that were refused because too many passwords were being checked.',
    ...FILE_EVENTS,
  },
  explain: ({ file, secret }) => [`users of ${file?.file ?? secret?.secret ?? 'nowhere'}`],
  check: checkBasic,
  load: async () => (await import('./filter.ts')).code,
});

function checkBasic({ file, secret }: BasicConfig): readonly ConfigIssue[] {
  if ((file === undefined) !== (secret === undefined)) return [];
  const what = file === undefined ? 'none' : 'both';
  return [{ pointer: '', message: `Expected one of "file" and "secret", got ${what}` }];
}

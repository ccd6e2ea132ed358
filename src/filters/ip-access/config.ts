import { faultKinds } from '../../base/fault.ts';
import { checkBeside, declareFilter } from '../../filter/declaration.ts';
import { fileName } from '../../filter/references.ts';
import { type Static, Type } from '../../schema/schema.ts';

const Network = Type.String({
  minLength: 2,
  maxLength: 49,
  expected: 'a network such as "10.0.0.0/8" or "2001:db8::/32", or one address',
});

const ListFile = fileName({
  description:
    'Text with one network a line; what follows "#" or ";" is a comment. Read again when it changes. At most 64 MiB and 1,000,000 networks.',
});

export const IpAccessConfig = Type.Object(
  {
    allow: Type.Array(Network, {
      maxItems: 4096,
      default: [],
      description: 'Networks that may call. As soon as something is in `allow` or `allowFiles`, nobody else may.',
    }),
    deny: Type.Array(Network, {
      maxItems: 4096,
      default: [],
      description: 'Networks that may not call, also when they lie in one that may.',
    }),
    allowFiles: Type.Array(ListFile, { maxItems: 16, default: [], description: 'Files with networks that may call.' }),
    denyFiles: Type.Array(ListFile, { maxItems: 16, default: [], description: 'Files with networks that may not.' }),
    of: Type.Enum(['client', 'peer'], {
      default: 'client',
      description:
        '`client`: the address of the client, as trusted hops say it. `peer`: the address that the connection comes from.',
    }),
  },
  { additionalProperties: false, description: 'Lets clients in or keeps them out by their address.' },
);
export type IpAccessConfig = Static<typeof IpAccessConfig>;

export const ipAccessFaults = faultKinds({
  'ip-access.denied': {
    blame: 'policy',
    retry: 'never',
    status: 403,
    grpc: 7,
    title: 'Access is not allowed from this address',
    advice:
      'An ipAccess filter on the route keeps the address out; the log says which list. Behind a proxy or load balancer, set trustedHops of the listener, so that the address is that of the client.',
  },
});

export const ipAccess = declareFilter({
  name: 'ipAccess',
  phase: 'admit',
  config: IpAccessConfig,
  composition: 'narrows',
  decides: 'yes',
  faults: ipAccessFaults,
  events: {
    denied: 'Requests that were refused.',
    list_read: 'Files of networks that changed and were read again.',
    list_refused: 'Files of networks that could not be used: the list from before goes on, if there was one.',
  },
  explain: ({ allow, deny, allowFiles, denyFiles, of }) => {
    const lists = (verb: string, inline: readonly string[], files: readonly unknown[]): string[] =>
      inline.length + files.length === 0 ? [] : [`${verb} ${listed(inline)}${filed(inline, files)}`];
    return [
      ...lists('deny', deny, denyFiles),
      ...lists('allow only', allow, allowFiles),
      `by the address of the ${of}`,
    ];
  },
  check: checkBeside(import.meta.url),
  load: async () => (await import('./filter.ts')).code,
});

/** How many networks `explain` names. */
const NAMED_MAX = 4;

function listed(networks: readonly string[]): string {
  const more = networks.length - NAMED_MAX;
  return [...networks.slice(0, NAMED_MAX), ...(more > 0 ? [`${more} more`] : [])].join(', ');
}

function filed(networks: readonly string[], files: readonly unknown[]): string {
  if (files.length === 0) return '';
  return `${networks.length === 0 ? '' : ', '}${files.length} file${files.length === 1 ? '' : 's'}`;
}

import { Fault } from '../../base/fault.ts';
import type { Env } from '../../filter/env.ts';
import { type Authentication, type Exchange, type Filter, type FilterCode, NOBODY } from '../../filter/filter.ts';
import { type Identity, identityOf } from '../../filter/identity.ts';
import { USER_CONTEXT_FIELD } from '../../filter/user-context.ts';
import { workloadOf } from '../../http/client-identity.ts';
import type { UserContextConfig } from './config.ts';
import { USER_CONTEXT_FAULTS } from './faults.ts';
import { SignerChains } from './signer-chains.ts';
import { type Refused, type Said, verifyContext } from './verify.ts';

/** Contexts that are remembered until they end; the oldest goes first. 512 of 3 KB are 1.5 MB. */
const KNOWN_MAX = 512;

/**
 * Believes what a gateway of the mesh has signed, and refuses what anybody made up. A request without it goes on: what
 * nobody may do without a user is for `authorize` to say.
 */
export const code: FilterCode<typeof UserContextConfig> = {
  make: (config, env) => new Believer(config, env),
};

interface Known {
  readonly identity: Identity;
  readonly untilMs: number;
}

class Believer implements Filter {
  readonly #audience: string;
  readonly #env: Env;
  readonly #chains: SignerChains;
  readonly #known = new Map<string, Known>();

  constructor(config: UserContextConfig, env: Env) {
    this.#audience = config.audience;
    this.#env = env;
    this.#chains = new SignerChains(config);
  }

  authenticate({ request, client }: Exchange): Authentication {
    const text = request.headers.get(USER_CONTEXT_FIELD);
    if (saysNothing(text) || client.clientCertificate === undefined) return NOBODY;
    const known = this.#known.get(text);
    if (known !== undefined && this.#env.wallMs() < known.untilMs) return known.identity;
    const said = verifyContext(text, { chains: this.#chains, audience: this.#audience, wallMs: this.#env.wallMs() });
    if ('code' in said) return this.#refused(said, workloadOf(client.clientCertificate)?.id ?? 'somebody');
    this.#env.count('accepted');
    const identity = identityFrom(said);
    this.#known.delete(text);
    this.#known.set(text, { identity, untilMs: said.untilMs });
    if (this.#known.size > KNOWN_MAX) this.#known.delete(this.#known.keys().next().value!);
    return identity;
  }

  /** After it was verified: applications get it as it is, and no other field that some server reads as it. */
  onRequest({ request: { headers }, client }: Exchange): undefined {
    const text = headers.get(USER_CONTEXT_FIELD);
    headers.deleteAlike(USER_CONTEXT_FIELD);
    if (saysNothing(text)) return undefined;
    if (client.clientCertificate === undefined) this.#env.count('stripped');
    else headers.add(USER_CONTEXT_FIELD, text);
    return undefined;
  }

  #refused({ code: kind, why }: Refused, sender: string): Fault {
    this.#env.count('refused');
    this.#env.warn(`A user context was refused: ${why}`, { sender, code: kind });
    return new Fault(USER_CONTEXT_FAULTS[kind], `The user context that ${sender} sent ${why}`);
  }
}

/** Applications that hand on what they have not got write an empty line. */
function saysNothing(text: string | undefined): text is '' | undefined {
  return text === undefined || text === '';
}

/** Without a workload: the one that calls is that of the connection, whatever the one in front of the gateway was. */
function identityFrom({ context }: Said): Identity {
  const { sub, sub_iss: issuer = '', methods, consumer, groups = [], scopes = [], claims = {} } = context;
  const identity = identityOf({
    method: 'userContext',
    subject: sub,
    issuer,
    consumer: consumer === undefined ? undefined : { name: consumer, groups, labels: {} },
    scopes,
    claims,
  });
  return Object.freeze({ ...identity, methods: Object.freeze(['userContext', ...methods]) });
}

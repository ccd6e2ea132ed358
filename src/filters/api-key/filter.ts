import { Fault, type FaultKind } from '../../base/fault.ts';
import { ConsumerHeaders } from '../../filter/consumer.ts';
import { AMBIGUOUS, CredentialPlaces } from '../../filter/credential-places.ts';
import type { Env } from '../../filter/env.ts';
import type { FilterCode } from '../../filter/filter.ts';
import { API_KEY_FAULTS, type ApiKeyConfig, type Place } from './config.ts';
import { KEY_FILES } from './key-file.ts';
import { type Found, KeyTable } from './key-table.ts';
import { isKey, KEY_CHARS_MAX, KEY_CHARS_MIN, sha256Of } from './record.ts';

/** API keys: random words that are known by their hash. See doc.md, and decision 0046 on how they are kept. */
export const code: FilterCode<typeof ApiKeyConfig> = {
  make(config, env) {
    const places = new CredentialPlaces(config.from);
    const consumerHeaders = new ConsumerHeaders(config);
    const challenge = challengeOf(config);
    const extras = { headers: [['www-authenticate', challenge]] as const };
    const own = config.keys.length === 0 ? undefined : tableOf(config.keys, env);
    const file = config.file === undefined ? undefined : KEY_FILES.open(env, config.file);

    const refuse = (kind: FaultKind, detail: string): Fault => {
      env.count('refused');
      return new Fault(kind, detail, kind.status === 401 ? extras : undefined);
    };

    const refusalOf = ({ identity, notBeforeMs, expiresMs, disabled }: Found): Fault | undefined => {
      if (disabled) return refuse(API_KEY_FAULTS['api-key.invalid'], `Key ${identity.subject} is disabled`);
      if (notBeforeMs === 0 && expiresMs === Infinity) return undefined;
      const nowMs = env.wallMs();
      if (nowMs >= expiresMs) return refuse(API_KEY_FAULTS['api-key.expired'], `Key ${identity.subject} has expired`);
      if (nowMs >= notBeforeMs) return undefined;
      return refuse(API_KEY_FAULTS['api-key.invalid'], `Key ${identity.subject} is not valid yet`);
    };

    return {
      challenge,

      authenticate({ request }) {
        const key = places.read(request);
        if (key === undefined) return 'absent';
        if (key === AMBIGUOUS) return refuse(API_KEY_FAULTS['api-key.ambiguous'], 'More than one key');
        if (key.length < KEY_CHARS_MIN || key.length > KEY_CHARS_MAX) {
          return refuse(API_KEY_FAULTS['api-key.invalid'], `No key has ${key.length} characters`);
        }
        const found = file?.value.find(key) ?? own?.find(key);
        if (found === undefined) return refuse(API_KEY_FAULTS['api-key.invalid'], 'Key is not known');
        return refusalOf(found) ?? found.identity;
      },

      // Also when another method said who it is: a key that was not needed goes no further either.
      onRequest(x) {
        if (config.hideCredentials && !env.isAudited) places.hide(x.request);
        consumerHeaders.write(x);
        return undefined;
      },

      // A key that was refused is in no log either, also where queries are logged.
      ...(places.isInQuery && { onEnd: ({ request }) => places.hide(request) }),

      close: () => file?.close(),
    };
  },
};

/** No scheme is registered for keys; a client can at least read where one is awaited. */
function challengeOf({ from, realm }: ApiKeyConfig): string {
  const place = from.find(isAuthorization);
  return `${place?.scheme ?? 'ApiKey'} realm="${realm}"`;
}

function isAuthorization(place: Place): place is Extract<Place, { header: string }> {
  return 'header' in place && place.header.toLowerCase() === 'authorization';
}

/** @throws {Error} when a Secret holds no key, or two the same: the plan is refused */
function tableOf(keys: ApiKeyConfig['keys'], env: Env): KeyTable {
  const table = new KeyTable(keys.length);
  keys.forEach(({ consumer, groups, labels, secret }, i) => {
    // Secrets that were made of files often end with a newline.
    const key = env.secret(secret).replace(/\r?\n$/, '');
    if (!isKey(key)) {
      const form = `${KEY_CHARS_MIN} to ${KEY_CHARS_MAX} letters, digits and "._~+/-"`;
      throw new Error(`Cannot use ${secret.secret} as key of consumer "${consumer}": Expected ${form}`);
    }
    const id = sha256Of(secret.secret).slice(0, 16);
    table.reader.take({ id, sha256: sha256Of(key), consumer, groups, labels });
    const same = table.add(table.reader.entry);
    if (same !== undefined) {
      throw new Error(`Cannot tell consumer "${consumer}" by its key: /keys/${same} and /keys/${i} are the same`);
    }
  });
  return table.seal();
}

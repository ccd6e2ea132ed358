import { Fault } from '../../base/fault.ts';
import { compileExpression } from '../../expr/expression.ts';
import { fieldValueOf } from '../../filter/fields.ts';
import type { Exchange, FilterCode, Reply } from '../../filter/filter.ts';
import type { IdentityHeaderConfig } from './config.ts';
import { IdentityTokens } from './identity-tokens.ts';
import { type SigningKey, signingKeyOf } from './signing-key.ts';

/**
 * Tells upstreams who is asking. They believe what it says, so what clients send
 * under the same names is taken out, whoever they are.
 */
export const code: FilterCode<typeof IdentityHeaderConfig> = {
  make({ token, headers }, env) {
    const key = token && signingKeyOf(env.secret(token.key), token.kid);
    const tokens = token && new IdentityTokens(token, key!, env);
    const published = token && [key!, ...token.alsoPublished.map((secret) => signingKeyOf(env.secret(secret)))];
    const keySet = token?.jwksPath === undefined ? undefined : keySetReply(published!);
    const plain = headers.map(({ name, value }) => ({ name, value: compileExpression(value, 'string') }));
    const names = [...headers.map(({ name }) => name), ...(token === undefined ? [] : [token.header])];
    const owned = names.map((name) => name.toLowerCase());

    const addPlain = (x: Exchange): void => {
      for (const { name, value } of plain) {
        const text = value(x);
        if (text === undefined || text === '') continue;
        const written = fieldValueOf(text);
        if (written === undefined) env.count('header_dropped');
        else x.request.headers.add(name, written);
      }
    };

    return {
      onRequest(x) {
        const { request, identity, asked } = x;
        if (keySet !== undefined && asked.path === token!.jwksPath && request.method === 'GET') return keySet;
        for (const name of owned) request.headers.deleteAlike(name);
        addPlain(x);
        if (tokens === undefined || identity === undefined) return undefined;
        const signed = tokens.tokenOf(identity);
        return signed instanceof Promise
          ? signed.then((late) => addToken(x, token!.header, late))
          : addToken(x, token!.header, signed);
      },
    };
  },
};

function addToken(x: Exchange, name: string, token: string | Fault): Fault | undefined {
  if (token instanceof Fault) return token;
  x.request.headers.add(name, token);
  return undefined;
}

/** RFC 7517 section 5. Upstreams may keep it for minutes: a new key is published before it is used. */
function keySetReply(keys: readonly SigningKey[]): Reply {
  return {
    kind: 'reply',
    status: 200,
    reason: 'identity-keys',
    headers: [
      ['content-type', 'application/jwk-set+json'],
      ['cache-control', 'public, max-age=300'],
    ],
    body: JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }),
  };
}

/**
 * An issuer of tokens for trying things out: whoever asks gets what was asked for.
 *
 *     GET  /token?sub=alice&scope=read   a token for five minutes; parameters are claims, one that comes twice is a list
 *     GET  /jwks.json                    the public key that they can be checked with
 *     POST /rotate                       from now on another key
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createServer, type Server } from 'node:http';

const LIFETIME_S = 300;

export function createIssuer(): Server {
  let key = makeKey(1);
  return createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://id.test');
    if (pathname === '/rotate' && request.method === 'POST') {
      key = makeKey(key.number + 1);
      response.end(`Signs with key-${key.number}\n`);
    } else if (pathname === '/jwks.json') {
      const jwk = { ...createPublicKey(key.key).export({ format: 'jwk' }), kid: `key-${key.number}`, alg: 'ES256' };
      response.setHeader('content-type', 'application/jwk-set+json');
      response.end(JSON.stringify({ keys: [jwk] }));
    } else if (pathname === '/token') response.end(tokenOf(key, searchParams));
    else response.writeHead(404).end();
  });
}

interface Key {
  readonly number: number;
  readonly key: KeyObject;
}

function makeKey(number: number): Key {
  return { number, key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey };
}

/** RFC 7515 section 7.1. */
function tokenOf({ number, key }: Key, asked: URLSearchParams): string {
  const now = Math.floor(Date.now() / 1000);
  const claims: Record<string, unknown> = { iss: 'https://id.test', aud: 'orders', iat: now, exp: now + LIFETIME_S };
  for (const name of asked.keys()) {
    const values = asked.getAll(name).map((value) => (/^\d+$/.test(value) ? Number(value) : value));
    claims[name] = values.length > 1 ? values : values[0];
  }
  const input = [{ alg: 'ES256', typ: 'at+jwt', kid: `key-${number}` }, claims].map(encoded).join('.');
  const signature = sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

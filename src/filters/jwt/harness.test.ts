/** The filter in a running proxy: real sockets, an issuer that serves its keys, an upstream that says what it got. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clusterTo, Harness, request, routeOf, ruleTo, Upstream } from '../../proxy/testing/node-harness.ts';
import { check } from '../../schema/schema.ts';
import { jwt, JwtConfig } from './config.ts';
import { makeKey, sign } from './testing/tokens.ts';

const KEY = await makeKey('ES256');

test('jwt: tokens are checked with keys that the issuer serves, and claims reach the upstream', async () => {
  let asked = 0;
  await using issuer = await Upstream.start((_, answer) => {
    asked++;
    answer.end(JSON.stringify({ keys: [KEY.jwk] }));
  });
  await using upstream = await Upstream.start((got, answer) => answer.end(JSON.stringify(got.headers)));
  await using proxy = new Harness([jwt]);
  const { value: config } = check(JwtConfig, {
    issuers: [
      { issuer: 'https://id.test', audiences: ['api'], jwks: { uri: `http://127.0.0.1:${issuer.port}/jwks.json` } },
    ],
    claimHeaders: [{ claim: 'sub', header: 'x-user' }],
    forward: 'remove',
  });
  const filters = [{ filter: 'jwt', config: config as never, owner: 'Policy d/p' }];
  await proxy.start({ routes: { r: routeOf(ruleTo({ filters })) }, clusters: { c: clusterTo([upstream.port]) } });

  const now = Math.floor(Date.now() / 1000);
  const token = await sign(KEY, { iss: 'https://id.test', aud: 'api', sub: 'alice', exp: now + 60 });
  const headers = { authorization: `Bearer ${token}`, 'x-user': 'root', x_user: 'root' };
  for (let i = 0; i < 3; i++) {
    const good = await request(proxy.port, { headers });
    assert.equal(good.status, 200);
    const seen = JSON.parse(good.body) as Record<string, string>;
    assert.equal(seen['x-user'], 'alice');
    assert.equal(seen['x_user'], undefined);
    assert.equal(seen['authorization'], undefined);
  }
  assert.equal(asked, 1);

  const missing = await request(proxy.port);
  assert.equal(missing.status, 401);
  assert.match(String(missing.headers['www-authenticate']), /^Bearer, DPoP algs="ES256 /);
  const wrong = await request(proxy.port, { headers: { authorization: `Bearer ${token}x` } });
  assert.equal(wrong.status, 401);
  assert.equal(wrong.headers['www-authenticate'], 'Bearer error="invalid_token"');
  assert.ok(!wrong.body.includes(token.slice(0, 20)));
  assert.ok(!JSON.stringify([proxy.lines(), proxy.said]).includes(token.slice(0, 20)));
});

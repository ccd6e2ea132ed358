/** Who is let in and who is not, on both databases: every row is tried on PGlite and on PostgreSQL. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { after, beforeEach, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { createLog } from '../base/log.ts';
import { PostgresServer } from '../store/testing/postgres-server.ts';
import { Authority, DEFAULT_LIVES, type Issued, type TokenTerms } from './authority.ts';
import { anchorsFor, readToken } from './join-token.ts';
import type { Refusal } from './refusal.ts';
import { makeRequest } from './request.ts';
import { Rotor } from './rotor.ts';
import { controlId } from './spiffe.ts';
import { DAY_MS, Home, HOUR_MS, idOf, Member, TRUST_DOMAIN, trustedBy } from './testing/home.ts';
import { OpenSsl } from './testing/openssl.ts';

const server = await PostgresServer.start();
const openssl = new OpenSsl();
after(async () => {
  openssl[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
});

const TERMS: TokenTerms = { namespace: 'shop', account: 'orders', usesMax: 1, lifeMs: HOUR_MS };

interface Attempt {
  readonly terms?: Partial<TokenTerms>;
  readonly identity?: string;
  readonly csr?: string;
  /** Of the token, before it is shown. */
  readonly change?: (text: string) => string;
  readonly waitMs?: number;
  /** Before the attempt. */
  readonly first?: (authority: Authority, text: string) => Promise<unknown>;
}

const ROWS: [rule: string, attempt: Attempt, want: 'in' | Refusal['refused']][] = [
  ['a token of the service lets it in', {}, 'in'],
  ['a token for any account of the namespace', { terms: { account: '*' } }, 'in'],
  ['a token for any namespace', { terms: { namespace: '*', account: '*' } }, 'in'],
  ['until its last moment', { waitMs: HOUR_MS - 1 }, 'in'],
  ['not after it', { waitMs: HOUR_MS }, 'token.expired'],
  ['another service', { identity: idOf('payments') }, 'token.elsewhere'],
  ['another namespace', { identity: idOf('orders', 'bank') }, 'token.elsewhere'],
  ['another trust domain', { identity: 'spiffe://evil.test/ns/shop/sa/orders' }, 'identity.foreign'],
  ['an identity that is none', { identity: 'spiffe://cluster.local/orders' }, 'identity.foreign'],
  [
    'the control plane, by a token for everything',
    { terms: { namespace: '*', account: '*' }, identity: controlId(TRUST_DOMAIN) },
    'identity.foreign',
  ],
  ['a request for another identity', { csr: makeRequest(idOf('payments')).csr }, 'request.malformed'],
  ['a request that is none', { csr: 'hello' }, 'request.malformed'],
  ['a token that was cut', { change: (text) => text.slice(0, -1) }, 'token.malformed'],
  [
    'a token with one digit changed',
    { change: (text) => `${text.slice(0, 40)}${text[40] === 'A' ? 'B' : 'A'}${text.slice(41)}` },
    'token.malformed',
  ],
  ['a token of another kind', { change: () => 'fw_abc' }, 'token.malformed'],
  [
    'a token that was revoked',
    {
      first: async (authority, text) => {
        const read = readToken(text);
        assert.ok(!('flaw' in read));
        assert.equal(await authority.revokeToken(read.id), true);
      },
    },
    'token.unknown',
  ],
  ['a token that was used', { first: (authority, text) => join(authority, text) }, 'token.spent'],
  [
    'a token for two that was used once',
    { terms: { usesMax: 2 }, first: (authority, text) => join(authority, text) },
    'in',
  ],
  ['a denied identity', { first: (authority) => authority.deny(idOf('orders'), 'stolen') }, 'identity.denied'],
];

function join(
  authority: Authority,
  text: string,
  identity = idOf('orders'),
  csr = makeRequest(identity).csr,
): Promise<Issued | Refusal> {
  return authority.join({ identity, csr, proxy: 'orders-1' }, text);
}

async function tokenOf(authority: Authority, terms: Partial<TokenTerms> = {}): Promise<string> {
  const token = await authority.createToken({ ...TERMS, ...terms });
  assert.ok(!('flaw' in token));
  return token.text;
}

const outcome = (what: Issued | Refusal): string => ('refused' in what ? what.refused : 'in');

for (const [name, url] of [
  ['PGlite', undefined],
  ['PostgreSQL', server.url],
] as const) {
  describe(name, async () => {
    const home = await Home.open(url);
    after(() => home[Symbol.asyncDispose]());
    beforeEach(() => home.empty());

    for (const [rule, attempt, want] of ROWS) {
      test(`join: ${rule}: ${want}`, async () => {
        const authority = await home.authority();
        const text = await tokenOf(authority, attempt.terms);
        await attempt.first?.(authority, text);
        home.clock.advance(attempt.waitMs ?? 0);
        const shown = attempt.change?.(text) ?? text;
        const identity = attempt.identity ?? idOf('orders');
        const became = await join(authority, shown, identity, attempt.csr ?? makeRequest(identity).csr);
        assert.equal(outcome(became), want, inspect(became));
        if (want === 'in' || want.startsWith('token.spent') || want === 'token.unknown') return;
        // Who is refused has cost nobody anything.
        const [kept] = await authority.tokens();
        assert.equal(kept?.used, 0);
      });
    }

    test('twenty proxies with one token for one, at a time and at two control planes: one gets in', async () => {
      const both = [await home.authority(), await home.authority()];
      const text = await tokenOf(both[0]!);
      const became = await Promise.all(Array.from({ length: 20 }, (_, i) => join(both[i % 2]!, text)));
      assert.deepEqual(became.map(outcome).toSorted(), ['in', ...Array.from({ length: 19 }, () => 'token.spent')]);
    });

    test('a token for five lets five of twenty in', async () => {
      const authority = await home.authority();
      const text = await tokenOf(authority, { usesMax: 5 });
      const became = await Promise.all(Array.from({ length: 20 }, () => join(authority, text)));
      assert.equal(became.filter((one) => outcome(one) === 'in').length, 5);
    });

    test('the secret of a token and the keys of the authority are nowhere in the database', async () => {
      const lines: string[] = [];
      const log = createLog({ level: 'debug', wallMs: () => 0, write: (line) => lines.push(line) });
      const options = { store: home.store, clock: home.clock, log, trustDomain: TRUST_DOMAIN, lives: DEFAULT_LIVES };
      const authority = await Authority.open(options);
      assert.ok(authority instanceof Authority);
      const text = await tokenOf(authority);
      await join(authority, text);
      await new Rotor(authority).ask('root');
      await new Rotor(authority).step();
      const rows = await Promise.all(
        ['mesh_authority', 'mesh_issuer', 'mesh_leaf', 'mesh_join_token'].map((table) =>
          home.database.query(`select * from ${table}`),
        ),
      );
      const secret = Buffer.from(text.slice(4), 'base64url').subarray(16, 48);
      const all =
        JSON.stringify(rows, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value)) +
        lines.join('');
      assert.ok(all.includes('v1.'), 'sealed keys are there');
      assert.doesNotMatch(all, /PRIVATE KEY/);
      for (const form of ['hex', 'base64', 'base64url'] as const) assert.ok(!all.includes(secret.toString(form)));
      assert.doesNotMatch(inspect(authority, { depth: 10 }), /PRIVATE KEY/);
    });

    test('with another state key the keys do not open', async () => {
      await home.authority();
      const other = await Home.open(url);
      const store = url === undefined ? undefined : other.store;
      // The embedded database is this process's own; there the row is copied over.
      if (store !== undefined) {
        const authority = await other.authority();
        await assert.rejects(Member.join(authority, 'orders'), /Cannot open the key/);
      }
      const rows = await home.database.query('select id, key_sealed from mesh_issuer order by id');
      await home.database.query('update mesh_issuer set key_sealed = $1 where id = $2', [
        rows[0]!['key_sealed']!,
        rows[1]!['id']!,
      ]);
      await home.database.query('update mesh_issuer set key_sealed = $1 where id = $2', [
        rows[1]!['key_sealed']!,
        rows[0]!['id']!,
      ]);
      const authority = await home.authority();
      await assert.rejects(Member.join(authority, 'orders'), /Cannot open the key/);
      await other[Symbol.asyncDispose]();
    });

    test('a leaf is what X509-SVID asks for, ends with its time and is renewed', async () => {
      const authority = await home.authority();
      const member = await Member.join(authority, 'orders');
      const [leafPem = ''] = member.issued.chainPem.split(/(?<=-----END CERTIFICATE-----\n)/);
      const leaf = new X509Certificate(leafPem);
      assert.equal(leaf.subjectAltName, `URI:${idOf('orders')}`);
      assert.equal(leaf.ca, false);
      assert.equal(leaf.checkPrivateKey(createPrivateKey(member.privateKeyPem)), true);
      assert.equal(member.issued.notAfterMs - member.issued.notBeforeMs, DAY_MS + 5 * 60_000);
      const atMs = home.clock.wallMs();
      const chain = { chainPem: member.issued.chainPem, trusted: member.trusted };
      for (const purpose of ['sslclient', 'sslserver'] as const) {
        assert.equal(openssl.verify({ ...chain, atMs, purpose }), 'OK');
      }
      assert.equal(openssl.verify({ ...chain, atMs: atMs - 4 * 60_000 }), 'OK');
      assert.match(openssl.verify({ ...chain, atMs: atMs - 6 * 60_000 }), /not yet valid/);
      assert.match(openssl.verify({ ...chain, atMs: atMs + DAY_MS + 1_000 }), /expired/);
      const before = member.issued.serial;
      await member.renew(authority);
      assert.notEqual(member.issued.serial, before);
      const rows = await home.database.query('select serial from mesh_leaf');
      assert.deepEqual(rows, [{ serial: member.issued.serial }], 'the one before is not waited for');
    });

    test('a denied identity is renewed by no control plane, and let in again when it is allowed', async () => {
      const [one, two] = [await home.authority(), await home.authority()];
      const member = await Member.join(one, 'orders');
      assert.equal(await one.deny(idOf('orders'), 'the host was stolen'), undefined);
      const { identity, proxy } = member;
      // The second one has not heard of it yet.
      assert.equal(outcome(await two.renew({ identity, proxy, csr: makeRequest(identity).csr })), 'identity.denied');
      const peer = two.peer(member.issued.chainPem);
      assert.ok('refused' in peer && peer.refused === 'identity.denied');
      assert.deepEqual(
        two.denials.map(({ identity: of, reason }) => [of, reason]),
        [[identity, 'the host was stolen']],
      );
      const control = await one.deny(controlId(TRUST_DOMAIN), 'oops');
      assert.equal(control?.refused, 'identity.foreign');
      assert.equal(await two.allow(identity), true);
      assert.equal(await two.allow(identity), false);
      await one.refresh();
      await member.renew(one);
      assert.equal('refused' in one.peer(member.issued.chainPem), false);
    });

    test('what is kept has bounds', async () => {
      const authority = await home.authority();
      await home.database.query(
        `insert into mesh_denied (identity, reason, at_ms) select $1 || n, 'many', 0 from generate_series(1, 1000) as n`,
        [idOf('x')],
      );
      await home.database.query('update mesh_authority set revision = revision + 1');
      await authority.refresh();
      assert.equal((await authority.deny(idOf('orders'), 'one more'))?.refused, 'limit.reached');
      assert.equal(await authority.deny(idOf('x7'), 'again'), undefined);
      await home.database.query(
        `insert into mesh_join_token (id, hash, root, namespace, account, used, uses_max, created_ms, expires_ms)
         select n::text, '', '', 'a', 'b', 0, 1, 0, $1 from generate_series(1, 10000) as n`,
        [home.clock.wallMs() + HOUR_MS],
      );
      assert.ok('flaw' in (await authority.createToken(TERMS)));
      home.clock.advance(2 * HOUR_MS);
      await new Rotor(authority).step();
      const text = await tokenOf(authority);
      const identity = idOf('orders');
      const wish = { identity, csr: makeRequest(identity).csr };
      assert.equal(outcome(await authority.join({ ...wish, proxy: 'x'.repeat(257) }, text)), 'request.malformed');
      assert.equal(outcome(await authority.join({ ...wish, proxy: '' }, text)), 'request.malformed');
      assert.equal(outcome(await authority.join({ ...wish, proxy: 'x'.repeat(256) }, text)), 'in');
    });

    test('who joins may leave it to its request who it is', async () => {
      const authority = await home.authority();
      const text = await tokenOf(authority);
      const { csr } = makeRequest(idOf('orders'));
      const der = Buffer.from(csr.replace(/-----[^-]+-----|\n/g, ''), 'base64');
      const issued = await authority.join({ csr: der, proxy: 'orders-1' }, text);
      assert.ok(!('refused' in issued));
      assert.equal(issued.identity, idOf('orders'));
      const more = await tokenOf(authority);
      const other = await authority.join({ csr: makeRequest(idOf('payments')).csr, proxy: 'p' }, more);
      assert.equal(outcome(other), 'token.elsewhere');
    });

    test('control planes that begin at once share one root', async () => {
      const all = await Promise.all(Array.from({ length: 4 }, () => home.authority()));
      assert.equal(new Set(all.map(({ bundle }) => bundle.hash)).size, 1);
      const members = await Promise.all(all.map((authority, i) => Member.join(authority, `s${i}`)));
      for (const { issued } of members) {
        const chain = { chainPem: issued.chainPem, trusted: trustedBy(all[0]!.bundle), atMs: home.clock.wallMs() };
        assert.equal(openssl.verify(chain), 'OK');
      }
    });

    test('the state of another trust domain is not taken', async () => {
      await home.authority();
      const options = {
        store: home.store,
        clock: home.clock,
        log: createLog({ level: 'error', wallMs: () => 0, write: () => undefined }),
        lives: DEFAULT_LIVES,
      };
      const other = await Authority.open({ ...options, trustDomain: 'other.test' });
      assert.ok('flaw' in other);
      assert.match(other.flaw, /of the trust domain "cluster.local", not of "other.test"/);
    });

    test('a token from before a rotation of the root joins after it, by the root that it names', async () => {
      const authority = await home.authority();
      const rotor = new Rotor(authority);
      const text = await tokenOf(authority, { lifeMs: 30 * DAY_MS });
      const read = readToken(text);
      assert.ok(!('flaw' in read));
      for (let i = 0; i < 2; i++) {
        assert.equal(await rotor.ask('root'), undefined);
        assert.equal((await rotor.step()).move.does, 'rest');
      }
      const member = await Member.join(authority, 'control-like');
      assert.equal(authority.bundle.roots.length, 1);
      const trusted = anchorsFor(authority.anchors, read.root);
      assert.ok(trusted !== undefined);
      const chain = { chainPem: member.issued.chainPem, atMs: home.clock.wallMs() };
      assert.equal(openssl.verify({ ...chain, trusted }), 'OK');
      assert.equal(outcome(await join(authority, text)), 'in');
      // Nobody names the former ones any more.
      await rotor.step();
      assert.equal(authority.anchors.length, 1);
      assert.equal(anchorsFor(authority.anchors, read.root), undefined);
      const kept = await home.database.query('select id from mesh_issuer');
      assert.equal(kept.length, 2, 'root and issuer, and nothing of before');
    });
  });
}

/** Rotations as the proxies live them: at every moment each of them can verify each other, in the words of OpenSSL. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { type Random, seededRandom } from '../base/random.ts';
import { PostgresServer } from '../store/testing/postgres-server.ts';
import type { AuthorityStore } from './authority-store.ts';
import type { Authority } from './authority.ts';
import { renewAtMs, renewSoonAtMs } from './renewal.ts';
import { Rotor } from './rotor.ts';
import { DAY_MS, Home, HOUR_MS, Member } from './testing/home.ts';
import { OpenSsl } from './testing/openssl.ts';

const server = await PostgresServer.start();
const openssl = new OpenSsl();
const home = await Home.open(server.url);
after(async () => {
  openssl[Symbol.dispose]();
  await home[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

/** Every one by every other one, with what it sends and what the other trusts. */
function assertAllVerify(
  members: readonly Pick<Member, 'proxy' | 'issued' | 'trusted'>[],
  atMs: number,
  when: string,
): void {
  for (const of of members) {
    for (const by of members) {
      if (of === by) continue;
      const said = openssl.verify({ chainPem: of.issued.chainPem, trusted: by.trusted, atMs });
      assert.equal(said, 'OK', `${when}: ${by.proxy} does not take ${of.proxy}`);
    }
  }
}

/** A proxy on the moved clock: renews at half of its life, sooner when its issuer is to go, hears of news late. */
class LivingProxy {
  readonly member: Member;
  readonly #random: Random;
  renewals = 0;
  isAway = false;
  #hurriesFor = '';
  #renewAtMs: number;

  constructor(member: Member, random: Random) {
    this.member = member;
    this.#random = random;
    this.#renewAtMs = renewAtMs(member.issued, random);
  }

  async live(authority: Authority, nowMs: number): Promise<void> {
    // One of three hours it hears nothing, as behind a slow link.
    if (this.isAway || this.#random.unit() < 1 / 3) return;
    const { bundle } = authority;
    if (bundle.hash !== this.member.bundle.hash) await this.member.trust(authority);
    if (bundle.issuer !== this.member.issued.issuer && this.#hurriesFor !== bundle.issuer) {
      this.#hurriesFor = bundle.issuer;
      this.#renewAtMs = Math.min(this.#renewAtMs, renewSoonAtMs(this.member.issued, nowMs, this.#random));
    }
    if (nowMs < this.#renewAtMs) return;
    await this.member.renew(authority);
    this.renewals++;
    this.#renewAtMs = renewAtMs(this.member.issued, this.#random);
  }
}

test('three rotations of leaves, one of the issuer, one of the root: at every hour each pair verifies', async () => {
  await home.empty();
  const planes = [await home.authority(), await home.authority()] as const;
  const rotor = new Rotor(planes[0]);
  const random = seededRandom(11, 22, 33, 44);
  const proxies: LivingProxy[] = [];
  for (const name of ['a', 'b', 'c']) proxies.push(new LivingProxy(await Member.join(planes[0], name), random));
  const seen: string[] = [];
  // What holds in its first moment and in its last holds between them, too: everything in a certificate is from, until.
  let before = '';
  let atEnd = (): void => undefined;
  const roots = new Set([planes[0].bundle.roots.join('')]);
  const issuers = new Set([planes[0].bundle.issuer]);

  for (let hour = 0; hour < 84; hour++) {
    if (hour === 14) assert.equal(await new Rotor(planes[1]).ask('issuer'), undefined);
    if (hour === 38) assert.equal(await new Rotor(planes[1]).ask('root'), undefined);
    // One is cut off while the new root is spread: nobody goes on without it.
    proxies[2]!.isAway = hour >= 38 && hour < 44;
    const nowMs = home.clock.wallMs();
    const { move } = await rotor.step();
    const { phase = 'rest' } = planes[0].current.kept.state.rotation ?? {};
    if (seen.at(-1) !== phase) seen.push(phase);
    if (proxies[2]!.isAway && phase !== 'rest') assert.equal(phase, 'spread', `hour ${hour}: ${move.does}`);
    for (const [i, proxy] of proxies.entries()) {
      const plane = planes[i % 2]!;
      await plane.refresh();
      await proxy.live(plane, nowMs);
    }
    roots.add(planes[0].bundle.roots.join(''));
    issuers.add(planes[0].bundle.issuer);
    const members = proxies.map(({ member }) => member);
    const now = members.map(({ bundle, issued }) => bundle.hash + issued.serial).join('');
    const same = members.map(({ proxy, issued, trusted }) => ({ proxy, issued, trusted }));
    if (now !== before) {
      atEnd();
      assertAllVerify(same, nowMs, `hour ${hour}, ${phase}`);
    }
    before = now;
    atEnd = () => assertAllVerify(same, nowMs + HOUR_MS - 1_000, `end of hour ${hour}, ${phase}`);
    home.clock.advance(HOUR_MS);
  }
  atEnd();
  assert.deepEqual(seen, ['rest', 'renew', 'rest', 'spread', 'renew', 'withdraw', 'rest']);
  assert.equal(issuers.size, 3, 'the first, the one of the issuer rotation, the one of the root rotation');
  assert.equal(roots.size, 3, 'the old root, both, the new one');
  for (const { renewals, member } of proxies) assert.ok(renewals >= 5, `${member.proxy} was renewed ${renewals} times`);
});

test('what is due is replaced without being asked for: the issuer at half of its life', async () => {
  await home.empty();
  const authority = await home.authority();
  const before = authority.bundle.issuer;
  home.clock.advance(44 * DAY_MS);
  assert.equal((await new Rotor(authority).step()).move.does, 'rest');
  assert.equal(authority.bundle.issuer, before);
  home.clock.advance(2 * DAY_MS);
  assert.equal((await new Rotor(authority).step()).move.does, 'rest');
  assert.notEqual(authority.bundle.issuer, before);
});

test('who is waited for is told by name, and not waited for when it ends, in good order or by its time', async () => {
  await home.empty();
  const authority = await home.authority();
  const rotor = new Rotor(authority);
  const [one] = [
    await Member.join(authority, 'one'),
    await Member.join(authority, 'two'),
    await Member.join(authority, 'three'),
  ];
  await rotor.ask('root');
  await rotor.step();
  await one.trust(authority);
  const { move, holders } = await rotor.step();
  assert.deepEqual(move, { does: 'wait', for: 'trust', count: 2 });
  assert.deepEqual(
    holders.named.map(({ proxy }) => proxy),
    ['two-1', 'three-1'],
  );
  await authority.release('two-1', holders.named[0]!.identity);
  assert.deepEqual((await rotor.step()).move, { does: 'wait', for: 'trust', count: 1 });
  assert.equal((await rotor.ask('root'))?.refused, 'rotation.busy');
  home.clock.advance(DAY_MS - 1_000);
  await one.renew(authority);
  assert.deepEqual((await rotor.step()).move, { does: 'wait', for: 'trust', count: 1 }, 'it may still be used');
  // Some of ours may have a slower clock.
  home.clock.advance(6 * 60_000);
  assert.deepEqual((await rotor.step()).move, { does: 'wait', for: 'renewal', count: 1 });
});

test('a control plane that has not heard of a rotation issues nothing by the old issuer', async () => {
  await home.empty();
  const [leader, late] = [await home.authority(), await home.authority()];
  const before = late.bundle.issuer;
  await new Rotor(leader).ask('issuer');
  await new Rotor(leader).step();
  assert.equal(late.bundle.issuer, before);
  const member = await Member.join(late, 'orders');
  assert.equal(member.issued.issuer, leader.bundle.issuer);
  assert.equal(late.bundle.issuer, leader.bundle.issuer);
});

test('who joined in the moment of the switch, and does not trust the new root yet, holds it up', async () => {
  await home.empty();
  const [leader, late] = [await home.authority(), await home.authority()];
  const one = await Member.join(leader, 'one');
  await new Rotor(leader).ask('root');
  await new Rotor(leader).step();
  await one.trust(leader);
  // Between counting and switching, another control plane, that knows of nothing, lets one in.
  const store = home.store;
  let joined: Member | undefined;
  const racing = wrapped(store, async (name, work) => {
    if (name === 'change') joined ??= await Member.join(late, 'two');
    return work();
  });
  const { move } = await new Rotor(await home.authority({ store: racing })).step();
  assert.deepEqual(move, { does: 'wait', for: 'trust', count: 1 });
  assertAllVerify([one, joined!], home.clock.wallMs(), 'in the race');
});

test('two that both believe to lead do not rotate twice', async () => {
  await home.empty();
  const planes = await Promise.all([home.authority(), home.authority(), home.authority()]);
  const member = await Member.join(planes[0]!, 'orders');
  await new Rotor(planes[0]!).ask('root');
  await Promise.all(planes.map((plane) => new Rotor(plane).step()));
  await planes[0]!.refresh();
  assert.equal(planes[0]!.bundle.roots.length, 2);
  const rows = await home.database.query('select id from mesh_issuer');
  assert.equal(rows.length, 5, 'two roots, two issuers, one between the roots');
  assertAllVerify([member, await Member.join(planes[2]!, 'other')], home.clock.wallMs(), 'both');
});

class Crash extends Error {}

/** A step for each of the phases, and one that crashes. */
const ROUNDS_MAX = 6;

type StoreCall = (name: string, work: () => Promise<unknown>) => Promise<unknown>;

/** The same store, each call of which goes through `call`. */
function wrapped(store: AuthorityStore, call: StoreCall): AuthorityStore {
  return new Proxy(store, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name, target);
      if (typeof method !== 'function') return method;
      return (...args: unknown[]) => call(String(name), () => Reflect.apply(method, target, args) as Promise<unknown>);
    },
  });
}

describe('a crash at any call of the store, before or after it was carried out, costs nothing', () => {
  for (const moment of ['before', 'after'] as const) {
    test(`${moment} each call`, async () => {
      let isOver = false;
      for (let at = 0; !isOver; at++) {
        assert.ok(at < 200, 'a rotation has an end');
        await home.empty();
        const steady = await home.authority();
        const members = [await Member.join(steady, 'one'), await Member.join(steady, 'two')];
        await new Rotor(steady).ask('root');
        const first = steady.bundle.roots[0];
        let calls = 0;
        const crashing: StoreCall = async (name, work) => {
          // After a question was answered is before the next one.
          if (moment === 'after' && name !== 'change') return work();
          const isThis = calls++ === at;
          if (isThis && moment === 'before') throw new Crash();
          const done = await work();
          if (isThis) throw new Crash();
          return done;
        };
        let hasCrashed = false;
        const restarted = async (): Promise<void> => {
          // As a process that is started again: nothing is left but the store.
          const store = hasCrashed ? home.store : wrapped(home.store, crashing);
          try {
            await new Rotor(await home.authority({ store })).step();
          } catch (error) {
            if (!(error instanceof Crash)) throw error;
            hasCrashed = true;
          }
        };
        for (let round = 0; round < ROUNDS_MAX; round++) {
          await restarted();
          await steady.refresh();
          const { state } = steady.current.kept;
          if (state.asked === undefined && state.rotation === undefined && state.former.length === 0) break;
          for (const member of members) {
            if (member.bundle.hash !== steady.bundle.hash) await member.trust(steady);
            else if (member.issued.issuer !== steady.bundle.issuer) await member.renew(steady);
          }
          if (hasCrashed) assertAllVerify(members, home.clock.wallMs(), `crash ${moment} call ${at}, round ${round}`);
        }
        isOver = !hasCrashed;
        const { kept, bundle } = steady.current;
        assert.equal(kept.state.rotation, undefined, `crash ${moment} call ${at}`);
        assert.equal(bundle.roots.length, 1);
        assert.notEqual(bundle.roots[0], first);
        const keys = await home.database.query('select id from mesh_issuer where key_sealed is not null');
        assert.equal(keys.length, 2, 'keys of the new root and issuer, and no other');
      }
    });
  }
});

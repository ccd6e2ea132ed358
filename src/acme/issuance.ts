/**
 * Certificates that are wanted, those that are held, and when each is due.
 *
 *     compile -> want() -> due? -> order -> held -> onChange() -> compile -> every proxy
 *                                    |-> present() -> onChange() -> compile -> every proxy
 *
 * Every process holds; only the one that leads orders. What is held is served whatever
 * becomes of the store and of the authority.
 */
import { canonicalJson } from '../base/canonical.ts';
import { type Clock, sleep } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';
import type { AcmeChallenge, CertificateProgress, CertificateWish, Issued } from '../compile/acme.ts';
import type { ChallengeType } from '../compile/issuer.ts';
import type { WorkerMetrics } from '../observe/metrics.ts';
import { describeKey, type Origin, type Secret } from '../resource/resource.ts';
import { type Store, StoreAway } from '../store/store.ts';
import { type Holding, holdingOf, secretOf, termsOf } from './holding.ts';
import type { Keepsake } from './keepsake.ts';
import { type KeptProgress, Records } from './records.ts';
import { type Account, AcmeRefusal, ValidationFailed } from './refusal.ts';
import { Replicas } from './replicas.ts';
import { askRenewalInfo, certificateId, type Suggestion } from './renewal-info.ts';
import { renewAtMs, retryDelayMs, suggestedMs } from './schedule.ts';

export interface IssuanceOptions {
  readonly store: Store;
  /** Undefined: nothing is kept on disk beside the store. */
  readonly keepsake: Keepsake | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly metrics: WorkerMetrics;
  /** Name of this process among those that share the store. */
  readonly replica: string;
  readonly userAgent: string;
  /** {@link Issuance.issued} is another one: resolves when it is served by every proxy. Rejects when it is not. */
  onChange(): Promise<void>;
  /** How it stands with a certificate is said anew. */
  readonly onProgress: () => void;
}

interface Entry {
  readonly name: string;
  wish: CertificateWish | undefined;
  holding: Holding | undefined;
  /** Made of the holding and of where its issuer is written. */
  secret: { readonly from: Holding; readonly origin: Origin; readonly value: Secret } | undefined;
  progress: KeptProgress;
  challenges: readonly AcmeChallenge[];
  /** Position in the challenges of the wish: the next one after one that failed. */
  favourite: number;
  running: boolean;
  /** What the authority says of the holding, and when it is asked again. */
  suggestion: Suggestion | undefined;
  askAtMs: number;
  /** Held, but the store does not know it yet. */
  unsaved: boolean;
}

/** How often it is looked what is due. */
const BEAT_MS = 1_000;

/** Orders of one process at one time: authorities ask for few connections, and each order compiles twice. */
const ORDERS_MAX = 4;

const CLOSE_MS_MAX = 2_000;

/** Another way of proving a name is tried this soon. */
const OTHER_CHALLENGE_MS = 5_000;

export class Issuance {
  readonly #options: IssuanceOptions;
  readonly #records: Records;
  readonly #replicas: Replicas;
  /** One for each Secret that is wanted, held or answered for, or whose failures are not to be repeated yet; the rest is swept. */
  readonly #entries = new Map<string, Entry>();
  /** Issuers that asked to be left alone, and until when; swept after that. */
  readonly #quietUntilMs = new Map<string, number>();
  readonly #stopBeat: () => void;
  #issued: Issued = { secrets: new Map(), challenges: [] };
  #leads = false;
  /** The store has said what it holds since this process leads. */
  #caughtUp = false;
  #busy: Promise<void> | undefined;
  readonly #orders = new Set<Promise<void>>();
  #asking = false;
  #closed = false;

  constructor(options: IssuanceOptions) {
    this.#options = options;
    const { store, keepsake, clock, replica } = options;
    this.#records = new Records(store);
    this.#replicas = new Replicas({ records: this.#records, store, clock, replica });
    for (const kept of keepsake?.read() ?? []) {
      const holding = holdingOf(kept);
      if (holding !== undefined) this.#hold(this.#entryOf(kept.name), holding);
    }
    this.#stopBeat = clock.every(BEAT_MS, () => this.beat());
  }

  issued(): Issued {
    return this.#issued;
  }

  progressOf(name: string): CertificateProgress | undefined {
    const progress = this.#entries.get(name)?.progress;
    return progress === undefined ? undefined : { nextMs: progress.nextMs, error: progress.error };
  }

  /** What the newest configuration wants. @returns whether {@link issued} is another one for it */
  want(wishes: readonly CertificateWish[]): boolean {
    const wanted = new Map(wishes.map((wish) => [wish.secret, wish]));
    for (const entry of this.#entries.values()) if (!wanted.has(entry.name)) entry.wish = undefined;
    for (const [name, wish] of wanted) {
      const entry = this.#entryOf(name);
      // Whoever edits what failed wants to know now whether it helped.
      const edited = entry.wish !== undefined && !sameWish(entry.wish, wish);
      if (edited) entry.progress = { name, failures: 0, error: undefined, nextMs: undefined };
      entry.wish = wish;
      if (entry.holding !== undefined) this.#plan(entry, entry.holding);
    }
    return this.#restate();
  }

  /** Another process leads now, or this one. */
  lead(leads: boolean): void {
    this.#leads = leads;
    this.#caughtUp = false;
    this.#options.metrics.gauge('fourways_acme_leader', []).set(leads ? 1 : 0);
    if (leads) this.beat();
  }

  /** Looks what is due now instead of at the next beat. */
  beat(): void {
    if (this.#closed) return;
    this.#busy ??= this.#beat()
      .catch((error: unknown) => {
        // The store says itself that it is away.
        if (error instanceof StoreAway) return;
        this.#options.log.error('ACME: a look at what is due failed', { error: String(error) });
      })
      .finally(() => (this.#busy = undefined));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stopBeat();
    await this.#busy;
    // An order that runs stops at its next step; the next leader clears up after one that does not.
    await Promise.race([Promise.allSettled(this.#orders), sleep(this.#options.clock, CLOSE_MS_MAX)]);
    await this.#replicas.leave();
    await this.#options.keepsake?.flush();
  }

  async #beat(): Promise<void> {
    if (this.#options.store.status.state === 'away') return;
    if (this.#leads && !this.#caughtUp) await this.#catchUp();
    else if (!this.#leads) await this.#follow();
    await this.#replicas.report();
    await this.#sweep();
    if (!this.#leads || !this.#caughtUp) return;
    for (const entry of this.#entries.values()) if (entry.unsaved && !entry.running) await this.#save(entry);
    this.#startDue();
    this.#startAsking();
  }

  // --- what is held ------------------------------------------------------------------------------------------------

  /** First thing of a leader: what others have done, and an end to orders that they did not live to end. */
  async #catchUp(): Promise<void> {
    await this.#records.withdrawAll();
    const holdings = await this.#records.load();
    const names = new Set(holdings.certificates.map(({ name }) => name));
    for (const entry of this.#entries.values())
      if (!names.has(entry.name) && entry.holding !== undefined) entry.unsaved = true;
    await this.#take(holdings);
    this.#caughtUp = true;
  }

  /** Lets go of what nobody wants and nothing is left of; a follower of what it remembers only. */
  async #sweep(): Promise<void> {
    const nowMs = this.#options.clock.wallMs();
    for (const [issuer, untilMs] of this.#quietUntilMs) if (untilMs <= nowMs) this.#quietUntilMs.delete(issuer);
    const over = [...this.#entries.values()].filter((entry) => isOver(entry, nowMs));
    if (over.length === 0) return;
    if (this.#leads && this.#caughtUp) await this.#records.forget(over.map(({ name }) => name));
    // One may have become wanted meanwhile.
    for (const entry of over) if (isOver(entry, nowMs)) this.#entries.delete(entry.name);
    this.#keep();
  }

  async #follow(): Promise<void> {
    const revision = await this.#records.revision();
    if (revision === this.#replicas.revision) return;
    await this.#take(await this.#records.load());
  }

  async #take({ revision, certificates, progress, challenges }: Awaited<ReturnType<Records['load']>>): Promise<void> {
    for (const kept of certificates) {
      const entry = this.#entryOf(kept.name);
      const { holding } = entry;
      if (holding?.kept.chainPem === kept.chainPem) continue;
      const stored = holdingOf(kept);
      if (stored === undefined) continue;
      // Issued while the store was away: it will be saved.
      if (holding !== undefined && holding.pair.notBeforeMs > stored.pair.notBeforeMs) entry.unsaved = true;
      else this.#hold(entry, stored);
    }
    for (const one of progress) if (!this.#entryOf(one.name).running) this.#entryOf(one.name).progress = one;
    const bySecret = Map.groupBy(challenges, ({ secret }) => secret);
    // Also for what this process does not want yet: its configuration may be read later than that of the leader.
    for (const name of bySecret.keys()) this.#entryOf(name);
    for (const entry of this.#entries.values()) if (!entry.running) entry.challenges = bySecret.get(entry.name) ?? [];
    await this.#changed();
    this.#replicas.revision = revision;
    this.#keep();
    this.#options.onProgress();
  }

  #entryOf(name: string): Entry {
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      entry = {
        name,
        wish: undefined,
        holding: undefined,
        secret: undefined,
        progress: { name, failures: 0, error: undefined, nextMs: undefined },
        challenges: [],
        favourite: 0,
        running: false,
        suggestion: undefined,
        askAtMs: 0,
        unsaved: false,
      };
      this.#entries.set(name, entry);
    }
    return entry;
  }

  #hold(entry: Entry, holding: Holding): void {
    entry.holding = holding;
    entry.suggestion = undefined;
    entry.askAtMs = 0;
    this.#plan(entry, holding);
  }

  /** When what is held is due, unless something else is to be done before. */
  #plan(entry: Entry, { pair }: Holding): void {
    if (entry.progress.failures > 0) return;
    const { suggestion } = entry;
    const before = entry.wish?.issuer.renewBeforeMs;
    const suggested = suggestion === undefined || before !== undefined ? undefined : suggestedMs(pair, suggestion);
    const nextMs = suggested ?? renewAtMs(pair, before);
    entry.progress = { ...entry.progress, nextMs };
  }

  /** @returns whether {@link issued} is another one */
  #restate(): boolean {
    const secrets = new Map<string, Secret>();
    const challenges: AcmeChallenge[] = [];
    for (const entry of this.#entries.values()) {
      challenges.push(...entry.challenges);
      const { wish, holding, name } = entry;
      if (wish === undefined || holding === undefined) continue;
      if (entry.secret?.from !== holding || entry.secret.origin !== wish.origin) {
        entry.secret = { from: holding, origin: wish.origin, value: secretOf(holding, wish.origin) };
      }
      secrets.set(name, entry.secret.value);
    }
    const before = this.#issued;
    const same =
      before.secrets.size === secrets.size &&
      [...secrets].every(([name, secret]) => before.secrets.get(name) === secret) &&
      before.challenges.length === challenges.length &&
      challenges.every((challenge, i) => before.challenges[i] === challenge);
    if (!same) this.#issued = { secrets, challenges };
    return !same;
  }

  async #changed(): Promise<void> {
    if (this.#restate()) await this.#options.onChange();
  }

  #keep(): void {
    const kept = [...this.#entries.values()].flatMap(({ holding }) => holding?.kept ?? []);
    void this.#options.keepsake?.write(kept, (why) =>
      this.#options.log.warn(`Cannot keep the certificates on disk: ${why}; a start without the store would lack them`),
    );
  }

  // --- what is due -------------------------------------------------------------------------------------------------

  #startDue(): void {
    const nowMs = this.#options.clock.wallMs();
    for (const entry of this.#entries.values()) {
      if (this.#orders.size >= ORDERS_MAX) return;
      if (!this.#isDue(entry, nowMs)) continue;
      entry.running = true;
      const order = this.#order(entry, entry.wish!).finally(() => {
        entry.running = false;
        this.#orders.delete(order);
      });
      this.#orders.add(order);
    }
  }

  /** Asks one authority at a time what it suggests (RFC 9773). The first look is for all that are held. */
  #startAsking(): void {
    const { clock, onProgress, userAgent } = this.#options;
    const nowMs = clock.wallMs();
    if (this.#asking) return;
    for (const entry of this.#entries.values()) {
      const { wish, holding } = entry;
      if (wish === undefined || holding === undefined || entry.running || entry.askAtMs > nowMs) continue;
      if (wish.issuer.renewBeforeMs !== undefined) continue;
      this.#asking = true;
      void askRenewalInfo(wish.issuer, holding.kept.chainPem, { userAgent, clock }).then(
        ({ suggestion, askAgainMs }) => {
          this.#asking = false;
          if (entry.holding !== holding) return;
          entry.askAtMs = clock.wallMs() + askAgainMs;
          entry.suggestion = suggestion;
          this.#plan(entry, holding);
          onProgress();
        },
      );
      return;
    }
  }

  #isDue({ wish, holding, progress, running }: Entry, nowMs: number): boolean {
    if (wish === undefined || running) return false;
    if ((this.#quietUntilMs.get(wish.issuer.key) ?? 0) > nowMs) return false;
    if (progress.failures > 0) return (progress.nextMs ?? 0) <= nowMs;
    if (holding === undefined || holding.kept.terms !== termsOf(wish)) return true;
    return (progress.nextMs ?? 0) <= nowMs;
  }

  async #order(entry: Entry, wish: CertificateWish): Promise<void> {
    const { log, metrics, clock, userAgent } = this.#options;
    const account = accountKey(wish);
    log.info('Ordering a certificate', { names: wish.hostnames, issuer: wish.issuer.key });
    try {
      // Loaded with the first order: most starts find everything held.
      const [{ Authority }, { runOrder }] = await Promise.all([import('./authority.ts'), import('./order.ts')]);
      using authority = new Authority({ terms: wish.issuer, userAgent, wallMs: () => clock.wallMs() });
      const pair = await runOrder({
        wish,
        favourite: this.#favouriteOf(entry, wish),
        authority,
        account: await this.#records.account(account),
        replaces: this.#replacedBy(entry),
        clock,
        onAccount: (made: Account) => this.#records.keepAccount(account, made),
        present: (challenges) => this.#present(entry, challenges),
        check: () => this.#mustLead(),
      });
      metrics.counter('fourways_acme_orders_total', [wish.issuer.key, 'issued']).add(1);
      const { certificatePem: chainPem, privateKeyPem } = pair;
      entry.progress = { name: entry.name, failures: 0, error: undefined, nextMs: undefined };
      this.#hold(entry, { kept: { name: entry.name, terms: termsOf(wish), chainPem, privateKeyPem }, pair });
      entry.unsaved = true;
      log.info('A certificate was issued', {
        names: wish.hostnames,
        issuer: wish.issuer.key,
        until: new Date(pair.notAfterMs).toISOString(),
        renewedAt: new Date(entry.progress.nextMs!).toISOString(),
      });
      this.#keep();
      await this.#save(entry);
      await this.#changed();
    } catch (error) {
      await this.#failed(entry, wish, error);
    }
    this.#options.onProgress();
  }

  /** Only where the authority has spoken of the old one; after a failure without, in case it was that. */
  #replacedBy({ holding, suggestion, progress }: Entry): string | undefined {
    return holding === undefined || suggestion === undefined || progress.failures > 0
      ? undefined
      : certificateId(holding.kept.chainPem);
  }

  #favouriteOf(entry: Entry, wish: CertificateWish): ChallengeType {
    return wish.challenges[entry.favourite % wish.challenges.length]!;
  }

  async #save(entry: Entry): Promise<void> {
    const { holding, progress } = entry;
    if (holding === undefined) return;
    try {
      this.#replicas.moved(await this.#records.keepCertificate(holding.kept, progress));
      entry.unsaved = false;
    } catch (error) {
      // It is held and kept on disk; saved when the store is back.
      if (!(error instanceof StoreAway)) throw error;
    }
  }

  async #failed(entry: Entry, wish: CertificateWish, error: unknown): Promise<void> {
    if (error instanceof LeadLost || this.#closed) return;
    const { clock, random, log, metrics } = this.#options;
    const refusal = error instanceof AcmeRefusal ? error : undefined;
    const failures = entry.progress.failures + 1;
    const rateLimited = refusal?.type === 'rateLimited' || refusal?.status === 429;
    const failure = { count: failures, retryAfterMs: refusal?.retryAfterMs, rateLimited };
    let delayMs = retryDelayMs(failure, random.unit());
    if (error instanceof ValidationFailed && wish.challenges.length > 1) {
      entry.favourite = wish.challenges.indexOf(error.challenge) + 1;
      // Each way once; after that it takes its time as any failure.
      if (failures < wish.challenges.length) delayMs = OTHER_CHALLENGE_MS;
    }
    const lost = refusal?.type === 'accountDoesNotExist';
    // Another account is made; that it is lost again right away is a failure as any.
    if (lost && entry.progress.error !== refusal?.message) delayMs = OTHER_CHALLENGE_MS;
    const nextMs = clock.wallMs() + delayMs;
    // Limits are those of an account or an address: other names of this issuer would run into them too.
    if (refusal !== undefined && (rateLimited || refusal.status === 503))
      this.#quietUntilMs.set(wish.issuer.key, nextMs);
    const message = error instanceof Error ? error.message : String(error);
    entry.progress = { name: entry.name, failures, error: message, nextMs };
    metrics.counter('fourways_acme_orders_total', [wish.issuer.key, 'failed']).add(1);
    const { holding } = entry;
    const rest =
      holding === undefined
        ? 'there is none until then'
        : `the one that is served ends at ${new Date(holding.pair.notAfterMs).toISOString()}`;
    log.error(`Cannot get the certificate of ${describeKey(entry.name)}: ${message}; ${rest}`, {
      names: wish.hostnames,
      issuer: wish.issuer.key,
      retryInMs: Math.round(delayMs),
    });
    try {
      if (lost) await this.#records.forgetAccount(accountKey(wish));
      this.#replicas.moved(await this.#records.keepProgress(entry.progress));
    } catch (away) {
      if (!(away instanceof StoreAway)) throw away;
    }
  }

  /** Resolves when every proxy of every process answers these. */
  async #present(entry: Entry, challenges: readonly AcmeChallenge[]): Promise<void> {
    try {
      const revision = await this.#records.present(entry.name, challenges);
      entry.challenges = challenges;
      await this.#changed();
      this.#replicas.moved(revision);
      if (challenges.length > 0) await this.#replicas.reached(revision);
    } catch (error) {
      if (challenges.length > 0) throw error;
      // The next leader withdraws what stays in the store.
      entry.challenges = [];
      await this.#changed().catch(() => undefined);
    }
  }

  #mustLead(): void {
    if (!this.#leads || this.#closed) throw new LeadLost('Another process orders now');
  }
}

/** Not a failure: whoever leads now goes on. */
class LeadLost extends Error {
  override readonly name = 'LeadLost';
}

/** A certificate that has not ended may be wanted again, and a wish that comes back must not be tried sooner for it. */
function isOver({ wish, holding, progress, challenges, running }: Entry, nowMs: number): boolean {
  if (wish !== undefined || running || challenges.length > 0) return false;
  return (holding?.pair.notAfterMs ?? 0) < nowMs && (progress.nextMs ?? 0) <= nowMs;
}

function sameWish(a: CertificateWish, b: CertificateWish): boolean {
  const said = ({ hostnames, issuer, challenges }: CertificateWish): string =>
    canonicalJson({ hostnames, issuer, challenges });
  return a === b || said(a) === said(b);
}

/** An account is with one server, under one key of the authority's own. */
function accountKey({ issuer: { key, directory, externalAccount } }: CertificateWish): string {
  return [key, directory, ...(externalAccount === undefined ? [] : [externalAccount.keyId])].join(' ');
}

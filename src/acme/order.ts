/**
 * The life of one order (RFC 8555 section 7.1.6):
 *
 *     sign in -> order -> for each name: choose a challenge -> present them all -> ask for validation
 *             -> wait until all are valid -> finalize -> wait -> certificate
 *
 * Whatever happens, what was presented is withdrawn at the end.
 */
import { type Clock, sleep } from '../base/clock.ts';
import type { AcmeChallenge, CertificateWish } from '../compile/acme.ts';
import { type KeyPair, readKeyPair } from '../compile/certificate.ts';
import type { ChallengeType } from '../compile/issuer.ts';
import { askAgainAfterMs, type Authority, type Authorization, type Challenge, type Order } from './authority.ts';
import { type Account, clean, ValidationFailed } from './refusal.ts';

export interface OrderOptions {
  readonly wish: CertificateWish;
  /** Way to prove the names that is tried first; another one where the server does not offer it. */
  readonly favourite: ChallengeType;
  readonly authority: Authority;
  readonly account: Account | undefined;
  /** Id of the certificate that this one is to follow, where the server knows of such. */
  readonly replaces: string | undefined;
  readonly clock: Clock;
  /** Told once, as soon as there is one: an account must not be lost because an order failed. */
  onAccount(account: Account): Promise<void>;
  /** Resolves when every proxy answers these; an empty list withdraws. */
  present(challenges: readonly AcmeChallenge[]): Promise<void>;
  /** @throws {Error} when this process must not go on: another one leads */
  readonly check: () => void;
}

/** The server validates from several places, and signs when it has time. Beyond: the order is given up and tried again. */
const WAIT_MS_MAX = 180_000;
const POLL_FIRST_MS = 500;
const POLL_MS_MAX = 10_000;

/** @throws {Error} with words for the operator when there is no certificate at the end */
export async function runOrder(options: OrderOptions): Promise<KeyPair> {
  const { wish, authority, account, check } = options;
  check();
  const signedIn = await authority.begin(account);
  if (account?.url !== signedIn.url) await options.onAccount(signedIn);
  check();
  const order = await authority.order(wish.hostnames, options.replaces);
  try {
    await prove(order, options);
  } finally {
    await options.present([]);
  }
  check();
  return collect(await untilStatus(order, ['ready', 'valid'], options), options);
}

interface Chosen {
  readonly authorization: Authorization;
  readonly challenge: Challenge;
  readonly type: ChallengeType;
}

async function prove(order: Order, options: OrderOptions): Promise<void> {
  const { authority, check } = options;
  // A name that was proved a while ago is still proved.
  const open = (await authority.authorizations(order)).filter(({ status }) => status !== 'valid');
  if (open.length === 0) return;
  const chosen = open.map((authorization) => choose(authorization, options));
  await options.present(await Promise.all(chosen.map((one) => answerOf(one, options))));
  check();
  for (const { challenge } of chosen) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other: each asks for a nonce
    await authority.validate(challenge);
  }
  await untilProved(order, chosen, options);
}

function choose(authorization: Authorization, { wish, favourite }: OrderOptions): Chosen {
  const { challenges, identifier } = authorization;
  for (const type of [favourite, ...wish.challenges]) {
    const challenge = challenges.find((one) => one.type === type);
    if (challenge !== undefined) return { authorization, challenge, type };
  }
  const offered = challenges.map(({ type }) => clean(type)).join(', ');
  throw new Error(`The authority offers no way to prove "${identifier.value}" that can be answered: ${offered}`);
}

async function answerOf(
  { authorization, challenge, type }: Chosen,
  { wish, authority }: OrderOptions,
): Promise<AcmeChallenge> {
  const hostname = authorization.identifier.value;
  const about = { secret: wish.secret, hostname };
  const keyAuthorization = await authority.keyAuthorization(challenge);
  if (type === 'tls-alpn-01') {
    return { kind: type, ...about, ...(await authority.alpnCertificate(authorization, keyAuthorization)) };
  }
  // RFC 8555 section 8.3: base64url. It becomes a path that we serve.
  if (!/^[-_A-Za-z0-9]{1,256}$/.test(challenge.token)) throw new Error(`The authority gave a token that is none`);
  return { kind: type, ...about, token: challenge.token, keyAuthorization };
}

async function untilProved(order: Order, chosen: readonly Chosen[], options: OrderOptions): Promise<void> {
  const { authority } = options;
  await poll(options, `validation of ${options.wish.hostnames.join(', ')}`, async () => {
    const now = await authority.authorizations(order);
    for (const authorization of now) {
      if (authorization.status === 'valid' || authorization.status === 'pending') continue;
      throw failureOf(authorization, chosen);
    }
    const pending = now.filter(({ status }) => status !== 'valid');
    return pending.length === 0 ? { done: undefined } : { askAgainMs: askAgainAfterMs(pending[0]!) };
  });
}

function failureOf({ identifier, status, challenges }: Authorization, chosen: readonly Chosen[]): ValidationFailed {
  const type =
    chosen.find(({ authorization }) => authorization.identifier.value === identifier.value)?.type ?? 'http-01';
  const failed = challenges.find((challenge) => challenge.type === type) as
    | { readonly error?: { readonly detail?: string } }
    | undefined;
  const detail = clean(failed?.error?.detail ?? `its authorization is ${status}`);
  return new ValidationFailed(type, `${type} for "${identifier.value}" failed: ${detail}`);
}

async function collect(order: Order, options: OrderOptions): Promise<KeyPair> {
  const { authority, wish } = options;
  const { order: asked, privateKeyPem } = await authority.finalize(order, wish.hostnames);
  const done = await untilStatus(asked, ['valid'], options);
  const pair = readKeyPair(await authority.certificate(done), privateKeyPem);
  if ('flaw' in pair) throw new Error(`The authority gave a certificate that cannot be used: ${pair.flaw}`);
  const missing = wish.hostnames.filter((hostname) => !pair.dnsNames.includes(hostname));
  if (missing.length > 0) throw new Error(`The authority gave a certificate without "${missing.join('", "')}"`);
  return pair;
}

function untilStatus(order: Order, wanted: readonly string[], options: OrderOptions): Promise<Order> {
  if (wanted.includes(order.status)) return Promise.resolve(order);
  return poll(options, `order to be ${wanted[0]}`, async () => {
    const now = await options.authority.reload(order);
    if (wanted.includes(now.status)) return { done: now };
    if (now.status !== 'invalid') return { askAgainMs: askAgainAfterMs(now) };
    const { error } = now as { readonly error?: { readonly detail?: string } };
    throw new Error(`The order is invalid: ${clean(error?.detail ?? 'the authority gave no reason')}`);
  });
}

type Polled<T> = { readonly done: T } | { readonly askAgainMs: number | undefined };

async function poll<T>({ clock, check }: OrderOptions, what: string, ask: () => Promise<Polled<T>>): Promise<T> {
  const endMs = clock.nowMs() + WAIT_MS_MAX;
  for (let waitMs = POLL_FIRST_MS; ; waitMs = Math.min(waitMs * 1.5, POLL_MS_MAX)) {
    check();
    // oxlint-disable-next-line no-await-in-loop -- that is what polling is
    const answer = await ask();
    if ('done' in answer) return answer.done;
    const pauseMs = Math.min(Math.max(waitMs, answer.askAgainMs ?? 0), POLL_MS_MAX * 3);
    if (clock.nowMs() + pauseMs > endMs) throw new Error(`Waited ${WAIT_MS_MAX / 1_000} s in vain for the ${what}`);
    // oxlint-disable-next-line no-await-in-loop -- as above
    await sleep(clock, pauseMs);
  }
}

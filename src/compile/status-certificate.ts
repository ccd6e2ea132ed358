/** What the status of a listener says of its certificates: where one is ordered, and where time is running out. */
import { utcSeconds } from '../base/utc.ts';
import { describe, keyOf } from '../resource/resource.ts';
import { validityOf } from './certificate-check.ts';
import { type Draft, fails, holds } from './condition.ts';
import type { Certificate, ListenerBase } from './listener.ts';
import type { StatusWork } from './status-item.ts';

/** A condition of ours, so it has our name in front (Gateway API, `ListenerConditionType`). */
const TYPE = 'fourways.io/CertificateValid';

/** Served, but with no certificate yet. */
export function isAwaiting({ acme, certificates }: ListenerBase): boolean {
  return acme !== undefined && certificates.length === 0;
}

/** @param refused  why the certificate of this listener is not ordered at all */
export function certificateConditions(listener: ListenerBase, refused: string | undefined, work: StatusWork): Draft[] {
  const { acme, certificates } = listener;
  if (refused !== undefined && isAwaiting(listener)) return [fails(TYPE, { reason: 'CannotOrder', message: refused })];
  if (acme !== undefined) return [orderedCondition(listener, work)];
  const doubtful = certificates.find(({ pair }) => validityOf(pair, work.nowMs) !== 'valid');
  return doubtful === undefined ? [] : [validity(doubtful, work.nowMs)];
}

function orderedCondition({ acme, certificates }: ListenerBase, work: StatusWork): Draft {
  const { secret, hostname, issuer } = acme!;
  const { error, nextMs } = work.runtime.progressOf?.(secret) ?? { error: undefined, nextMs: undefined };
  const again = nextMs === undefined ? '' : `; next attempt at ${utcSeconds(nextMs)}`;
  const certificate = certificates.find((one) => keyOf(one.secret) === secret);
  if (certificate === undefined) {
    const from = `The certificate for "${hostname}" from ${describe(issuer)}`;
    return error === undefined
      ? fails(TYPE, { reason: 'Ordering', message: `${from} is being ordered` })
      : fails(TYPE, { reason: 'OrderFailed', message: `${from} could not be had: ${error}${again}` });
  }
  const valid = validity(certificate, work.nowMs);
  if (error !== undefined) {
    return {
      ...valid,
      reason: 'RenewalFailed',
      message: `${valid.message}; it could not be renewed: ${error}${again}`,
    };
  }
  if (nextMs === undefined) return valid;
  return { ...valid, message: `${valid.message}; renewed at ${utcSeconds(nextMs)}` };
}

function validity({ pair }: Certificate, nowMs: number): Draft {
  const message = `Valid until ${utcSeconds(pair.notAfterMs)}`;
  switch (validityOf(pair, nowMs)) {
    case 'valid':
      return holds(TYPE, { reason: 'Valid', message });
    case 'expires-soon':
      return holds(TYPE, { reason: 'ExpiresSoon', message });
    case 'expired':
      return fails(TYPE, { reason: 'Expired', message: `Expired at ${utcSeconds(pair.notAfterMs)}` });
    case 'not-yet-valid':
      return fails(TYPE, { reason: 'NotYetValid', message: `Not valid before ${utcSeconds(pair.notBeforeMs)}` });
  }
}

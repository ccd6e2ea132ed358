/** What is doubtful about certificates that can be used: they are served, and said. */
import { keyOf } from '../resource/resource.ts';
import { type Finding, warning } from './finding.ts';
import type { Found } from './found.ts';
import { certificateCovers } from './hostname.ts';
import type { ListenerBase } from './listener.ts';

const DAY_MS = 86_400_000;

/** Time left at which an operator has to act; ACME clients renew at a third of 90 days. */
const EXPIRES_SOON_MS = 14 * DAY_MS;

export function certificateFindings({ owner, spec, hostname, certificates }: ListenerBase, nowMs: number): Finding[] {
  const findings = certificates.flatMap(({ secret, pair, field }): Finding[] => {
    const doubt = doubtOf(pair, nowMs);
    if (doubt === undefined) return [];
    const message = `The certificate of Secret "${secret.metadata.name}" ${doubt}`;
    return [warning('certificate.expiry', owner, { field, message, related: [keyOf(secret)] })];
  });
  const names = certificates.flatMap(({ pair }) => pair.dnsNames);
  if (certificates.length > 0 && hostname !== '*' && !names.some((name) => certificateCovers(name, hostname))) {
    const has = names.length === 0 ? 'no DNS name' : names.map((name) => `"${name}"`).join(', ');
    const message = `No certificate of listener "${spec.name}" is for its host "${hostname}": they are for ${has}`;
    const related = certificates.map(({ secret }) => keyOf(secret));
    findings.push(warning('certificate.name', owner, { field: certificates[0]!.field, message, related }));
  }
  return findings;
}

export type Validity = 'valid' | 'expires-soon' | 'expired' | 'not-yet-valid';

export function validityOf({ notBeforeMs, notAfterMs }: Life, nowMs: number): Validity {
  if (notAfterMs <= nowMs) return 'expired';
  if (notBeforeMs > nowMs) return 'not-yet-valid';
  return soonMs({ notBeforeMs, notAfterMs }) <= nowMs ? 'expires-soon' : 'valid';
}

function doubtOf(life: Life, nowMs: number): string | undefined {
  switch (validityOf(life, nowMs)) {
    case 'valid':
      return undefined;
    case 'expires-soon':
      return `expires on ${dayOf(life.notAfterMs)}`;
    case 'expired':
      return `has expired on ${dayOf(life.notAfterMs)}`;
    case 'not-yet-valid':
      return `is not valid before ${dayOf(life.notBeforeMs)}`;
  }
}

/** When a certificate is about to end: a quarter of its life before, so that one of a few days is not always about to. */
function soonMs({ notBeforeMs, notAfterMs }: Life): number {
  return notAfterMs - Math.min(EXPIRES_SOON_MS, (notAfterMs - notBeforeMs) / 4);
}

interface Life {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** The next time at which {@link validityOf} says something else of a certificate in use, though nothing is edited. */
export function nextChangeMs({ gateways: { gateways, sets } }: Found, nowMs: number): number | undefined {
  let next: number | undefined;
  for (const { listeners } of [...gateways, ...sets]) {
    for (const { certificates } of listeners) {
      for (const { pair } of certificates) {
        for (const atMs of [pair.notBeforeMs, soonMs(pair), pair.notAfterMs]) {
          if (atMs > nowMs && (next === undefined || atMs < next)) next = atMs;
        }
      }
    }
  }
  return next;
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

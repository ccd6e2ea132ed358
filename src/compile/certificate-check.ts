/** What is doubtful about certificates that can be used: they are served, and said. */
import { keyOf } from '../resource/resource.ts';
import { type Finding, warning } from './finding.ts';
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

function doubtOf(
  { notBeforeMs, notAfterMs }: { readonly notBeforeMs: number; readonly notAfterMs: number },
  nowMs: number,
): string | undefined {
  if (notAfterMs <= nowMs) return `has expired on ${dayOf(notAfterMs)}`;
  if (notBeforeMs > nowMs) return `is not valid before ${dayOf(notBeforeMs)}`;
  return notAfterMs - nowMs < EXPIRES_SOON_MS ? `expires on ${dayOf(notAfterMs)}` : undefined;
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

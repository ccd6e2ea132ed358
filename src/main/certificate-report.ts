import { utcSeconds } from '../base/utc.ts';
import { X509Certificate } from 'node:crypto';
import type { CertificateReport, CertificateRow } from '../api/admin/view.ts';
import type { Compiled } from '../compile/compile.ts';
import type { ServedCertificate } from '../compile/served-certificate.ts';
import { withoutKind } from '../resource/resource.ts';
import type { Issuing } from './issuing.ts';

/** What `fourways certs` shows, gathered from the compile that is served and from what orders. */
export function certificateReport(compiled: Compiled | undefined, issuing: Issuing): CertificateReport {
  const { store } = issuing;
  return {
    ...(store !== undefined && { store }),
    orders: issuing.leads,
    certificates: compiled?.certificates().map((served) => rowOf(served, issuing)) ?? [],
  };
}

function rowOf(served: ServedCertificate, issuing: Issuing): CertificateRow {
  const {
    secret,
    owner,
    listener,
    hostname,
    ports,
    issuer: acme,
    at,
    certificatePem,
    notBeforeMs,
    notAfterMs,
    state,
  } = served;
  const progress = acme === undefined ? undefined : issuing.progressOf(secret);
  const leaf = certificatePem === undefined ? undefined : new X509Certificate(certificatePem);
  return {
    owner,
    listener,
    hostname,
    ports,
    secret: withoutKind(secret),
    state,
    names: [...(leaf?.subjectAltName ?? '').matchAll(/(?:^|, )DNS:([^,"\s]+)/g)].map((found) => found[1]!),
    ...(leaf !== undefined && { issuer: leaf.issuer.replaceAll('\n', ', '), serial: leaf.serialNumber }),
    ...(notBeforeMs !== undefined && { from: utcSeconds(notBeforeMs) }),
    ...(notAfterMs !== undefined && { until: utcSeconds(notAfterMs) }),
    source: acme === undefined ? { file: at?.file ?? '', line: at?.line ?? 0 } : { acme },
    ...(progress?.nextMs !== undefined && { next: utcSeconds(progress.nextMs) }),
    ...(progress?.error !== undefined && { error: progress.error }),
  };
}

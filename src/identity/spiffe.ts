/** Identities of workloads of the mesh: `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`. */
import { type Flaw, readSpiffeId } from '../base/spiffe.ts';

export interface WorkloadId {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly account: string;
}

export function parseWorkloadId(text: string): WorkloadId | Flaw {
  const id = readSpiffeId(text);
  if ('flaw' in id) return id;
  const { trustDomain, namespace, account } = id;
  if (namespace === undefined || account === undefined) {
    return { flaw: 'The identity of a workload has the path "/ns/NAMESPACE/sa/ACCOUNT"' };
  }
  return { trustDomain, namespace, account };
}

/** @throws {RangeError} when one of them cannot stand in an ID: the caller has checked what people wrote */
export function formatWorkloadId({ trustDomain, namespace, account }: WorkloadId): string {
  const text = `spiffe://${trustDomain}/ns/${namespace}/sa/${account}`;
  const read = parseWorkloadId(text);
  if ('flaw' in read) throw new RangeError(`Cannot make an identity: ${read.flaw}`);
  return text;
}

/** Who the control plane is. No token is for it: who has it can give every proxy a plan. */
export function controlId(trustDomain: string): string {
  return formatWorkloadId({ trustDomain, namespace: 'fourways', account: 'control' });
}

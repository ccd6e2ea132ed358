/** Where the variables of expressions come from. Nothing is read, or made, that an expression does not name. */
import type { EndedExchange, EndedFacts } from '../filter/ended.ts';
import type { Exchange } from '../filter/filter.ts';
import { workloadOf } from '../http/client-identity.ts';
import { HeaderView, QueryView, type Value } from './values.ts';
import type { FieldName } from './vocabulary.ts';

export const FACTS: Readonly<Record<FieldName | 'rule', (x: Exchange) => Value>> = {
  'request.id': (x) => x.requestId,
  'request.method': (x) => x.request.method,
  'request.scheme': (x) => x.request.scheme,
  'request.host': (x) => x.request.host,
  'request.path': (x) => x.request.path,
  'request.query': (x) => new QueryView(x.request.query),
  'request.headers': (x) => new HeaderView(x.request.headers),
  'source.address': (x) => x.clientIp,
  'source.peer': (x) => x.client.peerIp,
  'source.identity': (x) => workloadOf(x.client.clientCertificate)?.id,
  'source.trustDomain': (x) => workloadOf(x.client.clientCertificate)?.trustDomain,
  'source.namespace': (x) => workloadOf(x.client.clientCertificate)?.namespace,
  'source.account': (x) => workloadOf(x.client.clientCertificate)?.account,
  'client.spiffe': (x) => workloadOf(x.client.clientCertificate)?.id,
  'client.subject': (x) => x.client.clientCertificate?.subject,
  'client.commonName': (x) => x.client.clientCertificate?.commonName,
  'client.dns': (x) => x.client.clientCertificate?.dns,
  'client.uri': (x) => x.client.clientCertificate?.uri,
  'client.fingerprint': (x) => x.client.clientCertificate?.fingerprint,
  'client.serverName': (x) => (x.client.serverName === '' ? undefined : x.client.serverName),
  'identity.subject': (x) => x.identity?.subject,
  'identity.issuer': (x) => x.identity?.issuer,
  'identity.methods': (x) => x.identity?.methods,
  'identity.scopes': (x) => x.identity?.scopes,
  'identity.claims': (x) => x.identity?.claims,
  'identity.workload': (x) => x.identity?.workload,
  'consumer.name': (x) => x.identity?.consumer?.name,
  'consumer.groups': (x) => x.identity?.consumer?.groups,
  'consumer.labels': (x) => x.identity?.consumer?.labels,
  'response.status': (x) => intOf(endedOf(x)?.status),
  'response.fault': (x) => endedOf(x)?.fault,
  'response.durationMs': (x) => endedOf(x)?.durationMs,
  'destination.service': (x) => endedOf(x)?.service,
  'destination.namespace': (x) => endedOf(x)?.namespace,
  rule: (x) => x.rule.name,
};

/** Expressions that name it are compiled for exchanges that have it. */
function endedOf(x: Exchange): EndedFacts | undefined {
  return (x as Partial<EndedExchange>).ended;
}

function intOf(value: number | undefined): bigint | undefined {
  return value === undefined ? undefined : BigInt(value);
}

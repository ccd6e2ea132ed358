/** Every kind that can be read. */
import { GATEWAY_GROUP, OWN_GROUP } from '../fields.ts';
import { defineKind, type Kind } from '../kind.ts';
import { Type } from '../../schema/schema.ts';
import { acmeIssuerRules, AcmeIssuerSpec } from './acme-issuer.ts';
import { BackendPolicySpec } from './backend-policy.ts';
import { BackendTLSPolicySpec } from './backend-tls-policy.ts';
import { BackendSpec } from './backend.ts';
import { EndpointSliceFields, ServiceSpec } from './core.ts';
import { GatewayClassSpec } from './gateway-class.ts';
import { gatewayRules, listenerRules } from './gateway-rules.ts';
import { GatewaySpec } from './gateway.ts';
import { GRPCRouteSpec } from './grpc-route.ts';
import { grpcRouteRules, httpRouteRules } from './http-route-rules.ts';
import { HTTPRouteSpec } from './http-route.ts';
import { ListenerSetSpec } from './listener-set.ts';
import { meshRules, MeshSpec } from './mesh.ts';
import { backendPolicyRules, backendRules, backendTLSPolicyRules, policyRules, refusedPolicy } from './policy-rules.ts';
import { PolicySpec } from './policy.ts';
import { ReferenceGrantSpec } from './reference-grant.ts';
import { PortRouteSpec, streamRouteRules, TLSRouteSpec } from './stream-routes.ts';
import { makeSecret, secretFields, secretRules } from './secret.ts';
import { workloadRules, WorkloadSpec } from './workload.ts';

export const KINDS: readonly Kind[] = [
  defineKind({
    kind: 'GatewayClass',
    group: GATEWAY_GROUP,
    versions: ['v1', 'v1beta1'],
    scope: 'cluster',
    fields: { spec: GatewayClassSpec },
    description: 'Who serves the Gateways of a class.',
  }),
  defineKind({
    kind: 'Gateway',
    group: GATEWAY_GROUP,
    versions: ['v1', 'v1beta1'],
    fields: { spec: GatewaySpec },
    description: 'Ports, host names and certificates that are served.',
    rules: gatewayRules,
  }),
  defineKind({
    kind: 'ListenerSet',
    group: GATEWAY_GROUP,
    versions: ['v1'],
    fields: { spec: ListenerSetSpec },
    description: 'More listeners for a Gateway, from another owner.',
    rules: ({ spec }) => listenerRules(spec.listeners),
  }),
  defineKind({
    kind: 'HTTPRoute',
    group: GATEWAY_GROUP,
    versions: ['v1', 'v1beta1'],
    fields: { spec: HTTPRouteSpec },
    description: 'Which requests go to which backends, and what is done to them.',
    rules: httpRouteRules,
  }),
  defineKind({
    kind: 'GRPCRoute',
    group: GATEWAY_GROUP,
    versions: ['v1'],
    fields: { spec: GRPCRouteSpec },
    description: 'Which gRPC calls go to which backends, and what is done to them.',
    rules: grpcRouteRules,
  }),
  defineKind({
    kind: 'ReferenceGrant',
    group: GATEWAY_GROUP,
    versions: ['v1', 'v1beta1'],
    fields: { spec: ReferenceGrantSpec },
    description: 'Lets objects of another namespace refer to objects of this one.',
  }),
  defineKind({
    kind: 'BackendTLSPolicy',
    group: GATEWAY_GROUP,
    versions: ['v1', 'v1alpha3'],
    fields: { spec: BackendTLSPolicySpec },
    description: 'How the certificates of Services are verified.',
    rules: backendTLSPolicyRules,
  }),
  defineKind({
    kind: 'TLSRoute',
    group: GATEWAY_GROUP,
    versions: ['v1', 'v1alpha3', 'v1alpha2'],
    fields: { spec: TLSRouteSpec },
    description: 'Which backends TLS connections go to, by server name: unread, or after TLS has ended here.',
    rules: streamRouteRules,
  }),
  defineKind({
    kind: 'TCPRoute',
    group: GATEWAY_GROUP,
    versions: ['v1', 'v1alpha2'],
    fields: { spec: PortRouteSpec },
    description: 'Which backends the connections of a TCP listener go to.',
    rules: streamRouteRules,
  }),
  defineKind({
    kind: 'UDPRoute',
    group: GATEWAY_GROUP,
    versions: ['v1', 'v1alpha2'],
    fields: { spec: PortRouteSpec },
    description: 'Which backends the datagrams of a UDP listener go to.',
    rules: streamRouteRules,
  }),
  defineKind({
    kind: 'Service',
    group: '',
    versions: ['v1'],
    fields: { spec: { ...ServiceSpec, default: {} } },
    allow: 'others',
    description: 'A name and ports for a set of endpoints.',
  }),
  defineKind({
    kind: 'EndpointSlice',
    group: 'discovery.k8s.io',
    versions: ['v1'],
    fields: EndpointSliceFields,
    allow: 'others',
    description: 'Endpoints of the Service that its label kubernetes.io/service-name names.',
  }),
  defineKind({
    kind: 'Secret',
    group: '',
    versions: ['v1'],
    fields: secretFields,
    allow: 'others',
    description: 'A certificate with its key, or other secret values.',
    rules: secretRules,
    make: makeSecret,
  }),
  defineKind({
    kind: 'ConfigMap',
    group: '',
    versions: ['v1'],
    fields: { data: Type.Record(Type.String(), Type.String(), { default: {}, description: 'Values by name.' }) },
    allow: 'others',
    description: 'Values that are not secret, such as the certificates of an authority in `ca.crt`.',
  }),
  defineKind({
    kind: 'Namespace',
    group: '',
    versions: ['v1'],
    scope: 'cluster',
    fields: {},
    allow: 'others',
    description: 'A namespace with its labels.',
  }),
  defineKind({
    kind: 'Policy',
    group: OWN_GROUP,
    versions: ['v1alpha1'],
    fields: { spec: PolicySpec },
    description: 'Filters for a Gateway, ListenerSet, HTTPRoute, GRPCRoute or Service, and settings of listeners.',
    rules: policyRules,
    standIn: refusedPolicy,
  }),
  defineKind({
    kind: 'BackendPolicy',
    group: OWN_GROUP,
    versions: ['v1alpha1'],
    fields: { spec: BackendPolicySpec },
    description: 'How a Service or Backend is reached: timeouts, connections, TLS.',
    rules: backendPolicyRules,
  }),
  defineKind({
    kind: 'Backend',
    group: OWN_GROUP,
    versions: ['v1alpha1'],
    fields: { spec: BackendSpec },
    description: 'An upstream that is not a Kubernetes Service: addresses or DNS names.',
    rules: backendRules,
  }),
  defineKind({
    kind: 'AcmeIssuer',
    group: OWN_GROUP,
    versions: ['v1alpha1'],
    fields: { spec: AcmeIssuerSpec },
    description: 'An authority that certificates are ordered from by ACME (RFC 8555).',
    rules: acmeIssuerRules,
  }),
  defineKind({
    kind: 'Mesh',
    group: OWN_GROUP,
    versions: ['v1alpha1'],
    scope: 'cluster',
    fields: { spec: { ...MeshSpec, default: {} } },
    description: 'Trust domain of the services, and what holds between them where nobody says more. There is one.',
    rules: meshRules,
  }),
  defineKind({
    kind: 'Workload',
    group: OWN_GROUP,
    versions: ['v1alpha1'],
    fields: { spec: WorkloadSpec },
    description: 'A running instance of a service: on a host, in a container, on a laptop.',
    rules: workloadRules,
  }),
];

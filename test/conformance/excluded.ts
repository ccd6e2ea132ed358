/** What of the profiles is not run as it stands, and why. All of it is printed in docs/conformance.md. */

export interface Excluded {
  readonly test: string;
  readonly reason: string;
}

export const NOT_STANDALONE: readonly Excluded[] = [
  {
    test: 'GatewayInfrastructure',
    reason: 'Looks at labels of generated Pods, Services and ServiceAccounts: nothing of it exists without Kubernetes',
  },
];

/** Features that some tests want a gateway not to have: such a test is not meant for us. */
export const SUPPORTED: readonly string[] = ['TLSRouteModeTerminate', 'TLSRouteModeMixed'];

/** Tests whose features are in no profile upstream, by the profile whose kind of route they are about. */
export const UNLISTED: Readonly<Record<string, string>> = {
  HTTPRouteDisallowedKind: 'GATEWAY-HTTP',
  GRPCRouteNamedRule: 'GATEWAY-GRPC',
  GRPCRouteRequestHeaderModifier: 'GATEWAY-GRPC',
  MeshHTTPRoute303Redirect: 'MESH-HTTP',
  MeshHTTPRoute307Redirect: 'MESH-HTTP',
  MeshHTTPRoute308Redirect: 'MESH-HTTP',
  MeshConsumerRoute: 'MESH-HTTP',
  MeshFrontend: 'MESH-HTTP',
  MeshFrontendHostname: 'MESH-HTTP',
  MeshPorts: 'MESH-HTTP',
};

/** The files that `fourways init` writes: one small configuration in each of the three forms. All three say the same. */
import { portKey } from '../ir/key.ts';

export interface Starter {
  /** The service that requests go to. */
  readonly scheme: 'http' | 'https';
  /** IP address without brackets, or DNS name. */
  readonly host: string;
  readonly port: number;
  /** `host` is a DNS name: what a certificate can carry. */
  readonly isName: boolean;
  readonly listenPort: number;
}

export type StarterFile = [name: string, text: string];

function urlOf({ scheme, host, port }: Starter): string {
  return `${scheme}://${portKey(host, port)}`;
}

export function shortFormFiles(starter: Starter): StarterFile[] {
  const text = `# Fourways, the short form. It expands to Gateway API objects: fourways show --expanded .

listen: 127.0.0.1:${starter.listenPort} # ${starter.listenPort} alone listens on every address

services:
  web: ${urlOf(starter)}

# The most specific match wins, wherever it stands in this list.
routes:
  - name: everything
    to: web

  - name: hello
    match: GET /fourways
    respond: |
      Fourways answers this itself. Everything else goes to ${urlOf(starter)}.

  # - name: api
  #   match: /api
  #   to: web
  #   rewrite: / # the service sees /users instead of /api/users
  #   timeout: 5s
  #   retry: 2
`;
  return [['fourways.yaml', text]];
}

// Apart from the text around it, because it is no import of this file.
const IMPORT = `import { defineConfig } from 'fourways/config';`;

export function typescriptFiles(starter: Starter): StarterFile[] {
  const text = `// Fourways in TypeScript: names of services are checked while you write. See the result: fourways show --expanded .
${IMPORT}

export default defineConfig({
  listen: '127.0.0.1:${starter.listenPort}', // ${starter.listenPort} alone listens on every address

  services: {
    web: '${urlOf(starter)}',
  },

  // The most specific match wins, wherever it stands in this list.
  routes: [
    { name: 'everything', to: 'web' },
    {
      name: 'hello',
      match: 'GET /fourways',
      respond: 'Fourways answers this itself. Everything else goes to ${urlOf(starter)}.\\n',
    },
  ],
});
`;
  return [['fourways.config.ts', text]];
}

export function gatewayApiFiles(starter: Starter): StarterFile[] {
  return [
    ['gateway.yaml', gatewayText(starter)],
    ['routes.yaml', routesText(starter)],
  ];
}

function gatewayText({ listenPort }: Starter): string {
  return `# What listens. The controller name says that Fourways serves Gateways of this class.
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata:
  name: fourways
spec:
  controllerName: fourways.io/gateway-controller
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: edge
spec:
  gatewayClassName: fourways
  addresses:
    - type: IPAddress
      value: 127.0.0.1 # leave the addresses out, and --bind decides
  listeners:
    - name: http
      protocol: HTTP
      port: ${listenPort}
`;
}

function routesText(starter: Starter): string {
  const { scheme, host, port, isName } = starter;
  const tls = scheme === 'http' ? '' : isName ? `  tls:\n    serverName: ${host}\n` : '  tls: {}\n';
  return `# Where your service runs. In Kubernetes this would be a Service.
apiVersion: fourways.io/v1alpha1
kind: Backend
metadata:
  name: web
spec:
  endpoints:
    - address: '${host}'
      port: ${port}
${tls}---
# What goes where. The most specific match wins, wherever it stands.
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web
spec:
  parentRefs:
    - name: edge
  rules:
    - name: everything
      backendRefs:
        - group: fourways.io
          kind: Backend
          name: web
    - name: hello # has no backend: the Policy below answers
      matches:
        - method: GET
          path:
            type: PathPrefix
            value: /fourways
---
# Filters of our own are attached by a Policy: to a Gateway, a route, or one rule of it.
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata:
  name: hello
spec:
  targetRefs:
    - kind: HTTPRoute
      name: web
      sectionName: hello
  filters:
    directResponse:
      status: 200
      body: |
        Fourways answers this itself. Everything else goes to ${urlOf(starter)}.
`;
}

/** Bad GRPCRoutes and exactly what is said of each. What they share with HTTPRoutes is in http-route.test.ts. */
import { type Row, testProblems } from '../testing/problems.ts';

const ROUTE = 'apiVersion: gateway.networking.k8s.io/v1\nkind: GRPCRoute\nmetadata: {name: cart, namespace: shop}\n';
const RULE = `${ROUTE}spec:\n  rules:\n  - `;

const GRPC_ROUTE: readonly Row[] = [
  [
    'a match without service and method',
    `${RULE}matches: [{method: {}}]\n`,
    'a.yaml:6:16: error: Missing field "service": set it, or "method", or both (GRPCRoute shop/cart, /spec/rules/0/matches/0/method)',
  ],
  [
    'a service that is no name',
    `${RULE}matches: [{method: {service: "shop/Cart"}}]\n`,
    'a.yaml:6:25: error: Expected a service such as "shop.v1.Cart", got "shop/Cart" (GRPCRoute shop/cart, /spec/rules/0/matches/0/method/service)',
  ],
  [
    'a service that ends in a dot',
    `${RULE}matches: [{method: {service: "shop."}}]\n`,
    'a.yaml:6:25: error: Expected a service such as "shop.v1.Cart", got "shop." (GRPCRoute shop/cart, /spec/rules/0/matches/0/method/service)',
  ],
  [
    'a method that is no name',
    `${RULE}matches: [{method: {method: "Add-Item"}}]\n`,
    'a.yaml:6:25: error: Expected a method such as "AddItem", got "Add-Item" (GRPCRoute shop/cart, /spec/rules/0/matches/0/method/method)',
  ],
  [
    'a method of HTTP',
    `${RULE}matches: [{method: POST}]\n`,
    'a.yaml:6:16: error: Expected an object, got "POST" (GRPCRoute shop/cart, /spec/rules/0/matches/0/method)',
  ],
  [
    'a path',
    `${RULE}matches: [{path: {value: /a}}]\n`,
    'a.yaml:6:16: error: Unknown field "path": expected one of "method", "headers" (GRPCRoute shop/cart, /spec/rules/0/matches/0/path)',
  ],
  [
    'a filter that calls do not have',
    `${RULE}filters: [{type: URLRewrite, urlRewrite: {}}]\n`,
    'a.yaml:6:16: error: Expected one of "RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "ExtensionRef", got "URLRewrite" (GRPCRoute shop/cart, /spec/rules/0/filters/0/type)',
  ],
  [
    'a filter twice',
    `${RULE}filters: [{type: RequestHeaderModifier, requestHeaderModifier: {}}, {type: RequestHeaderModifier, requestHeaderModifier: {}}]\n`,
    'a.yaml:6:73: error: Duplicate filter RequestHeaderModifier: item 0 is one already (GRPCRoute shop/cart, /spec/rules/0/filters/1)',
  ],
  [
    'a Service without a port',
    `${RULE}backendRefs: [{name: web}]\n`,
    'a.yaml:6:19: error: Missing field "port": Service "web" needs the port to use (GRPCRoute shop/cart, /spec/rules/0/backendRefs/0/port)',
  ],
  [
    'too many matches in all rules',
    `${ROUTE}spec:\n  rules:\n${`  - matches: [${Array.from({ length: 50 }, () => '{}').join(', ')}]\n`.repeat(3)}`,
    'a.yaml:5:3: error: Expected at most 128 matches in all rules together, got 150 (GRPCRoute shop/cart, /spec/rules)',
  ],
  [
    'a cookie that lives for ever',
    `${RULE}sessionPersistence: {cookieConfig: {lifetimeType: Permanent}}\n`,
    'a.yaml:6:5: error: Missing field "absoluteTimeout": a Permanent cookie needs the time when it ends (GRPCRoute shop/cart, /spec/rules/0/sessionPersistence/absoluteTimeout)',
  ],
];

testProblems('a.yaml', GRPC_ROUTE);

/** Bad routes and exactly what is said of each. */
import { type Row, testProblems } from '../testing/problems.ts';

const GATEWAY_V1 = 'apiVersion: gateway.networking.k8s.io/v1\n';
const ROUTE = `${GATEWAY_V1}kind: HTTPRoute\nmetadata: {name: web, namespace: shop}\n`;
const RULE = `${ROUTE}spec:\n  rules:\n  - `;

const HTTP_ROUTE: readonly Row[] = [
  [
    'an unknown field',
    `${RULE}match: []\n`,
    'a.yaml:6:5: error: Unknown field "match": did you mean "matches" (HTTPRoute shop/web, /spec/rules/0/match)',
  ],
  [
    'a type that does not exist',
    `${RULE}matches: [{path: {type: Prefix, value: /a}}]\n`,
    'a.yaml:6:23: error: Expected one of "Exact", "PathPrefix", "RegularExpression", got "Prefix": did you mean "PathPrefix" (HTTPRoute shop/web, /spec/rules/0/matches/0/path/type)',
  ],
  [
    'a path that is no object',
    `${RULE}matches:\n    - path: /a\n`,
    'a.yaml:7:7: error: Expected an object, got "/a" (HTTPRoute shop/web, /spec/rules/0/matches/0/path)',
  ],
  ...(
    [
      ['api', 'a path that begins with "/"'],
      ['/a//b', 'a path without "//"'],
      ['/a/./b', 'a path without a "." segment'],
      ['/a/.', 'a path without a "." segment'],
      ['/a/../b', 'a path without a ".." segment'],
      ['/a/..', 'a path without a ".." segment'],
      ['/a%2Fb', 'a path without "%2f"'],
      ['/a#b', 'a path without "#"'],
      ['/a b', 'a percent-encoded path'],
      ['/a%zz', 'a percent-encoded path'],
    ] as const
  ).map(([path, expected]): Row => [
    `the path ${path}`,
    `${RULE}matches:\n    - path:\n        value: "${path}"\n`,
    `a.yaml:8:9: error: Expected ${expected}, got "${path}" (HTTPRoute shop/web, /spec/rules/0/matches/0/path/value)`,
  ]),
  [
    'a header twice',
    `${RULE}matches: [{headers: [{name: a, value: b}, {name: a, value: c}]}]\n`,
    'a.yaml:6:48: error: Duplicate name "a": item 0 has it already (HTTPRoute shop/web, /spec/rules/0/matches/0/headers/1/name)',
  ],
  [
    'a header name that cannot be',
    `${RULE}matches: [{headers: [{name: "a b", value: c}]}]\n`,
    'a.yaml:6:27: error: Expected a header name, got "a b" (HTTPRoute shop/web, /spec/rules/0/matches/0/headers/0/name)',
  ],
  [
    'a method that does not exist',
    `${RULE}matches: [{method: get}]\n`,
    'a.yaml:6:16: error: Expected one of "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", got "get": did you mean "GET" (HTTPRoute shop/web, /spec/rules/0/matches/0/method)',
  ],
  [
    'too many matches in all rules',
    `${ROUTE}spec:\n  rules:\n${`  - matches: [${Array.from({ length: 50 }, () => '{}').join(', ')}]\n`.repeat(3)}`,
    'a.yaml:5:3: error: Expected at most 128 matches in all rules together, got 150 (HTTPRoute shop/web, /spec/rules)',
  ],
  [
    'a port in quotes',
    `${RULE}backendRefs: [{name: web, port: "80"}]\n`,
    'a.yaml:6:31: error: Expected a whole number from 1 to 65535, got "80": remove the quotes (HTTPRoute shop/web, /spec/rules/0/backendRefs/0/port)',
  ],
  [
    'no port',
    `${RULE}backendRefs: [{name: web}]\n`,
    'a.yaml:6:19: error: Missing field "port": Service "web" needs the port to use (HTTPRoute shop/web, /spec/rules/0/backendRefs/0/port)',
  ],
  [
    'a host in upper case',
    `${ROUTE}spec:\n  hostnames: [Shop.test]\n`,
    'a.yaml:5:15: error: Expected a lower-case host name such as "shop.test" or "*.shop.test", got "Shop.test" (HTTPRoute shop/web, /spec/hostnames/0)',
  ],
  [
    'no rules',
    `${ROUTE}spec:\n  rules: []\n`,
    'a.yaml:5:3: error: Expected at least 1 item, got 0 (HTTPRoute shop/web, /spec/rules)',
  ],
  [
    'a rule name twice',
    `${RULE}name: a\n  - name: a\n`,
    'a.yaml:7:5: error: Duplicate name "a": item 0 has it already (HTTPRoute shop/web, /spec/rules/1/name)',
  ],
  [
    'a filter that does not exist',
    `${RULE}filters: [{type: Redirect}]\n`,
    'a.yaml:6:16: error: Expected one of "RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "RequestRedirect", "URLRewrite", "CORS", "ExternalAuth", "ExtensionRef", got "Redirect": did you mean "RequestRedirect" (HTTPRoute shop/web, /spec/rules/0/filters/0/type)',
  ],
  [
    'a filter without its field',
    `${RULE}filters: [{type: CORS}]\n`,
    'a.yaml:6:15: error: Missing field "cors": expected an object (HTTPRoute shop/web, /spec/rules/0/filters/0/cors)',
  ],
  [
    'a filter with the field of another',
    `${RULE}filters: [{type: CORS, cors: {}, urlRewrite: {}}]\n`,
    'a.yaml:6:38: error: Unknown field "urlRewrite": expected one of "type", "cors" (HTTPRoute shop/web, /spec/rules/0/filters/0/urlRewrite)',
  ],
  [
    'a filter twice',
    `${RULE}filters: [{type: CORS, cors: {}}, {type: CORS, cors: {}}]\n`,
    'a.yaml:6:39: error: Duplicate filter CORS: item 0 is one already (HTTPRoute shop/web, /spec/rules/0/filters/1)',
  ],
  [
    'a redirect and a rewrite',
    `${RULE}filters: [{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: {}}]\n`,
    'a.yaml:6:61: error: Cannot rewrite and redirect: remove URLRewrite or RequestRedirect (HTTPRoute shop/web, /spec/rules/0/filters/1)',
  ],
  [
    'a redirect with backends',
    `${RULE}filters: [{type: RequestRedirect, requestRedirect: {}}]\n    backendRefs: [{name: a, port: 1}]\n`,
    'a.yaml:6:15: error: Cannot redirect and forward: remove the RequestRedirect filter, or the backendRefs of the rule (HTTPRoute shop/web, /spec/rules/0/filters/0)',
  ],
  [
    'a status that is no redirect',
    `${RULE}filters: [{type: RequestRedirect, requestRedirect: {statusCode: 304}}]\n`,
    'a.yaml:6:57: error: Expected one of 301, 302, 303, 307, 308, got 304 (HTTPRoute shop/web, /spec/rules/0/filters/0/requestRedirect/statusCode)',
  ],
  [
    'a prefix replaced where none matched',
    `${RULE}filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]\n    matches: [{path: {type: Exact, value: /a}}]\n`,
    'a.yaml:6:47: error: ReplacePrefixMatch needs a rule with exactly one match, of type PathPrefix, got a match of type Exact (HTTPRoute shop/web, /spec/rules/0/filters/0/urlRewrite/path)',
  ],
  [
    'a prefix replaced where several can match',
    `${RULE}backendRefs: [{name: a, port: 1, filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]}]\n    matches: [{}, {}]\n`,
    'a.yaml:6:80: error: ReplacePrefixMatch needs a rule with exactly one match, of type PathPrefix, got 2 matches (HTTPRoute shop/web, /spec/rules/0/backendRefs/0/filters/0/urlRewrite/path)',
  ],
  [
    'a path modifier with the field of another',
    `${RULE}filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replacePrefixMatch: /b}}}]\n`,
    'a.yaml:6:47: error: Missing field "replaceFullPath": expected a string (HTTPRoute shop/web, /spec/rules/0/filters/0/urlRewrite/path/replaceFullPath)',
    'a.yaml:6:77: error: Unknown field "replacePrefixMatch": expected one of "type", "replaceFullPath" (HTTPRoute shop/web, /spec/rules/0/filters/0/urlRewrite/path/replacePrefixMatch)',
  ],
  [
    'a mirror by percent and fraction',
    `${RULE}filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, percent: 5, fraction: {numerator: 1}}}]\n`,
    'a.yaml:6:97: error: Cannot mirror by percent and by fraction: remove one of them (HTTPRoute shop/web, /spec/rules/0/filters/0/requestMirror/fraction)',
  ],
  [
    'a mirror of more than all',
    `${RULE}filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a, port: 1}, fraction: {numerator: 3, denominator: 2}}}]\n`,
    'a.yaml:6:96: error: Expected a numerator of at most 2 (the denominator), got 3 (HTTPRoute shop/web, /spec/rules/0/filters/0/requestMirror/fraction/numerator)',
  ],
  [
    'a mirror without a port',
    `${RULE}filters: [{type: RequestMirror, requestMirror: {backendRef: {name: a}}}]\n`,
    'a.yaml:6:53: error: Missing field "port": Service "a" needs the port to use (HTTPRoute shop/web, /spec/rules/0/filters/0/requestMirror/backendRef/port)',
  ],
  [
    'a star among origins',
    `${RULE}filters: [{type: CORS, cors: {allowOrigins: ["*", "https://a.test"]}}]\n`,
    'a.yaml:6:35: error: Expected "*" alone, got 2 items: remove the others or "*" (HTTPRoute shop/web, /spec/rules/0/filters/0/cors/allowOrigins)',
  ],
  [
    'an origin with a path',
    `${RULE}filters: [{type: CORS, cors: {allowOrigins: ["https://a.test/"]}}]\n`,
    'a.yaml:6:50: error: Expected an origin such as "https://shop.test", "https://*.shop.test" or "*", got "https://a.test/" (HTTPRoute shop/web, /spec/rules/0/filters/0/cors/allowOrigins/0)',
  ],
  [
    'an authorization service of another protocol',
    `${RULE}filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: a, port: 1}, grpc: {}}}]\n`,
    'a.yaml:6:36: error: Missing field "http": expected an object (HTTPRoute shop/web, /spec/rules/0/filters/0/externalAuth/http)',
    'a.yaml:6:99: error: Unknown field "grpc": expected one of "protocol", "backendRef", "forwardBody", "http" (HTTPRoute shop/web, /spec/rules/0/filters/0/externalAuth/grpc)',
  ],
  [
    'an attempt longer than the whole',
    `${RULE}timeouts: {request: 1s, backendRequest: 2s}\n`,
    'a.yaml:6:29: error: Expected at most 1s (timeouts.request), got 2s (HTTPRoute shop/web, /spec/rules/0/timeouts/backendRequest)',
  ],
  [
    'a duration without a unit',
    `${RULE}timeouts: {request: 10}\n`,
    'a.yaml:6:16: error: Expected a duration such as "10s", "1m30s" or "500ms", got 10 (HTTPRoute shop/web, /spec/rules/0/timeouts/request)',
  ],
  [
    'a status that is not tried again',
    `${RULE}retry: {codes: [200]}\n`,
    'a.yaml:6:21: error: Expected a whole number from 400 to 599, got 200 (HTTPRoute shop/web, /spec/rules/0/retry/codes/0)',
  ],
  [
    'a cookie without an end',
    `${RULE}sessionPersistence: {cookieConfig: {lifetimeType: Permanent}}\n`,
    'a.yaml:6:5: error: Missing field "absoluteTimeout": a Permanent cookie needs the time when it ends (HTTPRoute shop/web, /spec/rules/0/sessionPersistence/absoluteTimeout)',
  ],
  [
    'a cookie for a header',
    `${RULE}sessionPersistence: {type: Header, cookieConfig: {}}\n`,
    'a.yaml:6:40: error: Expected no cookieConfig with type Header: remove it (HTTPRoute shop/web, /spec/rules/0/sessionPersistence/cookieConfig)',
  ],
  [
    'a parent twice',
    `${ROUTE}spec:\n  parentRefs: [{name: a}, {name: a}]\n`,
    'a.yaml:5:27: error: Duplicate reference to Gateway "a": item 0 is the same (HTTPRoute shop/web, /spec/parentRefs/1)',
  ],
  [
    'a parent whole and in part',
    `${ROUTE}spec:\n  parentRefs: [{name: a}, {name: a, sectionName: b}]\n`,
    'a.yaml:5:27: error: Overlapping references to Gateway "a": items 0 and 1 must both have a sectionName, or none of them (HTTPRoute shop/web, /spec/parentRefs/1)',
  ],
  [
    'several mistakes, in the order of the file',
    `${RULE}backendRefs: [{name: web, port: 0}]\n    timeout: {}\n`,
    'a.yaml:6:31: error: Expected a whole number from 1 to 65535, got 0 (HTTPRoute shop/web, /spec/rules/0/backendRefs/0/port)',
    'a.yaml:7:5: error: Unknown field "timeout": did you mean "timeouts" (HTTPRoute shop/web, /spec/rules/0/timeout)',
  ],
];

testProblems('a.yaml', HTTP_ROUTE);

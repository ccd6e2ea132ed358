/** What to try, and what it shows. The test runs every line and holds it to its claim. */
import type { Addresses } from './ports.ts';

export interface Line {
  /** Ends a sentence that begins with "shows that". */
  readonly shows: string;
  /** A line for the shell. */
  readonly command: string;
  /** What its output must match for the claim to be true. */
  readonly want: RegExp;
}

export interface Section {
  readonly title: string;
  readonly lines: readonly Line[];
}

export function sections({ gateway, admin, proxies }: Addresses): Section[] {
  return [
    { title: 'Between services', lines: meshing(gateway, proxies) },
    { title: 'Routing', lines: routing(gateway) },
    { title: 'Changing requests and answers', lines: changing(gateway) },
    { title: 'Who may call', lines: guarding(gateway) },
    { title: 'When things go wrong', lines: failing(gateway) },
    { title: 'What runs', lines: looking(admin, gateway) },
  ];
}

function meshing(gateway: string, proxies: Addresses['proxies']): Line[] {
  return [
    {
      shows: '"web" calls "orders" by its name, through the sidecars, with mutual TLS between them',
      command: `curl -s ${gateway}/shop`,
      want: /"service":"web","stock":\{"service":"orders".*"host":"orders"/,
    },
    {
      shows: 'so does whoever runs beside "web": this is what HTTP_PROXY is set to there',
      command: `curl -s -x ${proxies.web} http://orders/stock`,
      want: /"service":"orders","method":"GET","path":"\/stock"/,
    },
    {
      shows: '"web-next" may not call "orders": the sidecar of "orders" knows it by its certificate',
      command: `curl -s -x ${proxies['web-next']} http://orders/stock`,
      want: /"status":403,"code":"authorize\.denied"/,
    },
    {
      shows: 'one call in ten of "web" tries the next version: count what 100 calls from beside "orders" say',
      command: `curl -s -x ${proxies.orders} 'http://web/canary?[1-100]' | grep -o '"service":"[a-z-]*"' | sort | uniq -c`,
      want: /\d+ "service":"web"\n *\d+ "service":"web-next"/,
    },
  ];
}

function routing(gateway: string): Line[] {
  return [
    {
      shows: 'a rule without matches takes everything: the service "web" answers with what it saw',
      command: `curl -s ${gateway}/`,
      want: /"service":"web","method":"GET","path":"\/"/,
    },
    {
      shows: 'an exact path goes to another service',
      command: `curl -s ${gateway}/orders`,
      want: /"service":"orders"/,
    },
    {
      shows: 'so does a regular expression, here /orders/[0-9]+',
      command: `curl -s ${gateway}/orders/42`,
      want: /"service":"orders".*"path":"\/orders\/42"/,
    },
    {
      shows: 'what the expression does not take falls back to "web"',
      command: `curl -s ${gateway}/orders/none`,
      want: /"service":"web",/,
    },
    {
      shows: 'a header picks the next version',
      command: `curl -s -H 'x-preview: yes' ${gateway}/`,
      want: /"service":"web-next"/,
    },
    {
      shows: 'a method picks a service',
      command: `curl -s -X POST -d item=1 ${gateway}/basket`,
      want: /"service":"orders","method":"POST"/,
    },
    {
      shows: 'a query parameter picks a version',
      command: `curl -s '${gateway}/search?q=tea&engine=next'`,
      want: /"service":"web-next".*"path":"\/search\?q=tea&engine=next"/,
    },
    {
      shows: 'the same port speaks HTTP/2, and the service need not know',
      command: `curl -s --http2-prior-knowledge -w '\\nHTTP/%{http_version}\\n' ${gateway}/orders`,
      want: /"service":"orders"[^]*\nHTTP\/2\n/,
    },
    {
      shows: 'weights share 90 to 10: count what 100 requests say',
      command: `curl -s '${gateway}/canary?[1-100]' | grep -o '"service":"[a-z-]*"' | sort | uniq -c`,
      want: /\d+ "service":"web"\n *\d+ "service":"web-next"/,
    },
  ];
}

function changing(gateway: string): Line[] {
  return [
    {
      shows: 'a redirect keeps the rest of the path and the query',
      command: `curl -s -i '${gateway}/old/page?a=1' | grep -i -e '^HTTP' -e '^location'`,
      want: new RegExp(`301[^]*location: ${gateway}/new/page\\?a=1`, 'i'),
    },
    {
      shows: 'the service sees /v1/7 and the host orders.internal',
      command: `curl -s ${gateway}/api/orders/7`,
      want: /"service":"orders".*"path":"\/v1\/7","host":"orders\.internal"/,
    },
    {
      shows: 'x-team is set on the way in, x-secret never arrives',
      command: `curl -s -H 'x-secret: 1' ${gateway}/headers`,
      want: /^(?!.*x-secret).*"x-team":"shop"/,
    },
    {
      shows: 'x-served-by is added on the way out',
      command: `curl -s -i ${gateway}/headers | grep -i '^x-served-by'`,
      want: /x-served-by: fourways/i,
    },
    {
      shows: 'a browser of https://shop.test may PUT from its page',
      command:
        `curl -s -i -X OPTIONS -H 'origin: https://shop.test' -H 'access-control-request-method: PUT' ` +
        `${gateway}/shared | grep -i '^access-control'`,
      want: /access-control-allow-origin: https:\/\/shop\.test/i,
    },
  ];
}

/** Keys of gateway/keys.jsonl, which has their hashes only. */
const ALICE = `-H 'x-api-key: fwexample_alice_Zk4nB8xQ2WmS6vTyHcLp'`;
const ERIN = `-H 'x-api-key: fwexample_erin_Hs7dJ3fK9RtV1bNgXuEw'`;

function guarding(gateway: string): Line[] {
  return [
    {
      shows: 'nobody without a key',
      command: `curl -s -i ${gateway}/members`,
      want: /401[^]*www-authenticate: ApiKey[^]*authentication\.missing/i,
    },
    {
      shows: 'with a key the service hears who it is, and never the key',
      command: `curl -s ${ALICE} ${gateway}/members`,
      want: /^(?!.*fwexample).*"x-consumer":"alice"/,
    },
    {
      shows: 'members may read, and only editors may write',
      command: `curl -s -X DELETE ${ALICE} ${gateway}/members/1; curl -s -X DELETE ${ERIN} ${gateway}/members/1`,
      want: /"status":403,"code":"authorize\.denied"[^]*"method":"DELETE"/,
    },
    {
      shows: 'each has five requests in ten seconds; answers say what is left, and when to come again',
      command: `curl -s -i ${ERIN} '${gateway}/members?[1-6]' | grep -i -e '^HTTP' -e '^ratelimit:' -e '^retry-after'`,
      want: /ratelimit: "each";r=[0-4][^]*429[^]*retry-after: \d/i,
    },
  ];
}

function failing(gateway: string): Line[] {
  return [
    {
      shows: 'a copy of the request went to "orders", which counted it',
      command: `curl -s ${gateway}/copied >/dev/null; sleep 0.2; curl -s ${gateway}/count`,
      want: /"service":"orders","copies":[1-9]/,
    },
    {
      shows: 'after 300 ms the route gives up on a service that takes two seconds, with a problem that says why',
      command: `curl -s -i ${gateway}/slow`,
      want: /504[^]*exchange\.timeout/,
    },
    {
      shows: 'a service that fails every other time is asked again: all of ten requests get 200',
      command: `curl -s -o /dev/null -w '%{http_code}\\n' '${gateway}/flaky?[1-10]' | sort | uniq -c`,
      want: /^ *10 200\n$/,
    },
    {
      shows: 'what two parsers could read differently is refused: 400',
      command: `curl -s -i -H 'Content-Length: 3' -H 'Transfer-Encoding: chunked' -d abc ${gateway}/`,
      want: /400[^]*request\.ambiguous-length/,
    },
  ];
}

function looking(admin: string, gateway: string): Line[] {
  const at = admin.replace('http://', '');
  return [
    {
      shows: 'which rule takes a request, and why not another',
      command: `bin/fourways explain GET ${gateway}/orders/42 --admin ${at}`,
      want: /expression/,
    },
    {
      shows:
        'what becomes of a call of "web" to "orders": its route, both identities, and the policy at the sidecar of "orders"',
      command: `bin/fourways explain --from web http://orders/stock --admin ${at}`,
      want: /sa\/web[^]*sa\/orders[^]*Policy default\/who-calls-orders allows it/,
    },
    {
      shows: 'who has proved to whom who he is, on every connection between services, and with which cipher',
      command: `curl -s ${gateway}/shop >/dev/null; bin/fourways verify --admin ${at}`,
      want: /sa\/web +\S+sa\/orders +default\/orders:80 +h2 +TLSv1\.3 +TLS_\w+ .* both ends\n[^]*Nothing between services is in clear text/,
    },
    {
      shows: 'live requests at every proxy that they pass, here those of "orders" until two were seen',
      command:
        `bin/fourways tap 'destination.service == "orders"' --limit 2 --seconds 20 --admin ${at} & ` +
        `sleep 2; curl -s ${gateway}/shop >/dev/null; wait`,
      want: /out +\S+sa\/web +default\/orders:80 +200 .* GET \/stock|in +\S+sa\/web +default\/orders:80 +200 .* GET \/stock/,
    },
    {
      shows: 'who is in the mesh, which plan each serves, and until when its certificate is good',
      command: `bin/fourways proxies --admin ${at}`,
      want: /spiffe:\/\/cluster\.local\/ns\/default\/sa\/orders/,
    },
    { shows: 'every worker serves the plan', command: `curl -s -i ${admin}/readyz`, want: /^HTTP\/1\.1 200/ },
    {
      shows: 'status of all objects, as Kubernetes prints it',
      command: `curl -s ${admin}/status`,
      want: /"kind":\s*"List"[^]*"Programmed"/,
    },
    { shows: 'metrics by route', command: `curl -s ${admin}/metrics`, want: /HTTPRoute\/default\/matching/ },
  ];
}
